-- id: C6.runtime_execution
-- title: Can a workflow run from its policy to its last approval?
-- severity: critical
-- kind: behavioural
-- expected: 2 of 2 stages approved, 2 audit records, workflow COMPLETED
-- remedy: Read which step is short in the observation and look at the triggers of its table.

DO $check$
DECLARE
    workspace uuid := gen_random_uuid();
    person text := 'check-' || gen_random_uuid();
    site text := 'check-' || gen_random_uuid();
    first text;
    scope text;
    role text;
    policy text;
    running text;
    stage record;
    open_now integer;
    moved_on integer := 0;
    approved integer;
    audited integer;
    outcome text;
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
    INSERT INTO public.approval_policy_stages
        (policy_id, config_version_id, stage_number, stage_name, approval_role_id, assignment_mode,
         sequence_order)
    VALUES (policy, first, 1, 'Check', role, 'MANUAL', 1),
           (policy, first, 2, 'Check again', role, 'MANUAL', 2);
    INSERT INTO public.workflow_instances
        (workspace_id, config_version_id, approval_policy_id, site_id, scope_id, atp_category, total_stages)
    VALUES (workspace, first, policy, site, scope, 'BOTH', 2) RETURNING id INTO running;

    -- The stages come from the policy, as the application makes them.
    INSERT INTO public.workflow_stages
        (workflow_instance_id, config_version_id, stage_number, approval_role_id, policy_stage_id,
         approver_user_id, status, sla_due_at)
    SELECT running, p.config_version_id, p.stage_number, p.approval_role_id, p.id, person,
           CASE p.stage_number WHEN 1 THEN 'IN_PROGRESS' ELSE 'PENDING' END,
           now() + make_interval(hours => p.sla_hours)
    FROM public.approval_policy_stages p
    WHERE p.policy_id = policy;

    FOR stage IN SELECT s.id, s.stage_number FROM public.workflow_stages s
                 WHERE s.workflow_instance_id = running ORDER BY s.stage_number
    LOOP
        UPDATE public.workflow_stages
        SET status = 'APPROVED', decided_by = person, decided_at = now(), updated_at = now()
        WHERE id = stage.id AND status = 'IN_PROGRESS';
        INSERT INTO public.workflow_stage_actions (workflow_stage_id, action_type, actor_user_id, payload)
        VALUES (stage.id, 'APPROVE', person, jsonb_build_object('stage', stage.stage_number));

        UPDATE public.workflow_stages SET status = 'IN_PROGRESS'
        WHERE workflow_instance_id = running AND stage_number = stage.stage_number + 1 AND status = 'PENDING';
        IF FOUND THEN
            UPDATE public.workflow_instances SET current_stage_number = stage.stage_number + 1
            WHERE id = running;
        ELSE
            UPDATE public.workflow_instances SET status = 'COMPLETED', completed_at = now()
            WHERE id = running;
        END IF;
        SELECT count(*) INTO open_now
        FROM public.workflow_stages s
        JOIN public.workflow_instances w ON w.id = s.workflow_instance_id
        WHERE w.id = running AND s.status = 'IN_PROGRESS' AND s.stage_number = w.current_stage_number;
        moved_on := moved_on + open_now;
    END LOOP;

    SELECT count(*) INTO approved FROM public.workflow_stages
    WHERE workflow_instance_id = running AND status = 'APPROVED' AND decided_by = person
      AND decided_at IS NOT NULL;
    SELECT count(*) INTO audited
    FROM public.workflow_stage_actions a
    JOIN public.workflow_stages s ON s.id = a.workflow_stage_id
    WHERE s.workflow_instance_id = running AND a.action_type = 'APPROVE' AND a.actor_user_id = person;
    SELECT status INTO outcome FROM public.workflow_instances WHERE id = running;

    PERFORM set_config('orchestrator.passed',
        (approved = 2 AND audited = 2 AND moved_on = 1 AND outcome = 'COMPLETED')::text, true);
    PERFORM set_config('orchestrator.observed',
        format('%s of 2 stages approved, %s of 2 audit records, %s of 1 next stage opened, workflow %s',
               approved, audited, moved_on, outcome), true);
END
$check$;

SELECT current_setting('orchestrator.passed')::boolean AS passed,
       current_setting('orchestrator.observed') AS observed;
