-- 4: row_security_active answers for the current role, with FORCE and BYPASSRLS taken into account.
select n.nspname || '.' || c.relname as name
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.oid = any(%(tables)s::oid[]) and row_security_active(c.oid)
order by 1
