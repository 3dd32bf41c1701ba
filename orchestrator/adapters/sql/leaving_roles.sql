-- The roles for approvers and listeners, and whether another database has given them rights.
select r.rolname::text as role,
       exists (select from pg_shdepend d
               where d.refclassid = 'pg_authid'::regclass and d.refobjid = r.oid and d.dbid not in (0, db.oid)) as used
from pg_roles r, (select oid from pg_database where datname = current_database()) db
where r.rolname in ('orchestrator_approver', 'orchestrator_listener')
order by 1
