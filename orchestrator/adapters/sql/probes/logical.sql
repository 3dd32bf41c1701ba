-- 18: these tables as published ones with a slot in use, or as subscribed ones.
select distinct t.schemaname || '.' || t.tablename as name, 'is published by ' || t.pubname as what
from pg_publication_tables t
join pg_class c on c.relname = t.tablename
join pg_namespace n on n.oid = c.relnamespace and n.nspname = t.schemaname
where c.oid = any(%(tables)s::oid[])
  and exists (select from pg_replication_slots r where r.slot_type = 'logical' and r.database = current_database())
union all
select n.nspname || '.' || c.relname, 'is fed by a subscription'
from pg_subscription_rel s
join pg_class c on c.oid = s.srrelid
join pg_namespace n on n.oid = c.relnamespace
where c.oid = any(%(tables)s::oid[])
