-- Appends the record of a statement inside its transaction, last, with what only the server can measure: how long the
-- locks have been held, and the longest that anybody has been waiting since for a lock on these tables. Whoever waits
-- behind us waits until our commit or gives up, so that one look at the end misses nobody who is still there.
select e.run, e.seq, e.at, e.actor, e.kind, e.data::text as data, e.previous, e.hash
from (
    select coalesce(nullif(current_setting('orchestrator.began', true), '')::timestamptz, now()) as began
) as clock
cross join lateral (
    select round(1000 * extract(epoch from clock_timestamp() - clock.began), 3) as spent,
           round(1000 * extract(epoch from max(clock_timestamp() - greatest(l.waitstart, clock.began))), 3) as waited
    from pg_lock_status() l
    where not l.granted and l.locktype = 'relation' and l.relation = any(%(tables)s::oid[])
      and l.database = %(database)s::oid
) as others
cross join lateral orchestrator.append(
    %(run)s,
    %(kind)s,
    (%(data)s::jsonb || jsonb_build_object(
        'duration_ms', others.spent, 'blocked_ms', others.spent,
        'waited_ms', greatest(others.waited, %(waited)s::numeric, 0)))::text,
    %(token)s
) as e
