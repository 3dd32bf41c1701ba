-- What people said to a run, and before any run; an approval that another run has used is used up.
select a.*
from orchestrator.answer a
where a.answer <> 'confirm'
  and (a.run = %(run)s
    or a.run = '' and not exists (
        select from orchestrator.event e
        where e.kind = 'answer_heard' and e.run <> %(run)s and (e.data ->> 'id')::bigint = a.id))
order by a.id
