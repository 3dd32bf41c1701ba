-- 20: pg_dump takes a lock on every table in each connection (two jobs and their leader); partitions count.
select 3 * count(*) as needed,
       current_setting('max_locks_per_transaction')::bigint
           * (current_setting('max_connections')::bigint + current_setting('max_prepared_transactions')::bigint) as slots
from pg_class where relkind in ('r', 'p', 'm')
  and relnamespace not in (select oid from pg_namespace where nspname in ('pg_catalog', 'information_schema'))
