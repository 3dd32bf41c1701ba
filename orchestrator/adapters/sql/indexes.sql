-- Indexes with their key columns (null for an expression) and operator classes; INCLUDE columns are left out.
select i.indrelid as relation, c.relname as name, i.indisunique as "unique", i.indisprimary as "primary",
       i.indpred is not null as partial, i.indisvalid as valid, i.indimmediate as immediate,
       i.indisexclusion as exclusion, am.amname as method, pg_get_indexdef(i.indexrelid) as definition,
       (i.indkey::int2[])[0:i.indnkeyatts - 1] as columns, i.indclass::oid[] as operator_classes
from pg_index i
join pg_class c on c.oid = i.indexrelid
join pg_am am on am.oid = c.relam
join pg_class t on t.oid = i.indrelid and t.relkind in ('r', 'p', 'm')
join pg_namespace n on n.oid = t.relnamespace
where n.nspname not in ('pg_catalog', 'information_schema', 'orchestrator', 'orchestrator_quarantine')
  and n.nspname not like 'pg\_toast%' and n.nspname not like 'pg\_temp%'
