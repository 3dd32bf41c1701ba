-- id: I4.workspace_isolation
-- title: Do rows stay within one workspace along the workflow chain?
-- severity: critical
-- kind: structural
-- blame: data
-- expected: 0 rows on 13 paths
-- remedy: Find the rows of the paths named and move or delete them; nothing here repairs itself.

-- C5 compares the two tables of a relation when both have a workspace. Most of these paths need a table in
-- between or are in no key of the contract. A role without a workspace is global: NULL differs from nothing.
WITH paths AS (
    SELECT 'policy stage to its version' AS path, count(*) AS differing
    FROM public.approval_policy_stages s JOIN public.approval_policy_master p ON p.id = s.policy_id
    JOIN public.config_versions o ON o.id = s.config_version_id
    WHERE p.workspace_id <> o.workspace_id
    UNION ALL
    SELECT 'policy stage to its role', count(*)
    FROM public.approval_policy_stages s JOIN public.approval_policy_master p ON p.id = s.policy_id
    JOIN public.approval_role_master o ON o.id = s.approval_role_id
    WHERE p.workspace_id <> o.workspace_id
    UNION ALL
    SELECT 'workflow stage to its version', count(*)
    FROM public.workflow_stages s JOIN public.workflow_instances w ON w.id = s.workflow_instance_id
    JOIN public.config_versions o ON o.id = s.config_version_id
    WHERE w.workspace_id <> o.workspace_id
    UNION ALL
    SELECT 'workflow stage to its role', count(*)
    FROM public.workflow_stages s JOIN public.workflow_instances w ON w.id = s.workflow_instance_id
    JOIN public.approval_role_master o ON o.id = s.approval_role_id
    WHERE w.workspace_id <> o.workspace_id
    UNION ALL
    SELECT 'workflow stage to its policy', count(*)
    FROM public.workflow_stages s JOIN public.workflow_instances w ON w.id = s.workflow_instance_id
    JOIN public.approval_policy_stages p ON p.id = s.policy_stage_id
    JOIN public.approval_policy_master o ON o.id = p.policy_id
    WHERE w.workspace_id <> o.workspace_id
    UNION ALL
    SELECT 'workflow to its scope', count(*)
    FROM public.workflow_instances w JOIN public.atp_scope_master o ON o.id = w.scope_id
    WHERE w.workspace_id <> o.workspace_id
    UNION ALL
    SELECT 'override to the workflow of its stage', count(*)
    FROM public.approver_overrides x JOIN public.workflow_stages s ON s.id = x.workflow_stage_id
    JOIN public.workflow_instances o ON o.id = s.workflow_instance_id
    WHERE x.workspace_id <> o.workspace_id
    UNION ALL
    SELECT 'override to its submission', count(*)
    FROM public.approver_overrides x JOIN public.atp_submissions o ON o.id = x.submission_id
    WHERE x.workspace_id <> o.workspace_id
    UNION ALL
    SELECT 'override to its cluster', count(*)
    FROM public.approver_overrides x JOIN public.cluster_master o ON o.id = x.cluster_id
    WHERE x.workspace_id <> o.workspace_id
    UNION ALL
    SELECT 'cluster to its scope', count(*)
    FROM public.cluster_master c JOIN public.atp_scope_master o ON o.id = c.scope_id
    WHERE c.workspace_id <> o.workspace_id
    UNION ALL
    SELECT 'submission to its workflow', count(*)
    FROM public.atp_submissions b JOIN public.workflow_instances o ON o.id = b.workflow_instance_id
    WHERE b.workspace_id <> o.workspace_id
    UNION ALL
    SELECT 'document to its submission', count(*)
    FROM public.atp_submission_documents d JOIN public.atp_submissions o ON o.id = d.submission_id
    WHERE d.workspace_id <> o.workspace_id
    UNION ALL
    SELECT 'punch list to the workflow of its stage', count(*)
    FROM public.punchlists l JOIN public.workflow_instances w ON w.id = l.workflow_instance_id
    JOIN public.workflow_stages s ON s.id = l.workflow_stage_id
    JOIN public.workflow_instances o ON o.id = s.workflow_instance_id
    WHERE w.workspace_id <> o.workspace_id
)
SELECT sum(differing) = 0 AS passed,
       format('%s rows cross workspaces on %s of %s paths',
              sum(differing), count(*) FILTER (WHERE differing > 0), count(*))
           || coalesce('; ' || string_agg(format('%s: %s', path, differing), ', ' ORDER BY path)
                                   FILTER (WHERE differing > 0), '') AS observed
FROM paths;
