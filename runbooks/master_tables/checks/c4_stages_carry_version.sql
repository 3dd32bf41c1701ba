-- id: C4.stages_carry_version
-- title: Do the stages of a workflow carry its configuration version?
-- severity: critical
-- kind: structural
-- blame: data
-- expected: 0 stages differ
-- remedy: Set config_version_id of the stages to that of their workflow, after finding who wrote another.

SELECT count(*) FILTER (WHERE s.config_version_id <> w.config_version_id) = 0 AS passed,
       format('%s of %s stages differ from their workflow',
              count(*) FILTER (WHERE s.config_version_id <> w.config_version_id), count(*)) AS observed
FROM public.workflow_stages s
JOIN public.workflow_instances w ON w.id = s.workflow_instance_id;
