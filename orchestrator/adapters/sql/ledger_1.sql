-- The ledger: the journal of every run, in the database that the runs change, so that an effect and its record can be
-- one transaction. Version 1.
create schema orchestrator;

create table orchestrator.ledger (
    version integer not null,
    installed_at timestamptz not null default clock_timestamp()
);
insert into orchestrator.ledger (version) values (1);

create table orchestrator.run (
    id text primary key,
    environment text not null,
    head_seq bigint not null default 0,
    head_hash text not null default repeat('0', 64)
);

create table orchestrator.event (
    -- No foreign key: whoever counts the keys of this database must find the contract's and none of ours.
    run text not null,
    seq bigint not null,
    at timestamptz not null,
    actor text not null,
    kind text not null,
    -- json and not jsonb: the hash was taken over this very text.
    data json not null,
    previous text not null,
    hash text not null,
    primary key (run, seq)
);

create function orchestrator.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'the journal is append-only: % on orchestrator.event is refused', tg_op
        using errcode = 'insufficient_privilege';
end $$;

create trigger append_only before update or delete or truncate on orchestrator.event
    for each statement execute function orchestrator.refuse_change();

-- Appends one event. The run's row is locked until the caller's transaction ends: whoever calls this does it last.
create function orchestrator.append(_run text, _kind text, _data text) returns orchestrator.event
language plpgsql set timezone = 'UTC' as $$
declare
    head orchestrator.run;
    entry orchestrator.event;
begin
    select * into strict head from orchestrator.run where id = _run for update;
    entry.run := _run;
    entry.seq := head.head_seq + 1;
    entry.at := clock_timestamp();
    entry.actor := session_user;
    entry.kind := _kind;
    entry.data := _data::json;
    entry.previous := head.head_hash;
    entry.hash := encode(sha256(convert_to(concat_ws(E'\n', entry.previous, _run, entry.seq,
        to_char(entry.at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), entry.actor, _kind, _data), 'UTF8')), 'hex');
    insert into orchestrator.event values (entry.*);
    update orchestrator.run set head_seq = entry.seq, head_hash = entry.hash where id = _run;
    return entry;
end $$;
