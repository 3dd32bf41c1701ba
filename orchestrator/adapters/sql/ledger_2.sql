-- Version 2: one run at a time by a lease with fencing, requests from other machines, and runs that are closed for good.

create table orchestrator.lease (
    -- The fencing token. It is the key: whoever takes the lease over changes it, and has to wait for every transaction
    -- that has checked the old one (FOR KEY SHARE); a heartbeat changes other columns and waits for nobody.
    token bigint primary key,
    run text not null default '',
    holder text not null default '',
    host text not null default '',
    machine text not null default '',
    pid bigint not null default 0,
    started text not null default '',
    os_user text not null default '',
    taken_at timestamptz not null default clock_timestamp(),
    heartbeat_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null default clock_timestamp(),
    released boolean not null default true
);
insert into orchestrator.lease (token) values (0);

-- What people ask of a run that is at work somewhere else. Not a part of the journal: the run records that it heard.
create table orchestrator.request (
    id bigint generated always as identity primary key,
    run text not null,
    kind text not null check (kind = 'hold'),
    actor text not null default session_user,
    os_user text not null,
    host text not null,
    reason text not null,
    heard boolean not null default false,
    at timestamptz not null default clock_timestamp()
);

alter table orchestrator.run add column closed boolean not null default false;
update orchestrator.run r set closed = exists (
    select from orchestrator.event e
    where e.run = r.id and e.kind = 'run_finished' and e.data ->> 'state' <> 'held');

drop function orchestrator.append(text, text, text);

-- Appends one event under a lease. The run's row is locked until the caller's transaction ends: whoever calls this does
-- it last. A lease that somebody else has taken over raises OR001, a closed run OR002.
create function orchestrator.append(_run text, _kind text, _data text, _token bigint) returns orchestrator.event
language plpgsql set timezone = 'UTC' as $$
declare
    head orchestrator.run;
    entry orchestrator.event;
begin
    perform from orchestrator.lease where token = _token for key share;
    if not found then
        raise exception 'lease % is not the current one any more', _token using errcode = 'OR001';
    end if;
    select * into strict head from orchestrator.run where id = _run for update;
    if head.closed then
        raise exception 'run % is closed', _run using errcode = 'OR002';
    end if;
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
    update orchestrator.run
        set head_seq = entry.seq, head_hash = entry.hash,
            closed = _kind = 'run_finished' and entry.data ->> 'state' <> 'held'
        where id = _run;
    return entry;
end $$;

-- Against every role but the owner, rights keep the journal as it is; against the owner the chain is evidence.
revoke all on schema orchestrator from public;
revoke all on all tables in schema orchestrator from public;
revoke all on all functions in schema orchestrator from public;

insert into orchestrator.ledger (version) values (2);
