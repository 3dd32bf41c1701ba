-- 26
select current_setting('synchronous_standby_names') as value
