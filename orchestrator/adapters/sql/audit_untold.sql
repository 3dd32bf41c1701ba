-- What came in audits of which nobody was told: pg_cron records them, and tells nobody.
-- New orphans of critical relations, and why one could not be counted when the audit before did not say the same.
select f.relation, sum(f.fresh)::bigint as fresh,
       coalesce((array_agg(f.problem order by f.audit desc)
                 filter (where f.problem <> '' and f.problem is distinct from b.problem))[1], '') as problem
from orphan_audit.finding f
join orphan_audit.audit_run a on a.id = f.audit
left join lateral (
    select p.problem from orphan_audit.finding p
    where p.relation = f.relation
      and p.audit = (select max(o.id) from orphan_audit.audit_run o where o.id < f.audit and o.duration_ms is not null)
) b on true
where a.alert and not a.told and a.id <= %(audit)s and f.priority = 'critical'
  and (f.fresh > 0 or (f.problem <> '' and f.problem is distinct from b.problem))
group by f.relation
order by 2 desc, 1
