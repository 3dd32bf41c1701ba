-- Behavioural checks are always rolled back. One that commits by itself meets this: a deferred trigger fires at COMMIT.
create temporary table orchestrator_refuses_commit (x integer) on commit drop;
create function pg_temp.orchestrator_refuse_commit() returns trigger language plpgsql as $$
begin
    raise exception 'a check must not end its transaction';
end $$;
create constraint trigger refuse after insert on orchestrator_refuses_commit deferrable initially deferred
    for each row execute function pg_temp.orchestrator_refuse_commit();
insert into orchestrator_refuses_commit values (1)
