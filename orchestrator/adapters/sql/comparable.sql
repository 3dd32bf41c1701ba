-- Between which operator class (of a unique index's column) and which type ADD FOREIGN KEY finds an equality operator:
-- one of the class's family that takes the type itself, else an implicit cast to the class's input type
-- (ATAddForeignKeyConstraint). A polymorphic class is listed for every type of its sort: what else holds for two types of
-- a sort depends on the columns, so the caller compares those.
with recursive base (oid, base) as (
    select t.oid, t.oid from pg_type t where t.typtype <> 'd'
    union all
    select t.oid, b.base from pg_type t join base b on b.oid = t.typbasetype where t.typtype = 'd'
), used_types as (
    select distinct b.base as oid from pg_attribute a
    join pg_class c on c.oid = a.attrelid and c.relkind in ('r', 'p')
    join pg_namespace n on n.oid = c.relnamespace
    join base b on b.oid = a.atttypid
    where a.attnum > 0 and not a.attisdropped and n.nspname not in ('pg_catalog', 'information_schema', 'orchestrator')
), used_classes as (
    select distinct unnest(i.indclass::oid[]) as oid from pg_index i
    join pg_class c on c.oid = i.indrelid
    join pg_namespace n on n.oid = c.relnamespace
    where i.indisunique and n.nspname not in ('pg_catalog', 'information_schema', 'orchestrator')
)
select k.oid as operator_class, t.oid as type,
       case k.opcintype when 'anyenum'::regtype then 'enum' when 'anyarray'::regtype then 'array'
           when 'anyrange'::regtype then 'range' when 'anymultirange'::regtype then 'multirange' end as sort
from used_classes u
join pg_opclass k on k.oid = u.oid
cross join used_types t
join pg_type y on y.oid = t.oid
where k.opcintype = t.oid
   or (exists (select from pg_amop o where o.amopfamily = k.opcfamily and o.amoplefttype = k.opcintype
               and o.amoprighttype = t.oid and o.amopstrategy = 3)
       and exists (select from pg_amop o where o.amopfamily = k.opcfamily and o.amoplefttype = t.oid
                   and o.amoprighttype = t.oid and o.amopstrategy = 3))
   or exists (select from pg_cast c where c.castsource = t.oid and c.casttarget = k.opcintype and c.castcontext = 'i')
   or (k.opcintype = 'anyenum'::regtype and y.typtype = 'e')
   or (k.opcintype = 'anyarray'::regtype and y.typcategory = 'A')
   or (k.opcintype = 'anyrange'::regtype and y.typtype = 'r')
   or (k.opcintype = 'anymultirange'::regtype and y.typtype = 'm')
   or (k.opcintype = 'record'::regtype and y.typtype = 'c')
