-- Columns; a domain is looked through to its base type, because that is what ADD FOREIGN KEY compares.
with recursive base (oid, base) as (
    select t.oid, t.oid from pg_type t where t.typtype <> 'd'
    union all
    select t.oid, b.base from pg_type t join base b on b.oid = t.typbasetype where t.typtype = 'd'
)
select a.attrelid as relation, a.attnum as number, a.attname as name,
       format_type(a.atttypid, a.atttypmod) as type_name, b.base as base_type, a.attnotnull as not_null,
       pg_get_expr(d.adbin, d.adrelid) as "default", a.attidentity::text as identity, a.attgenerated::text as generated,
       cn.nspname || '.' || co.collname as collation,
       coalesce(co.collisdeterministic, true) as deterministic, a.atttypmod >= 0 as limited, t.typtype = 'd' as domain
from pg_attribute a
join pg_class c on c.oid = a.attrelid and c.relkind in ('r', 'p', 'f', 'v', 'm')
join pg_namespace n on n.oid = c.relnamespace
join pg_type t on t.oid = a.atttypid
join base b on b.oid = a.atttypid
left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
left join pg_collation co on co.oid = a.attcollation
left join pg_namespace cn on cn.oid = co.collnamespace
where a.attnum > 0 and not a.attisdropped
  and n.nspname not in ('pg_catalog', 'information_schema', 'orchestrator', 'orchestrator_quarantine')
  and n.nspname not like 'pg\_toast%' and n.nspname not like 'pg\_temp%'
