-- id: I2.one_active_per_workspace
-- title: Has every workspace at most one ACTIVE configuration?
-- severity: critical
-- kind: structural
-- blame: data
-- expected: 0 workspaces with more than one
-- remedy: Supersede all but the newest ACTIVE version, then look at C1.active_index.

WITH active AS (
    SELECT workspace_id, count(*) AS versions
    FROM public.config_versions
    WHERE status = 'ACTIVE'
    GROUP BY workspace_id
)
SELECT count(*) FILTER (WHERE versions > 1) = 0 AS passed,
       format('%s of %s workspaces have more than one ACTIVE configuration',
              count(*) FILTER (WHERE versions > 1), count(*)) AS observed
FROM active;
