-- The oldest transaction that keeps a session waiting, our own sessions left out; a prepared one has no pid. What a role
-- without pg_monitor may not see is empty.
select nullif(b.pid, 0) as pid, coalesce(a.usename, '') as role, coalesce(a.application_name, '') as application,
       case when b.pid = 0 then 'prepared' else coalesce(a.state, '') end as state,
       coalesce(a.backend_type, '') as backend,
       1000 * extract(epoch from clock_timestamp() - a.xact_start)::float8 as age_ms,
       case when b.pid = 0 then '' else left(coalesce(a.query, ''), 4000) end as query,
       coalesce(a.xact_start::text, '') as transaction
from unnest(pg_blocking_pids(%(pid)s)) as b (pid)
left join pg_stat_activity a on a.pid = b.pid
where b.pid <> all(%(ours)s::int[])
order by a.xact_start nulls last
limit 1
