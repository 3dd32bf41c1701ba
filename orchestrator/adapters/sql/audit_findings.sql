-- What one audit found of each relation, and the view that shows it.
select f.relation, f.priority, f.orphans, f.fresh, f.exact, f.health, round(f.duration_ms::numeric, 3)::float8 as duration_ms,
       f.problem, v.relname::text as view
from orphan_audit.finding f
join (
    select c.relname, d.description::jsonb ->> 'relation' as relation
    from pg_class c
    join pg_description d on d.objoid = c.oid and d.classoid = 'pg_class'::regclass and d.objsubid = 0
    where c.relnamespace = to_regnamespace('orphan_audit') and c.relkind = 'v'
      and d.description like '{"made_by": "orchestrator"%%"relation"%%'
) v using (relation)
where f.audit = %(audit)s
order by f.orphans desc, f.relation
