-- id: C3.second_active_refused
-- title: Is a second ACTIVE configuration of a workspace refused?
-- severity: critical
-- kind: behavioural
-- expected: 2 of 2 attempts refused with 23505
-- remedy: Create ux_config_versions_one_active_per_workspace again; C1.active_index says what is wrong.

DO $check$
DECLARE
    workspace uuid := gen_random_uuid();
    person text := 'check-' || gen_random_uuid();
    first text;
    second text;
    refused integer := 0;
    refused_by text := 'nothing';
BEGIN
    INSERT INTO public.workspaces (id, code, name, customer_group_id, vendor_owner_id, updated_at)
    VALUES (workspace, 'check-' || workspace, 'Check', 'check', 'check', now());
    INSERT INTO public.users (id, email, updated_at)
    VALUES (person, person || '@check.invalid', now());
    INSERT INTO public.config_versions
        (workspace_id, source_file_name, source_type, version_number, status, imported_by)
    VALUES (workspace, 'check.xlsx', 'EXCEL', 1, 'ACTIVE', person) RETURNING id INTO first;
    INSERT INTO public.config_versions
        (workspace_id, source_file_name, source_type, version_number, status, imported_by,
         previous_version_id)
    VALUES (workspace, 'check.xlsx', 'EXCEL', 2, 'DRAFT', person, first) RETURNING id INTO second;
    -- By promotion and by insertion: what is ACTIVE from the start must be refused as well.
    BEGIN
        UPDATE public.config_versions SET status = 'ACTIVE' WHERE id = second;
    EXCEPTION WHEN unique_violation THEN
        GET STACKED DIAGNOSTICS refused_by = CONSTRAINT_NAME;
        refused := refused + 1;
    END;
    BEGIN
        INSERT INTO public.config_versions
            (workspace_id, source_file_name, source_type, version_number, status, imported_by)
        VALUES (workspace, 'check.xlsx', 'EXCEL', 3, 'ACTIVE', person);
    EXCEPTION WHEN unique_violation THEN
        GET STACKED DIAGNOSTICS refused_by = CONSTRAINT_NAME;
        refused := refused + 1;
    END;

    PERFORM set_config('orchestrator.passed', (refused = 2)::text, true);
    PERFORM set_config('orchestrator.observed',
        format('%s of 2 attempts refused with 23505, by %s', refused, refused_by), true);
END
$check$;

SELECT current_setting('orchestrator.passed')::boolean AS passed,
       current_setting('orchestrator.observed') AS observed;
