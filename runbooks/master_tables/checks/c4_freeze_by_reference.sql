-- id: C4.freeze_by_reference
-- title: Does a running workflow keep its configuration when a newer one appears?
-- severity: critical
-- kind: behavioural
-- expected: 1 workflow and 2 of 2 stages on the first version; a new workflow on the second
-- remedy: Look for triggers or jobs that rewrite config_version_id when a version is superseded.

DO $check$
DECLARE
    workspace uuid := gen_random_uuid();
    person text := 'check-' || gen_random_uuid();
    site text := 'check-' || gen_random_uuid();
    first text;
    second text;
    scope text;
    role text;
    policy text;
    running text;
    later text;
    kept integer;
    stages integer;
    readable integer;
    fresh integer;
BEGIN
    INSERT INTO public.workspaces (id, code, name, customer_group_id, vendor_owner_id, updated_at)
    VALUES (workspace, 'check-' || workspace, 'Check', 'check', 'check', now());
    INSERT INTO public.users (id, email, updated_at)
    VALUES (person, person || '@check.invalid', now());
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
    INSERT INTO public.workflow_instances
        (workspace_id, config_version_id, approval_policy_id, site_id, scope_id, atp_category, total_stages)
    VALUES (workspace, first, policy, site, scope, 'BOTH', 2) RETURNING id INTO running;
    INSERT INTO public.workflow_stages
        (workflow_instance_id, config_version_id, stage_number, approval_role_id)
    VALUES (running, first, 1, role), (running, first, 2, role);

    -- A newer version takes over, with rules of its own.
    INSERT INTO public.config_versions
        (workspace_id, source_file_name, source_type, version_number, status, imported_by,
         previous_version_id)
    VALUES (workspace, 'check.xlsx', 'EXCEL', 2, 'DRAFT', person, first) RETURNING id INTO second;
    UPDATE public.config_versions SET status = 'SUPERSEDED', superseded_by_id = second WHERE id = first;
    UPDATE public.config_versions SET status = 'ACTIVE', activated_at = now() WHERE id = second;
    INSERT INTO public.atp_scope_master (workspace_id, config_version_id, scope_code, scope_name, scope_group)
    VALUES (workspace, second, 'CHECK', 'Check', 'CHECK') RETURNING id INTO scope;
    INSERT INTO public.approval_role_master
        (workspace_id, config_version_id, role_code, role_name, hierarchy_order)
    VALUES (workspace, second, 'CHECK', 'Check', 1) RETURNING id INTO role;
    INSERT INTO public.approval_policy_master
        (workspace_id, config_version_id, scope_id, atp_category, policy_version)
    VALUES (workspace, second, scope, 'BOTH', '1') RETURNING id INTO policy;
    INSERT INTO public.workflow_instances
        (workspace_id, config_version_id, approval_policy_id, site_id, scope_id, atp_category, total_stages)
    VALUES (workspace, second, policy, site, scope, 'BOTH', 2) RETURNING id INTO later;

    SELECT count(*) INTO kept FROM public.workflow_instances WHERE id = running AND config_version_id = first;
    SELECT count(*) INTO stages FROM public.workflow_stages
    WHERE workflow_instance_id = running AND config_version_id = first;
    -- Kept is not enough: the rules of the old version must still be readable.
    SELECT count(*) INTO readable
    FROM public.workflow_instances w
    JOIN public.config_versions v ON v.id = w.config_version_id AND v.status = 'SUPERSEDED'
    JOIN public.approval_policy_master p ON p.id = w.approval_policy_id AND p.config_version_id = v.id
    JOIN public.atp_scope_master s ON s.id = w.scope_id AND s.config_version_id = v.id
    WHERE w.id = running;
    SELECT count(*) INTO fresh FROM public.workflow_instances WHERE id = later AND config_version_id = second;

    PERFORM set_config('orchestrator.passed',
        (kept = 1 AND stages = 2 AND readable = 1 AND fresh = 1)::text, true);
    PERFORM set_config('orchestrator.observed',
        format('%s of 1 workflow and %s of 2 stages on the first version, its rules readable for %s of 1; '
               '%s of 1 new workflow on the second', kept, stages, readable, fresh), true);
END
$check$;

SELECT current_setting('orchestrator.passed')::boolean AS passed,
       current_setting('orchestrator.observed') AS observed;
