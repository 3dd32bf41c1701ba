-- Appends the record of a batch of rows inside its transaction, last, with what only the server knows: how many rows it
-- was, how long their locks have been held, and the longest that anybody has been waiting since, for a row that is ours
-- (whoever does waits for our transaction to end) or for a lock on these tables.
select e.run, e.seq, e.at, e.actor, e.kind, e.data::text as data, e.previous, e.hash
from (
    select coalesce(nullif(current_setting('orchestrator.began', true), '')::timestamptz, now()) as began,
           json_array_length(coalesce(nullif(current_setting('orchestrator.locked', true), ''), '[]')::json) as locked,
           coalesce(nullif(current_setting('orchestrator.rows', true), '')::bigint, 0) as rows,
           coalesce(nullif(current_setting('orchestrator.lost', true), '')::bigint, 0) as lost
) as batch
cross join lateral (
    select round(1000 * extract(epoch from clock_timestamp() - batch.began), 3) as spent,
           round(1000 * extract(epoch from max(clock_timestamp() - greatest(l.waitstart, batch.began))), 3) as waited
    from pg_lock_status() l
    where not l.granted
      and ((l.locktype = 'relation' and l.relation = any(%(tables)s::oid[]) and l.database = %(database)s::oid)
           or (l.locktype = 'transactionid' and l.transactionid = pg_current_xact_id()::xid))
) as others
cross join lateral orchestrator.append(
    %(run)s,
    %(kind)s,
    (%(data)s::jsonb || jsonb_build_object(
        'locked', batch.locked, 'rows', batch.rows, 'lost', batch.lost,
        'duration_ms', others.spent, 'blocked_ms', others.spent,
        'waited_ms', greatest(others.waited, %(waited)s::numeric, 0)))::text,
    %(token)s
) as e
