"""What a person types who repairs the orphans of a table whose rows this program cannot tell apart."""

from __future__ import annotations

from psycopg import sql

from orchestrator.adapters.ddl import qualified
from orchestrator.adapters.orphan_sql import listed, orphan_condition, refers_to_nothing, source
from orchestrator.adapters.remediation_parts import COMMA, name
from orchestrator.core.catalog import Catalog, TableName
from orchestrator.core.contract import NAME_LIMIT, Relation
from orchestrator.core.remedy_columns import TAKES_AWAY, How, written

KEPT = " orphans"


def by_hand(relation: Relation, how: How, catalog: Catalog) -> str:
    """The query of the audit, and one transaction that keeps the rows and repairs them. Raises Refused."""
    room = NAME_LIMIT - len(KEPT)
    stem = relation.table.name.encode()[:room].decode(errors="ignore")
    kept = TableName(schema=relation.table.schema, name=f"{stem}{KEPT}")
    table = source(relation.table, catalog)
    orphan = refers_to_nothing(relation, catalog)
    if how in TAKES_AWAY:
        repair = sql.SQL("DELETE FROM {} AS child WHERE {}").format(table, orphan)
    else:
        value = sql.SQL("NULL" if how == "set-null" else "…")
        sets = COMMA.join(
            sql.SQL("{} = {}").format(name(each), value)
            for each in written(relation, how, catalog.tables[relation.table], ())
        )
        repair = sql.SQL("UPDATE {} AS child SET {} WHERE {}").format(table, sets, orphan)
    steps = (
        sql.SQL("BEGIN"),
        sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(table),
        sql.SQL("CREATE TABLE {} AS SELECT child.* FROM {}").format(
            qualified(kept), orphan_condition(relation, catalog)
        ),
        repair,
        sql.SQL("COMMIT"),
    )
    query = listed(relation, catalog).as_string(None)
    typed = "; ".join(each.as_string(None) for each in steps)
    return (
        f"give it a key, or repair it by hand, which locks writers out meanwhile. Look first: {query}. Then: {typed};"
    )
