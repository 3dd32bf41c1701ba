-- Foreign keys as people made them. A key to a partitioned table has helper rows for its partitions, with the same
-- conrelid as their parent row: they are not keys of their own. conenforced and conperiod came
-- with PostgreSQL 18, the columns of ON DELETE SET NULL (confdelsetcols) with 15: where pg_constraint has no such
-- column, the name means the one of `earlier`.
select k.conrelid as relation, k.conname as name, k.conkey as columns, k.confrelid as referenced, k.confkey as referenced_columns,
       k.confdeltype::text as on_delete, k.confupdtype::text as on_update, k.confmatchtype::text as match,
       k.condeferrable as deferrable, k.condeferred as deferred, k.convalidated as validated,
       k.conparentid <> 0 as inherited, pg_get_constraintdef(k.oid) as definition,
       k.enforced, k.period, k.on_delete_columns,
       not exists (select from pg_trigger g where g.tgconstraint = k.oid and g.tgenabled <> 'O') as triggers_enabled
from (values (true, false, null::int2[])) as earlier (conenforced, conperiod, confdelsetcols)
cross join lateral (
    select c.*, conenforced as enforced, conperiod as period, confdelsetcols as on_delete_columns from pg_constraint c
    where c.contype = 'f'
) k
join pg_class t on t.oid = k.conrelid
join pg_namespace n on n.oid = t.relnamespace
where not exists (select from pg_constraint p where p.oid = k.conparentid and p.conrelid = k.conrelid)
  and n.nspname not in ('pg_catalog', 'information_schema', 'orchestrator', 'orchestrator_quarantine')
