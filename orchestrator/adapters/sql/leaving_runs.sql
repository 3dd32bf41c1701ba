-- How each run of the ledger ended: its last event closes it, or it is open. Works with every version.
select r.id as run, r.environment, e.at,
       (select f.data ->> 'task' from orchestrator.event f where f.run = r.id and f.seq = 1) as task,
       case when e.kind = 'run_finished' then e.data ->> 'state' end as state,
       coalesce(case when e.kind = 'run_finished' then e.data ->> 'reason' end, '') as reason
from orchestrator.run r
left join orchestrator.event e on e.run = r.id and e.seq = r.head_seq
order by r.id
