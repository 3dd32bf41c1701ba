-- 22: Prisma's advisory lock; a second run of ours is refused before preflight, by its own lock.
select 'Prisma''s advisory lock 72707369' as what, a.pid, a.application_name as application
from pg_locks l join pg_stat_activity a on a.pid = l.pid
where l.locktype = 'advisory' and l.granted and l.objsubid = 1 and l.classid = 0 and l.objid = 72707369
  and l.database = (select oid from pg_database where datname = current_database())
