-- The tables of a contract with their partitions, as object identifiers for the probes.
with recursive named as (
    select c.oid, wanted.side
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    join unnest(%(schemas)s::text[], %(names)s::text[], %(sides)s::text[]) as wanted (schema, name, side)
        on wanted.schema = n.nspname and wanted.name = c.relname
), family as (
    select oid, side from named
    union
    select i.inhrelid, f.side from family f join pg_inherits i on i.inhparent = f.oid
    join pg_class c on c.oid = i.inhrelid and c.relispartition
)
select oid, side from family
