-- What stands in schema orphan_audit, with the comment by which we know our own, and as the server would write it.
select 'schema' as kind, n.nspname::text as name, coalesce(obj_description(n.oid, 'pg_namespace'), '') as comment,
       '' as definition
from pg_namespace n
where n.nspname = 'orphan_audit'
union all
select case when c.relkind = 'v' then 'view' else 'table' end, c.relname::text,
       coalesce(obj_description(c.oid, 'pg_class'), ''),
       case when c.relkind = 'v' then pg_get_viewdef(c.oid) else '' end
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'orphan_audit' and c.relkind in ('r', 'p', 'f', 'v', 'm')
union all
select case when p.prokind = 'p' then 'procedure' else 'function' end, p.proname::text, coalesce(obj_description(p.oid, 'pg_proc'), ''),
       case when p.prokind in ('f', 'p') then pg_get_functiondef(p.oid) else '' end
from pg_proc p
join pg_namespace n on n.oid = p.pronamespace
where n.nspname = 'orphan_audit'
order by 1, 2
