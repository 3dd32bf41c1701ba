-- id: I1.referenced_active_stays
-- title: Is an ACTIVE configuration that is referenced safe from deletion?
-- severity: critical
-- kind: behavioural
-- needs: all keys
-- expected: 10 of 10 references refuse the deletion
-- remedy: Add the config_version_id keys of the tables named; each must restrict deletion.

DO $check$
DECLARE
    workspace uuid := gen_random_uuid();
    person text := 'check-' || gen_random_uuid();
    site text := 'check-' || gen_random_uuid();
    draft text;
    active text;
    scope text;
    role text;
    policy text;
    cluster text;
    running text;
    referencing record;
    refused integer := 0;
    tried integer := 0;
    states text[] := '{}';
    unprotected text[] := '{}';
BEGIN
    INSERT INTO public.workspaces (id, code, name, customer_group_id, vendor_owner_id, updated_at)
    VALUES (workspace, 'check-' || workspace, 'Check', 'check', 'check', now());
    INSERT INTO public.users (id, email, updated_at)
    VALUES (person, person || '@check.invalid', now());
    INSERT INTO public.sites (id, name) VALUES (site, 'Check');
    INSERT INTO public.config_versions
        (workspace_id, source_file_name, source_type, version_number, status, imported_by)
    VALUES (workspace, 'check.xlsx', 'EXCEL', 1, 'DRAFT', person) RETURNING id INTO draft;
    INSERT INTO public.config_versions
        (workspace_id, source_file_name, source_type, version_number, status, imported_by)
    VALUES (workspace, 'check.xlsx', 'EXCEL', 2, 'ACTIVE', person) RETURNING id INTO active;

    -- One row in each of the ten tables, all on the draft. Each is then moved to the ACTIVE version alone, so
    -- that a refusal is owed to this one reference and not to a neighbour.
    INSERT INTO public.atp_scope_master (workspace_id, config_version_id, scope_code, scope_name, scope_group)
    VALUES (workspace, draft, 'CHECK', 'Check', 'CHECK') RETURNING id INTO scope;
    INSERT INTO public.approval_role_master
        (workspace_id, config_version_id, role_code, role_name, hierarchy_order)
    VALUES (workspace, draft, 'CHECK', 'Check', 1) RETURNING id INTO role;
    INSERT INTO public.approval_policy_master
        (workspace_id, config_version_id, scope_id, atp_category, policy_version)
    VALUES (workspace, draft, scope, 'BOTH', '1') RETURNING id INTO policy;
    INSERT INTO public.vendor_master (workspace_id, config_version_id, vendor_code, vendor_name, vendor_type)
    VALUES (workspace, draft, 'CHECK', 'Check', 'CHECK');
    INSERT INTO public.approval_policy_stages
        (policy_id, config_version_id, stage_number, stage_name, approval_role_id, assignment_mode,
         sequence_order)
    VALUES (policy, draft, 1, 'Check', role, 'MANUAL', 1);
    INSERT INTO public.cluster_master (workspace_id, config_version_id, scope_id, region_name, cluster_code)
    VALUES (workspace, draft, scope, 'Check', 'CHECK') RETURNING id INTO cluster;
    INSERT INTO public.cluster_approver_master
        (workspace_id, cluster_id, config_version_id, approval_role_id, primary_user_id)
    VALUES (workspace, cluster, draft, role, person);
    INSERT INTO public.workflow_instances
        (workspace_id, config_version_id, approval_policy_id, site_id, scope_id, atp_category, total_stages)
    VALUES (workspace, draft, policy, site, scope, 'BOTH', 2) RETURNING id INTO running;
    INSERT INTO public.workflow_stages
        (workflow_instance_id, config_version_id, stage_number, approval_role_id)
    VALUES (running, draft, 1, role);
    INSERT INTO public.atp_submissions (workspace_id, config_version_id, site_id, scope_id, atp_category)
    VALUES (workspace, draft, site, scope, 'BOTH');

    FOR referencing IN
        SELECT unnest(ARRAY[
            'atp_scope_master', 'vendor_master', 'approval_role_master', 'approval_policy_master',
            'approval_policy_stages', 'cluster_master', 'cluster_approver_master', 'workflow_instances',
            'workflow_stages', 'atp_submissions']) AS name
    LOOP
        tried := tried + 1;
        EXECUTE format('UPDATE public.%I SET config_version_id = $1 WHERE config_version_id = $2',
                       referencing.name) USING active, draft;
        BEGIN
            DELETE FROM public.config_versions WHERE id = active;
            -- Undo the deletion with the block: the next table needs the version.
            RAISE EXCEPTION USING ERRCODE = 'ZZ001';
        EXCEPTION
            -- RESTRICT reports 23503 before PostgreSQL 18 and 23001 since.
            WHEN foreign_key_violation OR restrict_violation THEN
                refused := refused + 1;
                IF SQLSTATE <> ALL (states) THEN states := states || SQLSTATE; END IF;
            WHEN SQLSTATE 'ZZ001' THEN
                unprotected := unprotected || referencing.name::text;
        END;
        EXECUTE format('UPDATE public.%I SET config_version_id = $2 WHERE config_version_id = $1',
                       referencing.name) USING active, draft;
    END LOOP;

    PERFORM set_config('orchestrator.passed', (refused = tried AND tried = 10)::text, true);
    PERFORM set_config('orchestrator.observed',
        format('%s of %s references refuse the deletion', refused, tried)
        || CASE WHEN refused > 0 THEN ' with ' || array_to_string(states, ', ') ELSE '' END
        || CASE WHEN refused < tried THEN '; deleted in spite of ' || array_to_string(unprotected, ', ')
                ELSE '' END, true);
END
$check$;

SELECT current_setting('orchestrator.passed')::boolean AS passed,
       current_setting('orchestrator.observed') AS observed;
