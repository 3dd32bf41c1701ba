-- id: C1.indexes
-- title: Are the 89 performance indexes there, as defined?
-- severity: important
-- kind: structural
-- expected: 89 of 89 usable and as defined
-- remedy: Create the missing ones with CREATE INDEX CONCURRENTLY; drop invalid ones first.

WITH masters(name) AS (
    VALUES
        ('config_versions'), ('atp_scope_master'), ('vendor_master'), ('approval_role_master'),
        ('approval_policy_master'), ('approval_policy_stages'), ('cluster_master'),
        ('cluster_approver_master'), ('workflow_instances'), ('workflow_stages'), ('approver_overrides'),
        ('atp_submissions'), ('atp_submission_documents'), ('punchlists'), ('punchlist_items'),
        ('workflow_stage_actions')
), wanted(table_name, is_unique, columns) AS (
    VALUES
        ('config_versions',          false, 'workspace_id, status'),
        ('config_versions',          false, 'workspace_id, source_type, version_number'),
        ('config_versions',          false, 'workspace_id, effective_date'),
        ('config_versions',          false, 'imported_by'),
        ('config_versions',          false, 'previous_version_id'),
        ('config_versions',          false, 'superseded_by_id'),
        ('atp_scope_master',         true,  'workspace_id, scope_code, config_version_id'),
        ('atp_scope_master',         false, 'workspace_id, config_version_id, is_active'),
        ('atp_scope_master',         false, 'workspace_id, scope_group, is_active'),
        ('atp_scope_master',         false, 'default_template_code'),
        ('atp_scope_master',         false, 'config_version_id'),
        ('vendor_master',            true,  'workspace_id, vendor_code, config_version_id'),
        ('vendor_master',            false, 'workspace_id, config_version_id, is_active'),
        ('vendor_master',            false, 'vendor_code'),
        ('vendor_master',            false, 'config_version_id'),
        ('approval_role_master',     true,  'workspace_id, role_code, config_version_id'),
        ('approval_role_master',     false, 'workspace_id, config_version_id, is_active'),
        ('approval_role_master',     false, 'workspace_id, hierarchy_order, is_active'),
        ('approval_role_master',     false, 'config_version_id'),
        ('approval_policy_master',   true,  'workspace_id, config_version_id, scope_id, vendor_id, atp_category'),
        ('approval_policy_master',   false, 'workspace_id, scope_id, is_active, fallback_priority'),
        ('approval_policy_master',   false, 'workspace_id, vendor_id, is_active'),
        ('approval_policy_master',   false, 'config_version_id'),
        ('approval_policy_master',   false, 'scope_id'),
        ('approval_policy_master',   false, 'vendor_id'),
        ('approval_policy_master',   false, 'parent_policy_id'),
        ('approval_policy_stages',   true,  'policy_id, stage_number, approval_role_id, config_version_id'),
        ('approval_policy_stages',   false, 'policy_id, sequence_order'),
        ('approval_policy_stages',   false, 'approval_role_id, is_active'),
        ('approval_policy_stages',   false, 'policy_id, parallel_group, is_active'),
        ('approval_policy_stages',   false, 'config_version_id'),
        ('cluster_master',           true,  'workspace_id, config_version_id, cluster_code'),
        ('cluster_master',           false, 'workspace_id, config_version_id, is_active'),
        ('cluster_master',           false, 'workspace_id, region_code, is_active'),
        ('cluster_master',           false, 'workspace_id, m_sequence, is_active'),
        ('cluster_master',           false, 'config_version_id'),
        ('cluster_master',           false, 'scope_id'),
        ('cluster_approver_master',  true,  'workspace_id, cluster_id, approval_role_id, config_version_id'),
        ('cluster_approver_master',  false, 'workspace_id, cluster_id, approval_role_id, config_version_id, is_active'),
        ('cluster_approver_master',  false, 'primary_user_id, is_active'),
        ('cluster_approver_master',  false, 'cluster_id'),
        ('cluster_approver_master',  false, 'config_version_id'),
        ('cluster_approver_master',  false, 'approval_role_id'),
        ('cluster_approver_master',  false, 'backup_user_id'),
        ('workflow_instances',       false, 'workspace_id'),
        ('workflow_instances',       false, 'site_id'),
        ('workflow_instances',       false, 'status'),
        ('workflow_instances',       false, 'approval_policy_id'),
        ('workflow_instances',       false, 'config_version_id'),
        ('workflow_instances',       false, 'vendor_id'),
        ('workflow_instances',       false, 'scope_id'),
        ('workflow_instances',       false, 'workspace_id, status, created_at'),
        ('workflow_stages',          true,  'workflow_instance_id, stage_number, approval_role_id, parallel_group'),
        ('workflow_stages',          false, 'workflow_instance_id'),
        ('workflow_stages',          false, 'approver_user_id, status'),
        ('workflow_stages',          false, 'status'),
        ('workflow_stages',          false, 'stage_number'),
        ('workflow_stages',          false, 'config_version_id'),
        ('workflow_stages',          false, 'approval_role_id'),
        ('workflow_stages',          false, 'decided_by'),
        ('workflow_stages',          false, 'policy_stage_id'),
        ('workflow_stages',          false, 'sla_due_at'),
        ('approver_overrides',       false, 'workflow_stage_id, is_active'),
        ('approver_overrides',       false, 'submission_id, is_active'),
        ('approver_overrides',       false, 'cluster_id, approval_role_id, is_active'),
        ('approver_overrides',       false, 'workspace_id'),
        ('approver_overrides',       false, 'approval_role_id'),
        ('approver_overrides',       false, 'from_user_id'),
        ('approver_overrides',       false, 'to_user_id'),
        ('atp_submissions',          true,  'workspace_id, site_id, scope_id, atp_category'),
        ('atp_submissions',          false, 'workspace_id'),
        ('atp_submissions',          false, 'site_id'),
        ('atp_submissions',          false, 'status'),
        ('atp_submissions',          false, 'workflow_instance_id'),
        ('atp_submissions',          false, 'config_version_id'),
        ('atp_submissions',          false, 'scope_id'),
        ('atp_submissions',          false, 'vendor_id'),
        ('atp_submissions',          false, 'workspace_id, status, created_at'),
        ('atp_submission_documents', false, 'submission_id'),
        ('atp_submission_documents', false, 'document_id'),
        ('atp_submission_documents', false, 'workspace_id'),
        ('punchlists',               false, 'workflow_instance_id'),
        ('punchlists',               false, 'workflow_stage_id'),
        ('punchlists',               false, 'status'),
        ('punchlist_items',          false, 'punchlist_id'),
        ('punchlist_items',          false, 'status'),
        ('workflow_stage_actions',   false, 'workflow_stage_id'),
        ('workflow_stage_actions',   false, 'actor_user_id'),
        ('workflow_stage_actions',   false, 'action_at')
), performance AS (
    -- Neither primary keys nor the partial unique index, which has a check of its own.
    SELECT c.relname AS table_name, x.relname AS index_name,
           i.indisvalid AND i.indisready AND i.indislive AS usable, i.indisunique AS is_unique,
           -- Plain: nothing but the columns in their order decides what the index can answer or refuse.
           i.indpred IS NULL AND i.indexprs IS NULL AND i.indimmediate AND i.indnatts = i.indnkeyatts
               AND am.amname = 'btree' AND NOT (0 <> ANY (i.indoption::smallint[]))
               AND pg_get_indexdef(i.indexrelid) NOT LIKE '%NULLS NOT DISTINCT%' AS plain,
           (SELECT string_agg(a.attname, ', ' ORDER BY k.place)
            FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS k(attnum, place)
            JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum) AS columns
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indrelid AND c.relnamespace = to_regnamespace('public')::oid
    JOIN masters m ON m.name = c.relname
    JOIN pg_class x ON x.oid = i.indexrelid
    JOIN pg_am am ON am.oid = x.relam
    WHERE NOT i.indisprimary AND NOT (i.indisunique AND i.indpred IS NOT NULL)
), compared AS (
    SELECT w.*, EXISTS (SELECT FROM performance p
                        WHERE p.usable AND p.plain AND (p.table_name, p.is_unique, p.columns)
                                                     = (w.table_name, w.is_unique, w.columns)) AS there
    FROM wanted w
), counted AS (
    -- Counts are counts of this list: an index that a DBA added is none of our business.
    SELECT (SELECT string_agg(index_name, ', ' ORDER BY index_name) FROM performance WHERE NOT usable)
               AS invalid,
           count(*) FILTER (WHERE there) AS there, count(*) AS wanted,
           string_agg(CASE WHEN is_unique THEN 'unique ' ELSE '' END || table_name || ' (' || columns || ')',
                      ', ' ORDER BY table_name, columns) FILTER (WHERE NOT there) AS lacking
    FROM compared
)
SELECT there = wanted AND invalid IS NULL AS passed,
       format('%s of %s indexes as defined', there, wanted)
           || coalesce('; missing or different: ' || lacking, '')
           || coalesce('; invalid: ' || invalid, '') AS observed
FROM counted;
