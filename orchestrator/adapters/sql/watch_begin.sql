-- The row of a watch; none where another one of the same deployment is open.
insert into orchestrator.watch (id, environment, of, token, host, machine, pid, started, os_user, expires_at)
values (%(id)s, %(environment)s, %(of)s, %(token)s, %(host)s, %(machine)s, %(pid)s, %(started)s, %(os_user)s,
    clock_timestamp() + make_interval(secs => %(good_s)s))
on conflict do nothing
