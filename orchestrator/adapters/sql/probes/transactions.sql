-- 1: transactions that hold a lock on these tables which conflicts with ADD FOREIGN KEY. What somebody else does is hidden
-- from an ordinary role, but not that a lock is held.
select a.pid, a.usename, a.application_name as application,
       coalesce(a.state, 'whose state is for pg_monitor') as state,
       coalesce(round(extract(epoch from clock_timestamp() - a.xact_start)::numeric, 1)::text, '?') as age_s,
       string_agg(distinct c.relname, ', ') as tables
from pg_locks l
join pg_class c on c.oid = l.relation
join pg_stat_activity a on a.pid = l.pid
where l.granted and l.relation = any(%(tables)s::oid[]) and l.pid <> pg_backend_pid()
  and l.database = (select oid from pg_database where datname = current_database())
  and l.mode not in ('AccessShareLock', 'RowShareLock') and coalesce(a.backend_type, 'client backend') = 'client backend'
  and a.usesysid is not null -- autovacuum has no user
group by a.pid, a.usename, a.application_name, a.state, a.xact_start
order by a.xact_start
