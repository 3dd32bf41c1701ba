-- Every table of the ledger and of what remediations keep, whatever version made it, with its size on disk.
select n.nspname::text as schema, c.relname::text as name, pg_total_relation_size(c.oid)::bigint as bytes,
       array(select a.attname::text from pg_attribute a
             where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by a.attnum) as columns
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('orchestrator', 'orchestrator_quarantine') and c.relkind in ('r', 'p')
order by 1, 2
