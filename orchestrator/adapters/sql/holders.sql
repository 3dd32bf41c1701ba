-- Who holds locks on these tables, and how long the transaction has been open; our own sessions are left out. What a
-- role without pg_monitor may not see is null or empty. A prepared transaction has no pid; its name, found by the lock on
-- its own number, is told as its query.
select n.nspname as schema, c.relname as name, l.mode, l.pid, coalesce(l.virtualtransaction, '') as transaction,
       coalesce(a.usename, p.owner, '') as role, coalesce(a.application_name, '') as application,
       case when l.pid is null then 'prepared' else coalesce(a.state, '') end as state,
       coalesce(a.backend_type, '') as backend,
       1000 * extract(epoch from clock_timestamp() - coalesce(a.xact_start, p.prepared))::float8 as age_ms,
       case when l.pid is null then coalesce(p.gid, '') else left(coalesce(a.query, ''), 4000) end as query
from pg_locks l
join pg_class c on c.oid = l.relation
join pg_namespace n on n.oid = c.relnamespace
left join pg_stat_activity a on a.pid = l.pid
left join pg_locks x on l.pid is null and x.pid is null and x.locktype = 'transactionid' and x.granted
    and x.virtualtransaction = l.virtualtransaction
left join pg_prepared_xacts p on p.transaction = x.transactionid
where l.locktype = 'relation' and l.granted and l.relation = any(%(tables)s::oid[])
  and l.database = (select d.oid from pg_database d where d.datname = current_database())
  and (l.pid is null or l.pid <> all(%(ours)s::int[]))
