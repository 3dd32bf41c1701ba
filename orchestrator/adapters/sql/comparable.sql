-- Between which of these operator classes (of unique indexes' columns) and types ADD FOREIGN KEY finds an equality operator:
-- one of the class's family that takes the type itself, else an implicit cast to the class's input type
-- (ATAddForeignKeyConstraint). A polymorphic class is listed for every type of its sort: what else holds for two types of
-- a sort depends on the columns, so the caller compares those.
select k.oid as operator_class, t.oid as type,
       case k.opcintype when 'anyenum'::regtype then 'enum' when 'anyarray'::regtype then 'array'
           when 'anyrange'::regtype then 'range' when 'anymultirange'::regtype then 'multirange' end as sort
from pg_opclass k
cross join pg_type t
where k.oid = any (%(classes)s::oid[]) and t.oid = any (%(types)s::oid[]) and (
   k.opcintype = t.oid
   or (exists (select from pg_amop o where o.amopfamily = k.opcfamily and o.amoplefttype = k.opcintype
               and o.amoprighttype = t.oid and o.amopstrategy = 3)
       and exists (select from pg_amop o where o.amopfamily = k.opcfamily and o.amoplefttype = t.oid
                   and o.amoprighttype = t.oid and o.amopstrategy = 3))
   or exists (select from pg_cast c where c.castsource = t.oid and c.casttarget = k.opcintype and c.castcontext = 'i')
   or (k.opcintype = 'anyenum'::regtype and t.typtype = 'e')
   or (k.opcintype = 'anyarray'::regtype and t.typcategory = 'A')
   or (k.opcintype = 'anyrange'::regtype and t.typtype = 'r')
   or (k.opcintype = 'anymultirange'::regtype and t.typtype = 'm')
   or (k.opcintype = 'record'::regtype and t.typtype = 'c')
)
