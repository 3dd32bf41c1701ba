-- 25: writes per second since the statistics were reset, else since the server started.
select s.schemaname || '.' || s.relname as name,
       round(((s.n_tup_ins + s.n_tup_upd + s.n_tup_del)
           / greatest(extract(epoch from clock_timestamp() - coalesce(d.stats_reset, pg_postmaster_start_time())), 1))::numeric, 1)
           as writes_per_s
from pg_stat_user_tables s
cross join (select stats_reset from pg_stat_database where datname = current_database()) d
where s.relid = any(%(parents)s::oid[])
order by 2 desc
