-- id: C3.version_chain
-- title: Is the chain of configuration versions whole?
-- severity: important
-- kind: structural
-- blame: data
-- expected: 0 broken links
-- remedy: Correct previous_version_id and superseded_by_id of the versions counted, or set them to NULL.

WITH links AS (
    SELECT v.id, v.workspace_id, 'previous_version_id' AS link, v.previous_version_id AS target
    FROM public.config_versions v WHERE v.previous_version_id IS NOT NULL
    UNION ALL
    SELECT v.id, v.workspace_id, 'superseded_by_id', v.superseded_by_id
    FROM public.config_versions v WHERE v.superseded_by_id IS NOT NULL
), judged AS (
    SELECT t.id IS NULL AS dangling, l.target = l.id AS own,
           t.workspace_id <> l.workspace_id AS foreign_workspace
    FROM links l
    LEFT JOIN public.config_versions t ON t.id = l.target
), counted AS (
    SELECT count(*) AS links, count(*) FILTER (WHERE dangling) AS dangling,
           count(*) FILTER (WHERE own) AS own,
           count(*) FILTER (WHERE foreign_workspace) AS foreign_workspace
    FROM judged
)
SELECT dangling + own + foreign_workspace = 0 AS passed,
       format('%s links: %s lead nowhere, %s to their own version, %s to another workspace',
              links, dangling, own, foreign_workspace) AS observed
FROM counted;
