-- Triggers of people; those that keep foreign keys are read with the keys.
select g.tgrelid as relation, g.tgname as name, pg_get_triggerdef(g.oid) as definition, g.tgenabled::text as enabled
from pg_trigger g
join pg_class t on t.oid = g.tgrelid
join pg_namespace n on n.oid = t.relnamespace
where not g.tgisinternal
  and n.nspname not in ('pg_catalog', 'information_schema', 'orchestrator', 'orchestrator_quarantine')
