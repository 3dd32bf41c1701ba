-- id: C3.lifecycle
-- title: Can a configuration go from DRAFT to ACTIVE to SUPERSEDED?
-- severity: critical
-- kind: behavioural
-- expected: 3 of 3 states reached; 1 ACTIVE at the end; an unknown status refused
-- remedy: Read ck_config_versions_status and the triggers of config_versions: one of them refuses a state.

DO $check$
DECLARE
    workspace uuid := gen_random_uuid();
    person text := 'check-' || gen_random_uuid();
    first text;
    second text;
    reached integer := 0;
    active integer;
    unknown_refused boolean := false;
BEGIN
    INSERT INTO public.workspaces (id, code, name, customer_group_id, vendor_owner_id, updated_at)
    VALUES (workspace, 'check-' || workspace, 'Check', 'check', 'check', now());
    INSERT INTO public.users (id, email, updated_at)
    VALUES (person, person || '@check.invalid', now());
    INSERT INTO public.config_versions
        (workspace_id, source_file_name, source_type, version_number, status, imported_by)
    VALUES (workspace, 'check.xlsx', 'EXCEL', 1, 'DRAFT', person) RETURNING id INTO first;
    PERFORM FROM public.config_versions WHERE id = first AND status = 'DRAFT' AND activated_at IS NULL;
    IF FOUND THEN reached := reached + 1; END IF;

    UPDATE public.config_versions SET status = 'ACTIVE', activated_at = now() WHERE id = first;
    PERFORM FROM public.config_versions WHERE id = first AND status = 'ACTIVE';
    IF FOUND THEN reached := reached + 1; END IF;

    -- The old version steps down before the new one steps up: the index allows no moment with two.
    INSERT INTO public.config_versions
        (workspace_id, source_file_name, source_type, version_number, status, imported_by,
         previous_version_id)
    VALUES (workspace, 'check.xlsx', 'EXCEL', 2, 'DRAFT', person, first) RETURNING id INTO second;
    UPDATE public.config_versions SET status = 'SUPERSEDED', superseded_by_id = second WHERE id = first;
    UPDATE public.config_versions SET status = 'ACTIVE', activated_at = now() WHERE id = second;
    PERFORM FROM public.config_versions
    WHERE id = first AND status = 'SUPERSEDED' AND superseded_by_id = second;
    IF FOUND THEN reached := reached + 1; END IF;

    BEGIN
        UPDATE public.config_versions SET status = 'NO_SUCH_STATUS' WHERE id = first;
    EXCEPTION WHEN check_violation THEN
        unknown_refused := true;
    END;

    SELECT count(*) INTO active FROM public.config_versions
    WHERE workspace_id = workspace AND status = 'ACTIVE';
    PERFORM set_config('orchestrator.passed', (reached = 3 AND active = 1 AND unknown_refused)::text, true);
    PERFORM set_config('orchestrator.observed',
        format('%s of 3 states reached; %s ACTIVE at the end; an unknown status %s', reached, active,
               CASE WHEN unknown_refused THEN 'refused' ELSE 'accepted' END), true);
END
$check$;

SELECT current_setting('orchestrator.passed')::boolean AS passed,
       current_setting('orchestrator.observed') AS observed;
