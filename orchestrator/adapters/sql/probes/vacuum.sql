-- 3: a vacuum that runs on these tables, or one that autovacuum_freeze_max_age will soon force.
with near as (
    select c.oid, n.nspname || '.' || c.relname as name,
           round(100.0 * age(c.relfrozenxid) / current_setting('autovacuum_freeze_max_age')::numeric) as used_percent,
           -- pg_stat_progress_vacuum hides what others vacuum; the lock is there for everybody to see.
           exists (select from pg_locks l where l.relation = c.oid and l.granted and l.mode = 'ShareUpdateExclusiveLock'
                   and l.database = (select oid from pg_database where datname = current_database())
                   and l.pid <> pg_backend_pid()) as running
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.oid = any(%(tables)s::oid[]) and c.relkind = 'r'
)
select name, used_percent, running from near where running or used_percent >= 90 order by name
