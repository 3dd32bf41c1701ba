-- id: I5.type_consistency
-- title: Has every kind of id one type throughout?
-- severity: critical
-- kind: structural
-- expected: 0 columns of another type: text, but uuid for workspace_id
-- remedy: Change the type of the columns named; their foreign keys cannot be added before.

WITH masters(name) AS (
    VALUES
        ('config_versions'), ('atp_scope_master'), ('vendor_master'), ('approval_role_master'),
        ('approval_policy_master'), ('approval_policy_stages'), ('cluster_master'),
        ('cluster_approver_master'), ('workflow_instances'), ('workflow_stages'), ('approver_overrides'),
        ('atp_submissions'), ('atp_submission_documents'), ('punchlists'), ('punchlist_items'),
        ('workflow_stage_actions')
), columns AS (
    SELECT c.relname || '.' || a.attname AS name, a.atttypid::regtype::text AS type, a.attname,
           CASE WHEN a.attname = 'workspace_id' THEN 'uuid' ELSE 'text' END AS wanted
    FROM masters m
    JOIN pg_class c ON c.relname = m.name AND c.relnamespace = to_regnamespace('public')::oid
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE a.attname IN ('id', 'workspace_id', 'config_version_id') OR a.attname LIKE '%\_user\_id'
), ends AS (
    -- What the keys of other tables refer to.
    SELECT c.relname || '.id', a.atttypid::regtype::text, a.attname, w.type
    FROM (VALUES ('workspaces', 'uuid'), ('users', 'text')) AS w(name, type)
    JOIN pg_class c ON c.relname = w.name AND c.relnamespace = to_regnamespace('public')::oid
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'id'
), every AS (
    SELECT name, type, attname, wanted FROM columns
    UNION ALL
    SELECT * FROM ends
)
-- 18 ids: with a table gone, fewer columns would agree all the more easily.
SELECT count(*) FILTER (WHERE type <> wanted) = 0 AND count(*) FILTER (WHERE attname = 'id') = 18 AS passed,
       format('%s of %s columns have another type '
              '(%s id, %s workspace_id, %s config_version_id, %s *_user_id)',
              count(*) FILTER (WHERE type <> wanted), count(*), count(*) FILTER (WHERE attname = 'id'),
              count(*) FILTER (WHERE attname = 'workspace_id'),
              count(*) FILTER (WHERE attname = 'config_version_id'),
              count(*) FILTER (WHERE attname LIKE '%\_user\_id'))
           || coalesce('; ' || string_agg(format('%s is %s', name, type), ', ' ORDER BY name)
                                   FILTER (WHERE type <> wanted), '') AS observed
FROM every;
