-- id: I3.freeze_by_reference
-- title: Does every workflow point to a version of its own workspace?
-- severity: critical
-- kind: structural
-- blame: data
-- expected: 0 workflows without such a version
-- remedy: Repair the workflows counted here before the keys are added; audit finds the orphans.

WITH judged AS (
    SELECT v.id IS NULL AS lost, v.workspace_id <> w.workspace_id AS foreign_workspace
    FROM public.workflow_instances w
    LEFT JOIN public.config_versions v ON v.id = w.config_version_id
)
SELECT count(*) FILTER (WHERE lost OR foreign_workspace) = 0 AS passed,
       format('%s workflows: %s refer to a version that does not exist, %s to one of another workspace',
              count(*), count(*) FILTER (WHERE lost), count(*) FILTER (WHERE foreign_workspace)) AS observed
FROM judged;
