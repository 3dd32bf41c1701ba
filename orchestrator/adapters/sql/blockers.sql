-- Who holds a lock on these tables that stands in the way of ours. A prepared transaction has no pid to name.
select l.pid, coalesce(a.usename, '') as usename, coalesce(a.application_name, '') as application,
       case when l.pid is null then 'prepared' else coalesce(a.state, 'its state is for pg_monitor') end as state,
       round(extract(epoch from clock_timestamp() - a.xact_start)::numeric, 1) as age_s
from pg_locks l
left join pg_stat_activity a on a.pid = l.pid
where l.locktype = 'relation' and l.granted and l.database = (select oid from pg_database where datname = current_database())
  and l.relation in (
      select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
      join unnest(%(schemas)s::text[], %(names)s::text[]) as wanted (schema, name)
          on wanted.schema = n.nspname and wanted.name = c.relname)
  and l.mode = any(%(modes)s) and l.pid is distinct from pg_backend_pid()
order by a.xact_start nulls first
limit 1
