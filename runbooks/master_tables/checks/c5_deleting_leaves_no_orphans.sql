-- id: C5.deleting_leaves_no_orphans
-- title: Does deleting a row take along what hangs on it?
-- severity: critical
-- kind: behavioural
-- needs: all keys
-- expected: 0 of 8 dependent rows left behind, 0 of 5 references not cleared
-- remedy: Add the keys of the contract with their delete rules: cascade and set null do this work.

DO $check$
DECLARE
    workspace uuid := gen_random_uuid();
    person text := 'check-' || gen_random_uuid();
    leaver text := 'check-' || gen_random_uuid();
    site text := 'check-' || gen_random_uuid();
    first text;
    scope text;
    role text;
    policy text;
    vendor text;
    cluster text;
    running text;
    stage text;
    submission text;
    list text;
    cascading integer;
    clearing integer;
BEGIN
    INSERT INTO public.workspaces (id, code, name, customer_group_id, vendor_owner_id, updated_at)
    VALUES (workspace, 'check-' || workspace, 'Check', 'check', 'check', now());
    INSERT INTO public.users (id, email, updated_at)
    VALUES (person, person || '@check.invalid', now());
    INSERT INTO public.users (id, email, updated_at) VALUES (leaver, leaver || '@check.invalid', now());
    INSERT INTO public.sites (id, name) VALUES (site, 'Check');
    INSERT INTO public.config_versions
        (workspace_id, source_file_name, source_type, version_number, status, imported_by)
    VALUES (workspace, 'check.xlsx', 'EXCEL', 1, 'ACTIVE', person) RETURNING id INTO first;
    INSERT INTO public.atp_scope_master (workspace_id, config_version_id, scope_code, scope_name, scope_group)
    VALUES (workspace, first, 'CHECK', 'Check', 'CHECK') RETURNING id INTO scope;
    INSERT INTO public.approval_role_master
        (workspace_id, config_version_id, role_code, role_name, hierarchy_order)
    VALUES (workspace, first, 'CHECK', 'Check', 1) RETURNING id INTO role;
    INSERT INTO public.approval_policy_master
        (workspace_id, config_version_id, scope_id, atp_category, policy_version)
    VALUES (workspace, first, scope, 'BOTH', '1') RETURNING id INTO policy;
    INSERT INTO public.approval_policy_stages
        (policy_id, config_version_id, stage_number, stage_name, approval_role_id, assignment_mode,
         sequence_order)
    VALUES (policy, first, 1, 'Check', role, 'MANUAL', 1);
    INSERT INTO public.vendor_master (workspace_id, config_version_id, vendor_code, vendor_name, vendor_type)
    VALUES (workspace, first, 'CHECK', 'Check', 'CHECK') RETURNING id INTO vendor;
    INSERT INTO public.cluster_master (workspace_id, config_version_id, scope_id, region_name, cluster_code)
    VALUES (workspace, first, scope, 'Check', 'CHECK') RETURNING id INTO cluster;
    INSERT INTO public.cluster_approver_master
        (workspace_id, cluster_id, config_version_id, approval_role_id, primary_user_id, backup_user_id)
    VALUES (workspace, cluster, first, role, person, leaver);
    INSERT INTO public.workflow_instances
        (workspace_id, config_version_id, approval_policy_id, site_id, scope_id, atp_category, total_stages,
         vendor_id)
    VALUES (workspace, first, policy, site, scope, 'BOTH', 2, vendor) RETURNING id INTO running;
    INSERT INTO public.workflow_stages
        (workflow_instance_id, config_version_id, stage_number, approval_role_id, approver_user_id,
         decided_by)
    VALUES (running, first, 1, role, leaver, leaver) RETURNING id INTO stage;
    INSERT INTO public.workflow_stage_actions (workflow_stage_id, action_type)
    VALUES (stage, 'ASSIGN'), (stage, 'APPROVE');
    INSERT INTO public.approver_overrides
        (workspace_id, override_type, workflow_stage_id, approval_role_id, from_user_id, to_user_id,
         override_reason)
    VALUES (workspace, 'STAGE', stage, role, person, person, 'Check');
    INSERT INTO public.atp_submissions
        (workspace_id, config_version_id, site_id, scope_id, vendor_id, atp_category, workflow_instance_id)
    VALUES (workspace, first, site, scope, vendor, 'BOTH', running) RETURNING id INTO submission;
    INSERT INTO public.atp_submission_documents (workspace_id, submission_id, document_id, document_type)
    VALUES (workspace, submission, 'check', 'CHECK');
    INSERT INTO public.punchlists (workflow_instance_id) VALUES (running) RETURNING id INTO list;
    INSERT INTO public.punchlist_items (punchlist_id, item_code, description) VALUES (list, 'CHECK', 'Check');

    -- Set null: five columns name someone who goes. The rows stay, the names must not.
    DELETE FROM public.users WHERE id = leaver;
    DELETE FROM public.vendor_master WHERE id = vendor;
    SELECT (SELECT count(*) FROM public.cluster_approver_master WHERE backup_user_id = leaver)
         + (SELECT count(*) FROM public.workflow_stages WHERE approver_user_id = leaver)
         + (SELECT count(*) FROM public.workflow_stages WHERE decided_by = leaver)
         + (SELECT count(*) FROM public.workflow_instances WHERE vendor_id = vendor)
         + (SELECT count(*) FROM public.atp_submissions WHERE vendor_id = vendor) INTO clearing;

    -- Cascade: eight rows go with what they belong to. Restricted rows are deleted first, by hand.
    DELETE FROM public.punchlists WHERE id = list;
    DELETE FROM public.atp_submissions WHERE id = submission;
    DELETE FROM public.workflow_instances WHERE id = running;
    DELETE FROM public.cluster_master WHERE id = cluster;
    DELETE FROM public.approval_policy_master WHERE id = policy;
    SELECT (SELECT count(*) FROM public.punchlist_items WHERE punchlist_id = list)
         + (SELECT count(*) FROM public.atp_submission_documents WHERE submission_id = submission)
         + (SELECT count(*) FROM public.workflow_stages WHERE workflow_instance_id = running)
         + (SELECT count(*) FROM public.workflow_stage_actions WHERE workflow_stage_id = stage)
         + (SELECT count(*) FROM public.approver_overrides WHERE workflow_stage_id = stage)
         + (SELECT count(*) FROM public.cluster_approver_master WHERE cluster_id = cluster)
         + (SELECT count(*) FROM public.approval_policy_stages WHERE policy_id = policy) INTO cascading;

    PERFORM set_config('orchestrator.passed', (cascading + clearing = 0)::text, true);
    PERFORM set_config('orchestrator.observed',
        format('%s of 8 dependent rows left behind, %s of 5 references not cleared',
               cascading, clearing), true);
END
$check$;

SELECT current_setting('orchestrator.passed')::boolean AS passed,
       current_setting('orchestrator.observed') AS observed;
