-- What the server knows of tables: sizes, what changed since the last vacuum, columns, and the orders that a btree index
-- has. Only the catalog is read: asking for a size would lock the table. Lists of names and not pairs: from their lengths
-- the server knows how much it will find, and a table of the same name in another schema does no harm.
with wanted as materialized (
    select c.oid, n.nspname, c.relname, c.reltuples, c.relpages, c.relallvisible
    from pg_namespace n
    join pg_class c on c.relnamespace = n.oid and c.relname = any (%(names)s::name[])
    where n.nspname = any (%(schemas)s::name[])
), keyed as (
    -- A key column counts while everything before it does: the default operator class, the column's own collation, and
    -- ascending or descending all the way, as the server reads an index forwards or backwards; an expression ends it. A
    -- NULL within a value of a composite type is neither NULL nor NOT NULL, so those are left out.
    select i.indrelid, i.indexrelid, k.place, a.attname,
           bool_and(coalesce(o.opcdefault and i.indcollation[k.place - 1] = a.attcollation
                             and t.typcategory <> 'C' and i.indoption[k.place - 1] in (0, 3)
                             and i.indoption[k.place - 1] = i.indoption[0], false))
               over (partition by i.indexrelid order by k.place) as ordered
    from wanted w
    join pg_index i on i.indrelid = w.oid and i.indisvalid and i.indisready and i.indislive and i.indpred is null
    join pg_class x on x.oid = i.indexrelid
    join pg_am m on m.oid = x.relam and m.amname = 'btree'
    cross join lateral generate_series(1, i.indnkeyatts) as k(place)
    left join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[k.place - 1]
    left join pg_type t on t.oid = a.atttypid
    join pg_opclass o on o.oid = i.indclass[k.place - 1]
), indexed as (
    select indrelid, jsonb_agg(columns) as orders
    from (select indrelid, jsonb_agg(attname order by place) as columns
          from keyed where ordered group by indrelid, indexrelid) each_index
    group by indrelid
), described as (
    select p.schemaname, p.tablename,
           jsonb_object_agg(p.attname, jsonb_build_object('distinct', p.n_distinct,
                                                          'correlation', coalesce(p.correlation, 0))) as columns
    from pg_stats p
    where p.tablename = any (%(names)s::name[]) and p.schemaname = any (%(schemas)s::name[]) and p.attname = any (%(columns)s::name[])
      and not p.inherited
    group by p.schemaname, p.tablename
)
select w.nspname as schema, w.relname as name, w.reltuples::float8 as counted_rows, w.relpages as pages,
       w.relallvisible as all_visible, coalesce(s.n_live_tup, 0)::float8 as live_rows,
       coalesce(s.n_ins_since_vacuum, 0)::float8 as inserted,
       -- Rows that were updated in place are pruned early and then no longer count as dead; an ANALYZE after the vacuum
       -- counts them still.
       greatest(s.n_dead_tup,
                case when greatest(s.last_analyze, s.last_autoanalyze) >= greatest(s.last_vacuum, s.last_autovacuum)
                     then s.n_mod_since_analyze - s.n_ins_since_vacuum end, 0)::float8 as changed,
       coalesce(d.columns, '{}') as columns, coalesce(i.orders, '[]') as orders
from wanted w
left join pg_stat_all_tables s on s.relid = w.oid
left join described d on d.schemaname = w.nspname and d.tablename = w.relname
left join indexed i on i.indrelid = w.oid
