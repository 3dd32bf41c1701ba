-- Version 5: clicks on the buttons in Slack. The person is the Slack id, and it is the listener that writes it. So a row
-- with a Slack id is taken from one kind of role alone, whoever inserts it and however: members of orchestrator_listener,
-- which is granted to the listener's own login role and to nobody who approves or deploys. A run counts it only when that
-- role is nobody of [people].
alter table orchestrator.answer
    add column slack text not null default '' check (length(slack) <= 100),
    -- Channel, message, user and moment of the click: what Slack delivers again is the same click.
    add column click text not null default '' check (length(click) <= 500),
    add check ((slack = '') = (click = ''));

create unique index answer_click on orchestrator.answer (click) where click <> '';

create or replace function orchestrator.stamp_answer() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    select coalesce(pg_get_userbyid(s.usesysid), session_user) into strict new.actor
        from pg_stat_get_activity(pg_backend_pid()) s;
    new.at := clock_timestamp();
    new.target := orchestrator.target();
    -- A superuser is a member of every role, and so of none that proves something.
    if new.slack <> '' and not coalesce((select not r.rolsuper and to_regrole('orchestrator_listener') is not null
            and pg_has_role(r.oid, to_regrole('orchestrator_listener')::oid, 'usage')
            from pg_roles r where r.rolname = new.actor), false) then
        raise exception 'role % is no listener: it writes no click', new.actor using errcode = 'insufficient_privilege';
    end if;
    return new;
end $$;

-- The one way in which a listener writes. `fresh` is false for a click that is there already: its row is given back.
-- Each person has a hundred clicks a day, so that one cannot use up those of all.
create function orchestrator.give_click(_answer text, _run text, _runbook text, _digest text, _fingerprint text,
    _subject text, _reasons text, _person text, _note text, _host text, _slack text, _click text)
returns table (id bigint, actor text, target text, at timestamptz, fresh boolean)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
begin
    if _slack = '' or _click = '' or _answer not in ('approve', 'deny', 'accept') then
        raise exception 'a click has a Slack id and a key' using errcode = 'OR003';
    end if;
    if exists (select from orchestrator.answer a where a.click = _click) then
        return query select a.id, a.actor, a.target, a.at, false from orchestrator.answer a where a.click = _click;
        return;
    end if;
    if not exists (select from orchestrator.run r where r.id = _run and not r.closed) then
        raise exception 'run % is not open', _run using errcode = 'OR003';
    end if;
    if (select count(*) >= 100 from orchestrator.answer a
        where a.slack = _slack and a.at > clock_timestamp() - interval '1 day') then
        raise exception 'Slack id % has clicked 100 times within a day', _slack using errcode = 'OR003';
    end if;
    return query insert into orchestrator.answer as a (answer, run, runbook, digest, fingerprint, target, subject,
        reasons, person, proof, note, os_user, host, slack, click)
        values (_answer, _run, _runbook, _digest, _fingerprint, '', _subject, _reasons, _person, 'slack ' || _slack,
        _note, '', _host, _slack, _click)
        on conflict (click) where click <> '' do nothing
        returning a.id, a.actor, a.target, a.at, true;
    if not found then
        -- Another listener was quicker with the same click: it waited for that one's commit, so the row is seen now.
        return query select a.id, a.actor, a.target, a.at, false from orchestrator.answer a where a.click = _click;
    end if;
end $$;

-- What was said to a run already: whether a click says it again.
create function orchestrator.run_answers(_run text) returns setof orchestrator.answer
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select a.* from orchestrator.answer a where a.run = _run and a.answer <> 'confirm' order by a.id
$$;

revoke all on function orchestrator.give_click(text, text, text, text, text, text, text, text, text, text, text, text)
    from public;
revoke all on function orchestrator.run_answers(text) from public;

do $$
begin
    if exists (select from pg_roles where rolname = 'orchestrator_listener') then
        grant usage on schema orchestrator to orchestrator_listener;
        grant execute on function orchestrator.give_click(text, text, text, text, text, text, text, text, text, text,
            text, text) to orchestrator_listener;
        grant execute on function orchestrator.run_answers(text) to orchestrator_listener;
        grant execute on function orchestrator.open_events(text) to orchestrator_listener;
    end if;
end $$;

insert into orchestrator.ledger (version) values (5);
