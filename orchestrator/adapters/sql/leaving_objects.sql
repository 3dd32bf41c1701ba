-- What stands in schema orchestrator on its own: no index, no sequence of a column, no row type of a table.
select case c.relkind when 'S' then 'sequence' when 'v' then 'view' when 'm' then 'materialized view' else 'table' end
           as kind, c.relname::text as name
from pg_class c
where c.relnamespace = to_regnamespace('orchestrator')
  and (c.relkind in ('r', 'p', 'f', 'v', 'm') or c.relkind = 'S' and not exists (
      select from pg_depend d
      where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.refobjsubid > 0 and d.deptype in ('a', 'i')))
union all
select distinct 'function', p.proname::text from pg_proc p where p.pronamespace = to_regnamespace('orchestrator')
union all
select 'type', t.typname::text
from pg_type t
left join pg_class c on c.oid = t.typrelid
where t.typnamespace = to_regnamespace('orchestrator') and (t.typtype in ('d', 'e', 'r') or c.relkind = 'c')
order by 1, 2
