-- The two tables of a key, as the statistics show them, and whether two btree indexes lead along the key in its order.
-- Pages are counted from the files, because relpages is as old as the last vacuum. n_ins_since_vacuum came with 13.
with key as (
    select k.conrelid, k.confrelid, k.conkey, k.confkey
    from pg_constraint k
    where k.contype = 'f' and k.conname = %(name)s and k.conrelid = %(table)s::oid
), indexed as (
    select every_side.side, bool_or(
        i.indisvalid and i.indpred is null and am.amname = 'btree'
        and (i.indkey::int2[])[0:cardinality(every_side.columns) - 1] = every_side.columns) as along
    from (select 'child' as side, conrelid as relation, conkey as columns from key
          union all select 'parent', confrelid, confkey from key) as every_side
    left join pg_index i on i.indrelid = every_side.relation
    left join pg_class ic on ic.oid = i.indexrelid
    left join pg_am am on am.oid = ic.relam
    group by every_side.side
)
select x.side, coalesce(x.along, false) as along, c.oid, c.relkind = 'r' as plain,
       greatest(c.reltuples, 0)::float8 as rows,
       (pg_relation_size(c.oid) / current_setting('block_size')::bigint)::float8 as pages,
       (pg_indexes_size(c.oid) / current_setting('block_size')::bigint)::float8 as index_pages,
       c.relpages::float8 as pages_then, c.relallvisible::float8 as visible_then,
       (coalesce(s.n_dead_tup, 0) + coalesce(s.n_ins_since_vacuum, 0))::float8 as changed,
       coalesce((select st.correlation from pg_stats st
                 join pg_attribute a on a.attrelid = c.oid and a.attname = st.attname
                 where st.schemaname = n.nspname and st.tablename = c.relname and not st.inherited
                   and a.attnum = case x.side when 'child' then key.conkey[1] else key.confkey[1] end), 0)::float8
           as correlation,
       coalesce(s.last_vacuum, s.last_autovacuum) is not null as known
from key
cross join indexed x
join pg_class c on c.oid = case x.side when 'child' then key.conrelid else key.confrelid end
join pg_namespace n on n.oid = c.relnamespace
left join pg_stat_user_tables s on s.relid = c.oid
