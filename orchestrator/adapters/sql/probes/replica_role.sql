-- 10: session_replication_role set for a role or a database switches all keys off for whoever connects so.
select setting.value, coalesce('role ' || r.rolname, 'all roles') || coalesce(' in database ' || d.datname, '') as scope
from pg_db_role_setting s
left join pg_roles r on r.oid = s.setrole
left join pg_database d on d.oid = s.setdatabase
cross join lateral unnest(s.setconfig) as line
cross join lateral (select split_part(line, '=', 1) as name, split_part(line, '=', 2) as value) as setting
where setting.name = 'session_replication_role' and setting.value <> 'origin'
  and (s.setdatabase = 0 or d.datname = current_database())
