-- Appends entries to a watch, where it is ours and ends as we know it; otherwise nothing happens.
with mine as (
    update orchestrator.watch
    set head_seq = %(seq)s, head_hash = %(hash)s, closed = %(closed)s, released = %(released)s,
        heartbeat_at = clock_timestamp(), expires_at = clock_timestamp() + make_interval(secs => %(good_s)s)
    where id = %(id)s and token = %(token)s and head_seq = %(after)s and head_hash = %(previous)s and not closed
    returning id
)
insert into orchestrator.watch_event (run, seq, at, actor, kind, data, previous, hash)
select mine.id, e.seq, e.at, e.actor, e.kind, e.data::json, e.previous, e.hash
from mine, unnest(%(seqs)s::bigint[], %(ats)s::timestamptz[], %(actors)s::text[], %(kinds)s::text[], %(data)s::text[],
    %(befores)s::text[], %(hashes)s::text[]) as e (seq, at, actor, kind, data, previous, hash)
