-- 23
select setting::bigint as ms from pg_settings where name = 'deadlock_timeout'
