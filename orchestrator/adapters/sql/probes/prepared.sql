-- 2
select gid, owner, to_char(prepared, 'YYYY-MM-DD HH24:MI') as prepared from pg_prepared_xacts where database = current_database()
