-- Objects elsewhere that would go with schema orchestrator, because they are made of something in it.
with inside (class, id) as (
    select 'pg_namespace'::regclass::oid, oid from pg_namespace where nspname = 'orchestrator'
    union all
    select 'pg_class'::regclass::oid, oid from pg_class where relnamespace = to_regnamespace('orchestrator')
    union all
    select 'pg_proc'::regclass::oid, oid from pg_proc where pronamespace = to_regnamespace('orchestrator')
    union all
    select 'pg_type'::regclass::oid, oid from pg_type where typnamespace = to_regnamespace('orchestrator')
    union all
    select 'pg_constraint'::regclass::oid, oid from pg_constraint where connamespace = to_regnamespace('orchestrator')
    union all
    select 'pg_rewrite'::regclass::oid, r.oid from pg_rewrite r join pg_class c on c.oid = r.ev_class
    where c.relnamespace = to_regnamespace('orchestrator')
    union all
    select 'pg_trigger'::regclass::oid, t.oid from pg_trigger t join pg_class c on c.oid = t.tgrelid
    where c.relnamespace = to_regnamespace('orchestrator')
    union all
    select 'pg_attrdef'::regclass::oid, a.oid from pg_attrdef a join pg_class c on c.oid = a.adrelid
    where c.relnamespace = to_regnamespace('orchestrator')
)
select distinct pg_describe_object(d.classid, d.objid, 0) as told
from pg_depend d
join inside i on i.class = d.refclassid and i.id = d.refobjid
where d.deptype in ('n', 'a') and d.classid <> 'pg_default_acl'::regclass
  and not exists (select from inside o where o.class = d.classid and o.id = d.objid)
order by 1
