-- Every table that holds rows of its own: ordinary ones and the leaves of partitioned ones.
-- Left out: schema orchestrator (the journal, which other connections of ours go on writing) and members of
-- extensions, whose rows pg_dump leaves to CREATE EXTENSION.
SELECT n.nspname AS schema, c.relname AS "table"
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r'
  AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'orchestrator')
  AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend d
    WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e'
  )
ORDER BY n.nspname, c.relname
