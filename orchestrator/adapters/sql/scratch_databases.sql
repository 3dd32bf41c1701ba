-- Scratch databases of any run, and how many sessions are connected to each.
SELECT
  d.datname AS name,
  pg_catalog.shobj_description(d.oid, 'pg_database') AS maker,
  (SELECT count(*) FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid) AS sessions
FROM pg_catalog.pg_database d
WHERE d.datname LIKE 'orchestrator\_scratch\_%'
ORDER BY d.datname
