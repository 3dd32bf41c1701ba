-- id: C1.active_index
-- title: Does an index allow only one ACTIVE configuration per workspace?
-- severity: critical
-- kind: structural
-- expected: unique, valid, on (workspace_id) where status is ACTIVE
-- remedy: Create ux_config_versions_one_active_per_workspace again, after I2 shows 0 workspaces.

WITH found AS (
    SELECT i.indisunique AND i.indimmediate AS is_unique,
           i.indisvalid AND i.indisready AND i.indislive AS valid,
           coalesce(pg_get_expr(i.indpred, i.indrelid), 'every row') AS predicate,
           (SELECT string_agg(coalesce(a.attname, 'an expression'), ', ' ORDER BY k.place)
            FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS k(attnum, place)
            LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum AND k.attnum > 0
           ) AS columns
    FROM pg_index i
    JOIN pg_class x ON x.oid = i.indexrelid
    JOIN pg_class c ON c.oid = i.indrelid
    WHERE c.relnamespace = to_regnamespace('public')::oid
      AND c.relname = 'config_versions' AND x.relname = 'ux_config_versions_one_active_per_workspace'
)
SELECT coalesce(bool_and(is_unique AND valid AND columns = 'workspace_id'
                         AND regexp_replace(predicate, '::text|::character varying|[() ]', '', 'g')
                             = 'status=''ACTIVE'''), false) AS passed,
       coalesce(string_agg(format('%s, %s, on (%s) where %s',
                                  CASE WHEN is_unique THEN 'unique' ELSE 'not unique' END,
                                  CASE WHEN valid THEN 'valid' ELSE 'invalid' END, columns, predicate), '; '),
                '0 indexes of this name on config_versions') AS observed
FROM found;
