-- Who holds our advisory lock: a bigint key is kept as two halves, objsubid 1.
select a.pid, a.application_name, a.usename, a.backend_start, coalesce(host(a.client_addr), 'this host') as client
from pg_locks l join pg_stat_activity a on a.pid = l.pid
where l.locktype = 'advisory' and l.granted and l.objsubid = 1
  and l.database = (select oid from pg_database where datname = current_database())
  and l.classid = (%(key)s::bigint >> 32)::oid and l.objid = (%(key)s::bigint & 4294967295)::oid
