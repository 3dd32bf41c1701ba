-- The events that a checklist is made of, of every watch of a runbook in some environments.
with begun as (
    select run from orchestrator.watch_event
    where seq = 1 and kind = 'run_started'
      and data ->> 'runbook' = %(runbook)s and data ->> 'environment' = any(%(environments)s)
)
select run, seq, case when at between '0001-01-02' and '9999-12-30' then at else 'epoch' end as at,
       actor, kind, data::text as data, previous, hash
from orchestrator.watch_event
where run in (select run from begun) and kind = any(%(kinds)s)
order by run, seq
