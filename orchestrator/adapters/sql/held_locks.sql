-- The locks on tables that this transaction holds now, the ledger's and the server's own tables left out.
select n.nspname::text as schema, c.relname::text as name, l.mode
from pg_locks l
join pg_class c on c.oid = l.relation
join pg_namespace n on n.oid = c.relnamespace
where l.locktype = 'relation' and l.granted and l.pid = pg_backend_pid()
  and l.database = (select oid from pg_database where datname = current_database())
  and c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'orchestrator', 'orphan_audit')
order by 1, 2, 3
