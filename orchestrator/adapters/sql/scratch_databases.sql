-- Scratch databases of any run, how many sessions are connected to each, and whether a session of its run is there at all:
-- the name tells the run as scratch_name writes it.
SELECT
  d.datname AS name,
  pg_catalog.shobj_description(d.oid, 'pg_database') AS maker,
  (SELECT count(*) FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid) AS sessions,
  EXISTS (
    SELECT FROM pg_catalog.pg_stat_activity a
    WHERE a.application_name LIKE 'orchestrator/%'
      AND starts_with(d.datname, 'orchestrator_scratch_' || trim(BOTH '_' FROM left(regexp_replace(
        lower(split_part(a.application_name, '/', 2)), '[^a-z0-9]+', '_', 'g'), 28)) || '_')
  ) AS watched
FROM pg_catalog.pg_database d
WHERE d.datname LIKE 'orchestrator\_scratch\_%'
ORDER BY d.datname
