-- The totals of the latest audits until this one, the oldest first; one without a duration was cut short.
select audit, at, orphans, fresh, health, duration_ms
from (
    select id as audit, to_char(began at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as at, orphans, fresh, health,
           round(duration_ms::numeric, 3)::float8 as duration_ms
    from orphan_audit.audit_run where id <= %(audit)s and duration_ms is not null
    order by id desc limit %(most)s
) latest
order by audit
