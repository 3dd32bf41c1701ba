-- The end of a run's chain as the ledger notes it beside the events.
select head_seq as seq, head_hash as hash, environment, closed from orchestrator.run where id = %(run)s
