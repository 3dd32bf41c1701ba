-- 16
select line as setting, coalesce('role ' || r.rolname, 'all roles') || coalesce(' in database ' || d.datname, '') as scope
from pg_db_role_setting s
left join pg_roles r on r.oid = s.setrole
left join pg_database d on d.oid = s.setdatabase
cross join lateral unnest(s.setconfig) as line
where split_part(line, '=', 1) in ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')
  and (s.setdatabase = 0 or d.datname = current_database()) and (s.setrole = 0 or r.rolname in (current_user, session_user))
