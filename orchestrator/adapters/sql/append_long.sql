-- Appends the record of a statement that blocks no writer, inside its transaction, last, with how long it took.
select e.run, e.seq, e.at, e.actor, e.kind, e.data::text as data, e.previous, e.hash
from orchestrator.append(
    %(run)s,
    %(kind)s,
    (%(data)s::jsonb || jsonb_build_object('duration_ms', round(1000 * extract(epoch from clock_timestamp()
        - coalesce(nullif(current_setting('orchestrator.began', true), '')::timestamptz, now())), 3)))::text,
    %(token)s
) as e
