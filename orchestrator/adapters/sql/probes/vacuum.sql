-- 3: a vacuum that runs on these tables, or one that autovacuum_freeze_max_age will soon force.
with near as (
    select c.oid, n.nspname || '.' || c.relname as name,
           round(100.0 * age(c.relfrozenxid) / current_setting('autovacuum_freeze_max_age')::numeric) as used_percent,
           -- What others vacuum is hidden from an ordinary role, but not that they do, nor their lock.
           exists (select from pg_stat_progress_vacuum v where v.relid = c.oid or v.relid is null and exists (
               select from pg_locks l where l.pid = v.pid and l.relation = c.oid and l.database = v.datid
                 and l.mode in ('ShareUpdateExclusiveLock', 'AccessExclusiveLock'))) as running
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.oid = any(%(tables)s::oid[]) and c.relkind = 'r'
)
select name, used_percent, running from near where running or used_percent >= 90 order by name
