-- What has the name of an index in its table's schema: an index, whole or not, or anything else; and whether a statement
-- of this run is on record as intended. The table is locked meanwhile, so that nobody is building it.
select c.oid::bigint as oid, i.indrelid = t.oid as here, coalesce(i.indisvalid and i.indisready and i.indislive, false) as valid,
       coalesce(pg_get_indexdef(i.indexrelid), '') as definition
from pg_class t
join pg_namespace n on n.oid = t.relnamespace
join pg_class c on c.relnamespace = n.oid and c.relname = %(name)s
left join pg_index i on i.indexrelid = c.oid
where n.nspname = %(schema)s and t.relname = %(table)s
