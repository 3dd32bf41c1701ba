-- id: C1.gen_random_uuid
-- title: Can the database make random ids?
-- severity: critical
-- kind: structural
-- expected: two calls give two different version 4 uuids
-- remedy: On PostgreSQL 13 or newer, find what stands in front of pg_catalog in search_path.

WITH drawn AS MATERIALIZED (
    SELECT gen_random_uuid()::text AS one, gen_random_uuid()::text AS two
)
SELECT one <> two AND substr(one, 15, 1) = '4' AND substr(two, 15, 1) = '4' AS passed,
       format('%s different ids of 2, versions %s and %s',
              CASE WHEN one = two THEN 1 ELSE 2 END, substr(one, 15, 1), substr(two, 15, 1)) AS observed
FROM drawn;
