"""The rights a role needs to carry out a contract, as statements for a DBA."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.core.catalog import Catalog, TableName
from orchestrator.core.contract import Contract
from orchestrator.core.inventory import Person

APPROVER = "orchestrator_approver"
"""The role to which the ledger's functions for answers are granted."""

LISTENER = "orchestrator_listener"
"""The role to which the ledger's functions for clicks in Slack are granted."""


def quoted(name: str) -> str:
    """An identifier in double quotes, as PostgreSQL's quote_ident would write it."""
    return '"' + name.replace('"', '""') + '"'


def grants(contract: Contract, catalog: Catalog, *, role: str, database: str, indexes: bool = False) -> Iterator[str]:
    """GRANT statements; ownership cannot be granted, so the owners of the referencing tables are asked for in words.

    With `indexes` those that are lacking may be built, too.
    """
    children = sorted({each.table for each in contract.promised if catalog.table(each.table)})
    parents = sorted({each.referenced for each in contract.promised if catalog.table(each.referenced)})
    yield f"GRANT CREATE ON DATABASE {quoted(database)} TO {quoted(role)};"
    for schema in sorted({name.schema for name in (*children, *parents)}):
        yield f"GRANT USAGE ON SCHEMA {quoted(schema)} TO {quoted(role)};"
    for schema in sorted({name.schema for name in children}) if indexes else ():
        yield f"GRANT CREATE ON SCHEMA {quoted(schema)} TO {quoted(role)};"
    for name in sorted({*children, *parents}):
        yield f"GRANT SELECT ON {_table(name)} TO {quoted(role)};"
    # On a road without keys the tables are only read.
    for name in parents if not contract.road else ():
        yield f"GRANT REFERENCES, UPDATE ON {_table(name)} TO {quoted(role)};"
    for name in children if not contract.road else ():
        yield f"-- the role must be a member of the owner of {_table(name)}, or own it: only an owner may add a key"


def history_grants(table: TableName | None, *, role: str) -> Iterator[str]:
    """What lets a run write the row of a migration into another tool's table; nothing without one."""
    if table is not None:
        yield f"GRANT SELECT, INSERT, UPDATE, DELETE ON {_table(table)} TO {quoted(role)};"


def approver_grants(people: Mapping[str, Person], *, exists: bool) -> Iterator[str]:
    """What lets approvers answer: one role, two functions, nothing else."""
    if not any(person.approver for person in people.values()):
        return
    if not exists:
        yield f"CREATE ROLE {APPROVER} NOLOGIN;"
    yield "-- the three below once the first run has made schema orchestrator; by itself when the role is there before"
    yield f"GRANT USAGE ON SCHEMA orchestrator TO {APPROVER};"
    yield f"GRANT EXECUTE ON FUNCTION orchestrator.give_answer, orchestrator.open_events TO {APPROVER};"
    for role in dict.fromkeys(role for person in people.values() if person.approver for role in person.roles):
        yield f"GRANT {APPROVER} TO {quoted(role)};"


def listener_grants(people: Mapping[str, Person], *, exists: bool) -> Iterator[str]:
    """What lets `approve --listen` write clicks: three functions, for a login role that is nobody of `[people]`."""
    if not any(person.approver and person.slack for person in people.values()):
        return
    if not exists:
        yield f"CREATE ROLE {LISTENER} NOLOGIN;"
    yield "-- the two below once the first run has made schema orchestrator; by itself when the role is there before"
    yield f"GRANT USAGE ON SCHEMA orchestrator TO {LISTENER};"
    functions = ("give_click", "run_answers", "open_events")
    yield f"GRANT EXECUTE ON FUNCTION {', '.join(f'orchestrator.{each}' for each in functions)} TO {LISTENER};"
    yield f"-- GRANT {LISTENER} to the login role of approve --listen, to nobody who approves or deploys"


def _table(name: TableName) -> str:
    return f"{quoted(name.schema)}.{quoted(name.name)}"
