-- Who holds a lock on a table of the ledger, but for this session.
select distinct a.pid, coalesce(nullif(a.application_name, ''), 'unnamed') as application
from pg_locks l
join pg_class c on c.oid = l.relation
join pg_namespace n on n.oid = c.relnamespace
join pg_stat_activity a on a.pid = l.pid
where l.locktype = 'relation' and l.database = (select oid from pg_database where datname = current_database())
  and n.nspname in ('orchestrator', 'orchestrator_quarantine') and l.granted and l.pid <> pg_backend_pid()
order by 1
