-- Tables of people: those of the server, of temporary schemas and of our own ledger are left out.
select c.oid, n.nspname as schema, c.relname as name, c.relkind::text as kind, c.relpersistence::text as persistence,
       c.relrowsecurity as row_security, c.relforcerowsecurity as force_row_security,
       greatest(c.reltuples, 0)::bigint as rows, c.relpages::bigint * current_setting('block_size')::bigint as bytes,
       c.relispartition as is_partition,
       coalesce((select array_agg(i.inhparent order by i.inhseqno) from pg_inherits i where i.inhrelid = c.oid), '{}')::oid[]
           as parents
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'f', 'v', 'm')
  and n.nspname not in ('pg_catalog', 'information_schema', 'orchestrator', 'orchestrator_quarantine')
  and n.nspname not like 'pg\_toast%' and n.nspname not like 'pg\_temp%'
order by n.nspname, c.relname
