-- A watch by its name, or the newest open one of an environment, of the deployment `of` where one is named.
select id, of, closed, head_seq, head_hash, environment,
    token, holder, host, machine, pid, started, os_user, taken_at, heartbeat_at, expires_at, released,
    clock_timestamp() as now
from orchestrator.watch
where case when %(id)s::text is not null then id = %(id)s
    else not closed and environment = %(environment)s and target = orchestrator.target()
        and (%(of)s::text is null or of = %(of)s) end
order by id desc limit 1
