-- Version 3: the marker of the environment that this database is, written at the first run and rewritten by `adopt`.
create table orchestrator.marker (
    environment text not null,
    kind text not null,
    -- Of the cluster, empty where the role may not see it; a copy by dump and restore carries the old one along.
    system_identifier text not null,
    database text not null,
    database_oid oid not null,
    reason text not null default '',
    actor text not null default session_user,
    at timestamptz not null default clock_timestamp()
);

revoke all on orchestrator.marker from public;

insert into orchestrator.ledger (version) values (3);
