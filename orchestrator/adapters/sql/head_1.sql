-- The same in a ledger of version 1, which did not note whether the run is closed.
select r.head_seq as seq, r.head_hash as hash, r.environment, exists (
    select from orchestrator.event e
    where e.run = r.id and e.kind = 'run_finished' and e.data ->> 'state' <> 'held') as closed
from orchestrator.run r where r.id = %(run)s
