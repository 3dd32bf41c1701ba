-- 17: a role without pg_monitor sees that replicas exist, but not how they do.
select application_name as name, round(extract(epoch from replay_lag)::numeric, 1) as lag_s, state is null as hidden
from pg_stat_replication
