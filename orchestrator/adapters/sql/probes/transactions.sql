-- 1: transactions that hold a lock on these tables which conflicts with ADD FOREIGN KEY.
select a.pid, a.usename, a.application_name as application, a.state,
       round(extract(epoch from clock_timestamp() - a.xact_start)::numeric, 1) as age_s,
       string_agg(distinct c.relname, ', ') as tables
from pg_locks l
join pg_class c on c.oid = l.relation
join pg_stat_activity a on a.pid = l.pid
where l.granted and l.relation = any(%(tables)s::oid[]) and l.pid <> pg_backend_pid()
  and l.database = (select oid from pg_database where datname = current_database())
  and l.mode not in ('AccessShareLock', 'RowShareLock') and a.backend_type = 'client backend'
group by a.pid, a.usename, a.application_name, a.state, a.xact_start
order by a.xact_start
