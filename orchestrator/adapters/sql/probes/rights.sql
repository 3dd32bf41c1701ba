-- 5: what this role lacks, per table. ALTER TABLE asks for ownership of the referencing table; an explicit LOCK of the
-- referenced one asks for a right to write it; VALIDATE without SELECT on both falls back to a check row by row.
select n.nspname || '.' || c.relname as name,
       concat_ws(', ',
           case when c.oid = any(%(children)s::oid[]) and not pg_has_role(c.relowner, 'USAGE') then 'ownership' end,
           case when not has_schema_privilege(n.oid, 'USAGE') then 'USAGE of the schema' end,
           case when not has_table_privilege(c.oid, 'SELECT') then 'SELECT' end,
           case when c.oid = any(%(parents)s::oid[]) and not has_table_privilege(c.oid, 'REFERENCES') then 'REFERENCES' end,
           case when c.oid = any(%(parents)s::oid[]) and not has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE')
               then 'UPDATE (to lock it)' end) as lacking,
       case when c.oid = any(%(children)s::oid[]) and not has_schema_privilege(n.oid, 'CREATE')
           then 'CREATE in schema ' || n.nspname end as lacking_for_index
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.oid = any(%(tables)s::oid[])
union all
select 'database ' || current_database(), 'CREATE (for the journal)', null
where to_regnamespace('orchestrator') is null and not has_database_privilege(current_database(), 'CREATE')
union all
select 'schema orchestrator', 'the rights of the role that made the journal', null
where to_regnamespace('orchestrator') is not null
  and not (has_schema_privilege('orchestrator', 'USAGE')
           and coalesce(has_table_privilege(to_regclass('orchestrator.event'), 'INSERT')
                        and has_table_privilege(to_regclass('orchestrator.run'), 'INSERT')
                        and has_table_privilege(to_regclass('orchestrator.run'), 'UPDATE'),
                        has_schema_privilege('orchestrator', 'CREATE')))
