-- The oldest session that keeps a session waiting. What a role without pg_monitor may not see is empty.
select b.pid, coalesce(a.usename, '') as role, coalesce(a.application_name, '') as application,
       coalesce(a.state, '') as state, coalesce(a.backend_type, '') as backend,
       1000 * extract(epoch from clock_timestamp() - a.xact_start)::float8 as age_ms,
       left(coalesce(a.query, ''), 4000) as query, coalesce(a.xact_start::text, '') as transaction
from unnest(pg_blocking_pids(%(pid)s)) as b (pid)
left join pg_stat_activity a on a.pid = b.pid
order by a.xact_start nulls last
limit 1
