-- Critical relations with orphans that came in audits of which nobody was told: pg_cron records them, and tells nobody.
select f.relation, sum(f.fresh)::bigint as fresh
from orphan_audit.finding f
join orphan_audit.audit_run a on a.id = f.audit
where a.alert and not a.told and a.id <= %(audit)s and f.priority = 'critical' and f.fresh > 0
group by f.relation
order by 2 desc, 1
