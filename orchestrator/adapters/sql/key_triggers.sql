-- The key that a trigger keeps, by the trigger's name, which holds its object identifier. A partition's key, and the
-- helper rows for partitions of a referenced table, are told as the key that people made.
with recursive key as (
    select c.oid, c.conname, c.conrelid
    from pg_constraint c
    where c.contype = 'f' and c.conparentid = 0
    union all
    select c.oid, k.conname, k.conrelid
    from pg_constraint c join key k on k.oid = c.conparentid
    where c.contype = 'f'
)
select g.tgname::text as trigger, n.nspname || '.' || t.relname || '.' || k.conname as key
from key k
join pg_trigger g on g.tgconstraint = k.oid
join pg_class t on t.oid = k.conrelid
join pg_namespace n on n.oid = t.relnamespace
