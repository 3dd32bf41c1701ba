-- Version 4: what people say to runs. Approvers write through one function and read through another, and have no other
-- right. Who spoke is session_user, the role that logged in: SET ROLE and SECURITY DEFINER change current_user only, so
-- neither they nor a pooler that keeps each client's own role changes it. A superuser can, with SET SESSION AUTHORIZATION
-- (PostgreSQL, "System Information Functions" and "SET SESSION AUTHORIZATION"); pg_stat_activity keeps the role that the
-- session began with, and that one has spoken.
create table orchestrator.answer (
    id bigint generated always as identity primary key,
    answer text not null check (answer in ('approve', 'deny', 'accept', 'confirm')),
    -- Empty: said before any run, for the plan of that digest; or a manual item, which belongs to the runbook.
    run text not null default '',
    runbook text not null default '',
    digest text not null default '',
    -- Of the tables that the plan touches, as they were found.
    fingerprint text not null default '',
    target text not null,
    -- The gate of a HOLD, or the item.
    subject text not null default '',
    -- The reasons of the HOLD as a JSON array: another HOLD at the same gate is another question.
    reasons text not null default '[]' check (length(reasons) <= 100000),
    person text not null,
    proof text not null,
    note text not null check (note ~ '\S' and length(note) <= 2000),
    os_user text not null,
    host text not null,
    actor text not null default session_user,
    at timestamptz not null default clock_timestamp(),
    -- A row stays for good and is read at every step: nobody can fill the memory of those who read it.
    check (greatest(length(run), length(runbook), length(digest), length(fingerprint), length(subject), length(person),
        length(proof), length(os_user), length(host)) <= 500)
);

-- What database this is; empty parts where the owner of the schema may not see them. A copy by dump and restore has
-- another oid or another cluster, and computes another text.
create function orchestrator.target() returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
    cluster text := '';
begin
    if has_function_privilege('pg_control_system()', 'EXECUTE') then
        select system_identifier::text into cluster from pg_control_system();
    end if;
    return (select concat_ws('/', cluster, datname, oid) from pg_database where datname = current_database());
end $$;

-- Whoever inserts by hand, the owner of the schema too, speaks as who it is, now and here.
create function orchestrator.stamp_answer() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    select coalesce(pg_get_userbyid(s.usesysid), session_user) into strict new.actor
        from pg_stat_get_activity(pg_backend_pid()) s;
    new.at := clock_timestamp();
    new.target := orchestrator.target();
    return new;
end $$;

create trigger stamped before insert on orchestrator.answer
    for each row execute function orchestrator.stamp_answer();
-- Also where session_replication_role is replica.
alter table orchestrator.answer enable always trigger stamped;

create or replace function orchestrator.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'the journal is append-only: % on %.% is refused', tg_op, tg_table_schema, tg_table_name
        using errcode = 'insufficient_privilege';
end $$;

create trigger append_only before update or delete or truncate on orchestrator.answer
    for each statement execute function orchestrator.refuse_change();
alter table orchestrator.answer enable always trigger append_only;

-- The one way in which an approver writes. Who it is and when is not asked.
create function orchestrator.give_answer(_answer text, _run text, _runbook text, _digest text, _fingerprint text,
    _subject text, _reasons text, _person text, _proof text, _note text, _os_user text, _host text)
returns table (id bigint, actor text, target text, at timestamptz)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
begin
    if _answer <> 'confirm' and _run <> ''
        and not exists (select from orchestrator.run r where r.id = _run and not r.closed) then
        raise exception 'run % is not open', _run using errcode = 'OR003';
    end if;
    if (select count(*) >= 100 from orchestrator.answer a
        where a.actor = session_user and a.at > clock_timestamp() - interval '1 day') then
        raise exception 'role % has given 100 answers within a day', session_user using errcode = 'OR003';
    end if;
    return query insert into orchestrator.answer as a (answer, run, runbook, digest, fingerprint, target, subject,
        reasons, person, proof, note, os_user, host)
        values (_answer, _run, _runbook, _digest, _fingerprint, '', _subject, _reasons, _person, _proof, _note,
        _os_user, _host)
        returning a.id, a.actor, a.target, a.at;
end $$;

-- What an approver may read: the events of the open runs that tell what is asked. No orphan keys, no blockers' queries.
create function orchestrator.open_events(_environment text) returns table (run text, seq bigint, at timestamptz,
    actor text, kind text, data text, previous text, hash text)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select e.run, e.seq, e.at, e.actor, e.kind, e.data::text, e.previous, e.hash
    from orchestrator.event e join orchestrator.run r on r.id = e.run
    where r.environment = _environment and not r.closed
      and e.kind in ('run_started', 'run_resumed', 'ledger_opened', 'step_started', 'step_finished', 'findings_recorded',
          'verdict_given', 'plan_recorded', 'catalog_recorded', 'statement_intended', 'statement_done',
          'statement_undone', 'walk_back_began', 'gates_overridden', 'answer_heard', 'run_finished')
    order by e.run, e.seq
$$;

revoke all on orchestrator.answer from public;
revoke all on all functions in schema orchestrator from public;

do $$
begin
    if exists (select from pg_roles where rolname = 'orchestrator_approver') then
        grant usage on schema orchestrator to orchestrator_approver;
        grant execute on function orchestrator.give_answer(text, text, text, text, text, text, text, text, text, text,
            text, text) to orchestrator_approver;
        grant execute on function orchestrator.open_events(text) to orchestrator_approver;
    end if;
end $$;

insert into orchestrator.ledger (version) values (4);
