-- What others built on our objects in schema orphan_audit, or put beside them: DROP without CASCADE stops at it.
with recursive ours (class, id, kind, name) as (
    select 'pg_namespace'::regclass::oid, n.oid, 'schema', n.nspname::text
    from pg_namespace n
    where n.nspname = 'orphan_audit' and obj_description(n.oid, 'pg_namespace') like '{"made_by": "orchestrator"%%'
    union all
    select 'pg_class'::regclass::oid, c.oid, case when c.relkind = 'v' then 'view' else 'table' end, c.relname::text
    from pg_class c
    where c.relnamespace = to_regnamespace('orphan_audit') and c.relkind in ('r', 'p', 'f', 'v', 'm')
      and obj_description(c.oid, 'pg_class') like '{"made_by": "orchestrator"%%'
    union all
    select 'pg_proc'::regclass::oid, p.oid, case when p.prokind = 'p' then 'procedure' else 'function' end,
           p.proname::text
    from pg_proc p
    where p.pronamespace = to_regnamespace('orphan_audit')
      and obj_description(p.oid, 'pg_proc') like '{"made_by": "orchestrator"%%'
), inside (class, id, kind, name) as (
    select class, id, kind, name from ours
    union
    -- Rules, row types, indexes, constraints: what goes with them by itself, whoever made it.
    select d.classid, d.objid, i.kind, i.name
    from inside i
    join pg_depend d on d.refclassid = i.class and d.refobjid = i.id and d.deptype in ('a', 'i')
    where i.kind <> 'schema'
)
select distinct i.kind, i.name,
       -- A view depends by its rule.
       coalesce(pg_describe_object('pg_class'::regclass, r.ev_class, 0), pg_describe_object(d.classid, d.objid, 0)) as told
from inside i
join pg_depend d on d.refclassid = i.class and d.refobjid = i.id and d.deptype = 'n'
left join pg_rewrite r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid
where not exists (select from inside o where o.class = d.classid and o.id = d.objid)
order by 1, 2, 3
