-- Approvals that were given before any run and that no run has heard.
select count(*)::bigint as count
from orchestrator.answer a
where a.answer = 'approve' and a.run = '' and not exists (
    select from orchestrator.event e where e.kind = 'answer_heard' and (e.data ->> 'id')::bigint = a.id)
