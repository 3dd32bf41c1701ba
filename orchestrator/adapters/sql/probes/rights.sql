-- 5: what this role lacks, per table. ALTER TABLE asks for ownership of the referencing table; an explicit LOCK of the
-- referenced one asks for a right to write it; VALIDATE without SELECT on both falls back to a check row by row. Views and
-- functions beside the tables ask for less (without_keys), but for a schema of their own, which only its owner changes.
select n.nspname || '.' || c.relname as name,
       concat_ws(', ',
           case when c.oid = any(%(children)s::oid[]) and not pg_has_role(c.relowner, 'USAGE') then 'ownership' end,
           case when not has_schema_privilege(n.oid, 'USAGE') then 'USAGE of the schema' end,
           case when not has_table_privilege(c.oid, 'SELECT') then 'SELECT' end,
           case when c.oid = any(%(parents)s::oid[]) and not has_table_privilege(c.oid, 'REFERENCES') then 'REFERENCES' end,
           case when c.oid = any(%(parents)s::oid[]) and not has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE')
               then 'UPDATE (to lock it)' end) as lacking,
       case when c.oid = any(%(children)s::oid[]) and not has_schema_privilege(n.oid, 'CREATE')
           then 'CREATE in schema ' || n.nspname end as lacking_for_index,
       concat_ws(', ',
           case when not has_schema_privilege(n.oid, 'USAGE') then 'USAGE of the schema' end,
           case when not has_table_privilege(c.oid, 'SELECT') then 'SELECT' end) as without_keys
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.oid = any(%(tables)s::oid[])
union all
select 'database ' || current_database(), 'CREATE (for the journal)', null, 'CREATE (for the journal)'
where to_regnamespace('orchestrator') is null and not has_database_privilege(current_database(), 'CREATE')
union all
select 'schema orchestrator', 'the rights of the role that made the journal', null,
       'the rights of the role that made the journal'
where to_regnamespace('orchestrator') is not null
  and not (has_schema_privilege('orchestrator', 'USAGE')
           and coalesce(has_table_privilege(to_regclass('orchestrator.event'), 'INSERT')
                        and has_table_privilege(to_regclass('orchestrator.run'), 'INSERT')
                        and has_table_privilege(to_regclass('orchestrator.run'), 'UPDATE'),
                        has_schema_privilege('orchestrator', 'CREATE')))
union all
select 'database ' || current_database(), '', null, 'CREATE (for schema orphan_audit)'
where to_regnamespace('orphan_audit') is null and not has_database_privilege(current_database(), 'CREATE')
union all
select 'schema orphan_audit', 'ownership', null, 'ownership'
from pg_namespace where nspname = 'orphan_audit' and not pg_has_role(nspowner, 'USAGE')
