-- All other constraints. PostgreSQL 18 keeps NOT NULL here too: it takes a name, but the column already says it.
select k.conrelid as relation, k.conname as name, k.contype::text as kind, pg_get_constraintdef(k.oid) as definition,
       k.convalidated as validated
from pg_constraint k
join pg_class t on t.oid = k.conrelid
join pg_namespace n on n.oid = t.relnamespace
where k.contype in ('c', 'p', 'u', 'x', 't', 'n')
  and n.nspname not in ('pg_catalog', 'information_schema', 'orchestrator', 'orchestrator_quarantine')
