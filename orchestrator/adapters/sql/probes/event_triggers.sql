-- 19
select evtname as name, evtevent as event from pg_event_trigger
where evtenabled in ('O', 'A') and evtevent in ('ddl_command_start', 'ddl_command_end', 'sql_drop')
