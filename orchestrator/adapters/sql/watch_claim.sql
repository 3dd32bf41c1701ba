-- Takes a watch over whose lease is free; `dead` is the token of a process that is known to have ended.
update orchestrator.watch
set token = %(token)s, holder = session_user, host = %(host)s, machine = %(machine)s, pid = %(pid)s,
    started = %(started)s, os_user = %(os_user)s, taken_at = clock_timestamp(), heartbeat_at = clock_timestamp(),
    expires_at = clock_timestamp() + make_interval(secs => %(good_s)s), released = false
where id = %(id)s and not closed and (released or expires_at <= clock_timestamp() or token = %(dead)s)
