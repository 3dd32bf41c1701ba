-- Why a watch cannot be kept in this database; empty when it can. Asked before anything is tried: a refused statement
-- would be a transaction that is rolled back, and count as the application's.
select set_config('synchronous_commit', 'local', true), set_config('lock_timeout', '2s', true),
    set_config('statement_timeout', '8s', true),
    case
        when pg_is_in_recovery() then 'the server is a standby'
        when current_setting('transaction_read_only') = 'on' then 'the database is read-only'
        when to_regnamespace('orchestrator') is null then 'schema orchestrator is gone'
        when not has_schema_privilege('orchestrator', 'usage') then 'this role may not use schema orchestrator'
        when to_regclass('orchestrator.watch') is null
            then 'the ledger is of an older version: the next deployment upgrades it'
        when not (has_table_privilege('orchestrator.ledger', 'select')
            and has_table_privilege('orchestrator.watch', 'select')
            and has_table_privilege('orchestrator.watch', 'insert')
            and has_table_privilege('orchestrator.watch', 'update')
            and has_table_privilege('orchestrator.watch_event', 'select')
            and has_table_privilege('orchestrator.watch_event', 'insert')
            and has_function_privilege('orchestrator.target()', 'execute'))
            then 'needs: grant select, insert, update on orchestrator.watch, select, insert on orchestrator.watch_event'
                || ' and execute on function orchestrator.target() to this role'
        else ''
    end as hindrance
