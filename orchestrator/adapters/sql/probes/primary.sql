-- 24: our options overrule a default_transaction_read_only of role or database, so only recovery makes it read-only.
select pg_is_in_recovery() as in_recovery
