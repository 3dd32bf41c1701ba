-- id: C1.checks
-- title: Do the 21 CHECK constraints hold the values they were written for?
-- severity: important
-- kind: structural
-- expected: 21 of 21 by name, validated, with the listed definition
-- remedy: Add or correct the named constraints: NOT VALID first, then VALIDATE CONSTRAINT.

WITH wanted(table_name, name, rule) AS (
    VALUES
        ('config_versions', 'ck_config_versions_status',
         $$status IN ('DRAFT', 'VALIDATED', 'ACTIVE', 'SUPERSEDED', 'ARCHIVED', 'FAILED', 'ROLLED_BACK')$$),
        ('config_versions', 'ck_config_versions_validation_status',
         $$validation_status IN ('PENDING', 'VALIDATING', 'VALID', 'PASSED', 'WARNING', 'INVALID',
           'FAILED')$$),
        ('config_versions', 'ck_config_versions_version_number', $$version_number > 0$$),
        ('config_versions', 'ck_config_versions_row_count', $$row_count >= 0$$),
        ('atp_scope_master', 'ck_atp_scope_master_atp_type',
         $$atp_type IN ('HARDWARE', 'SOFTWARE', 'BOTH')$$),
        ('approval_role_master', 'ck_approval_role_master_hierarchy_order', $$hierarchy_order >= 0$$),
        ('approval_policy_master', 'ck_approval_policy_master_atp_category',
         $$atp_category IN ('HARDWARE', 'SOFTWARE', 'BOTH')$$),
        ('approval_policy_stages', 'ck_approval_policy_stages_stage_number', $$stage_number > 0$$),
        ('approval_policy_stages', 'ck_approval_policy_stages_sla_hours', $$sla_hours > 0$$),
        ('approval_policy_stages', 'ck_approval_policy_stages_assignment_mode',
         $$assignment_mode IN ('AUTO', 'MANUAL', 'ROLE', 'USER', 'CLUSTER')$$),
        ('cluster_master', 'ck_cluster_master_site_count', $$site_count >= 0$$),
        ('workflow_instances', 'ck_workflow_instances_status',
         $$status IN ('PENDING', 'IN_PROGRESS', 'ON_HOLD', 'APPROVED', 'REJECTED', 'COMPLETED',
           'CANCELLED')$$),
        ('workflow_stages', 'ck_workflow_stages_stage_number', $$stage_number > 0$$),
        ('workflow_stages', 'ck_workflow_stages_status',
         $$status IN ('PENDING', 'IN_PROGRESS', 'IN_REVIEW', 'APPROVED', 'APPROVED_WITH_PUNCHLIST',
           'REJECTED', 'DELEGATED', 'SKIPPED', 'CANCELLED')$$),
        ('approver_overrides', 'ck_approver_overrides_override_type',
         $$override_type IN ('STAGE', 'SUBMISSION', 'CLUSTER', 'REGION', 'GLOBAL')$$),
        ('approver_overrides', 'ck_approver_overrides_approval_status',
         $$approval_status IN ('PENDING', 'APPROVED', 'REJECTED', 'CANCELLED', 'EXPIRED')$$),
        ('atp_submissions', 'ck_atp_submissions_status',
         $$status IN ('DRAFT', 'SUBMITTED', 'IN_PROGRESS', 'IN_REVIEW', 'APPROVED',
           'APPROVED_WITH_PUNCHLIST', 'REJECTED', 'CANCELLED')$$),
        ('atp_submissions', 'ck_atp_submissions_document_count', $$document_count >= 0$$),
        ('punchlists', 'ck_punchlists_status',
         $$status IN ('OPEN', 'IN_PROGRESS', 'CLEARED', 'VERIFIED', 'CLOSED', 'CANCELLED')$$),
        ('punchlist_items', 'ck_punchlist_items_status',
         $$status IN ('OPEN', 'IN_PROGRESS', 'RESOLVED', 'CLEARED', 'VERIFIED', 'WAIVED', 'CANCELLED')$$),
        ('workflow_stage_actions', 'ck_workflow_stage_actions_action_type',
         $$action_type IN ('ASSIGN', 'START', 'APPROVE', 'APPROVE_WITH_PUNCHLIST', 'REJECT',
           'REQUEST_CHANGES', 'DELEGATE', 'REASSIGN', 'ESCALATE', 'OVERRIDE', 'SKIP', 'COMMENT')$$)
), standing AS (
    -- PostgreSQL 18 also keeps NOT NULL as constraints, hence contype. The deparsed text changes with a dump
    -- and restore (casts move into the array), so casts and brackets are removed from both sides before they
    -- are compared; NOT VALID and NOT ENFORCED stay in the text and make it differ.
    SELECT r.relname AS table_name, c.conname AS name, c.convalidated,
           regexp_replace(
               regexp_replace(pg_get_constraintdef(c.oid),
                              '^CHECK|::character varying|::text(\[\])?|[][() ]', '', 'g'),
               '=ANYARRAY', 'IN') AS rule
    FROM pg_constraint c
    JOIN pg_class r ON r.oid = c.conrelid AND r.relnamespace = to_regnamespace('public')::oid
    WHERE c.contype = 'c'
), compared AS (
    SELECT w.table_name, w.name,
           CASE WHEN s.name IS NULL THEN 'missing'
                WHEN NOT s.convalidated THEN 'not validated'
                WHEN s.rule <> regexp_replace(w.rule, '[() \n]', '', 'g') THEN 'different'
                ELSE 'as listed'
           END AS state
    FROM wanted w
    LEFT JOIN standing s ON (s.table_name, s.name) = (w.table_name, w.name)
)
SELECT bool_and(state = 'as listed') AS passed,
       format('%s of %s as listed', count(*) FILTER (WHERE state = 'as listed'), count(*))
           || coalesce('; ' || string_agg(name || ' ' || state, ', ' ORDER BY name)
                                   FILTER (WHERE state <> 'as listed'), '') AS observed
FROM compared;
