-- Who waits for a lock on these tables, and for how long, in ms.
select l.relation, l.mode, l.pid, 1000 * extract(epoch from clock_timestamp() - l.waitstart)::float8 as waited_ms
from pg_locks l
where not l.granted and l.locktype = 'relation' and l.relation = any(%(tables)s::oid[]) and l.waitstart is not null
  and l.database = (select d.oid from pg_database d where d.datname = current_database())
  and l.pid <> all(%(ours)s::int[])
