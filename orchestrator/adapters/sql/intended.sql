-- Whether it is on record that this run is about to do a statement, on its way there or back; the ledger is the truth.
select exists (
    select from orchestrator.event e
    where e.run = %(run)s and e.kind = 'statement_intended'
      and e.data ->> 'id' = %(id)s and e.data ->> 'of' = %(of)s
) as intended
