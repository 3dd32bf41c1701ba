-- id: C1.tables
-- title: Are all 16 master tables there?
-- severity: critical
-- kind: structural
-- expected: 16 of 16 tables in schema public
-- remedy: Apply migration 20251229010228_add_master_tables_final_v2; deploy does not do it.

WITH wanted(name) AS (
    VALUES
        ('config_versions'), ('atp_scope_master'), ('vendor_master'), ('approval_role_master'),
        ('approval_policy_master'), ('approval_policy_stages'), ('cluster_master'),
        ('cluster_approver_master'), ('workflow_instances'), ('workflow_stages'), ('approver_overrides'),
        ('atp_submissions'), ('atp_submission_documents'), ('punchlists'), ('punchlist_items'),
        ('workflow_stage_actions')
), found AS (
    -- A view or foreign table under the name would satisfy to_regclass, but can carry no foreign key.
    SELECT w.name,
           EXISTS (SELECT FROM pg_class c
                   WHERE c.relnamespace = to_regnamespace('public')::oid
                     AND c.relname = w.name AND c.relkind IN ('r', 'p')) AS there
    FROM wanted w
)
SELECT bool_and(there) AS passed,
       format('%s of %s tables', count(*) FILTER (WHERE there), count(*))
           || coalesce('; missing: ' || string_agg(name, ', ' ORDER BY name) FILTER (WHERE NOT there), '')
           AS observed
FROM found;
