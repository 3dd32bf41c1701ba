-- Version 6: watches, so that another machine can go on with one. They are not in orchestrator.run: a run without an end
-- there keeps the next deployment out.
create table orchestrator.watch (
    id text primary key,
    environment text not null,
    -- The deployment that is watched.
    of text not null,
    -- A copy by dump and restore carries the watches of its original along: they are not its own.
    target text not null default orchestrator.target(),
    head_seq bigint not null default 0,
    head_hash text not null default repeat('0', 64),
    closed boolean not null default false,
    -- Who watches. Between two samples nobody is connected, so that the lease is good until the next one is overdue.
    token bigint not null,
    holder text not null default session_user,
    host text not null,
    machine text not null,
    pid bigint not null,
    started text not null,
    os_user text not null,
    taken_at timestamptz not null default clock_timestamp(),
    heartbeat_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null,
    released boolean not null default false
);

-- Two machines that begin at the same moment: one of them is told.
create unique index watch_open on orchestrator.watch (environment, of, target) where not closed;

create table orchestrator.watch_event (
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

create trigger append_only before update or delete or truncate on orchestrator.watch_event
    for each statement execute function orchestrator.refuse_change();

revoke all on orchestrator.watch, orchestrator.watch_event from public;

insert into orchestrator.ledger (version) values (6);
