"""A migration tried out on a scratch copy: what it made, and whether it did anything else.

Its SQL is not understood but run, in one transaction. Catalog, dump, rows and what else a dump of the schema does not
say are read before and after; what is new is then dropped again, and the dump has to be what it was; made once more,
it has to be what the script left.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import psycopg
from psycopg import sql

from orchestrator.adapters.checksums import Content, content, differences, snapshot
from orchestrator.adapters.child import ChildFailed, Order, run
from orchestrator.adapters.ddl import QuotedDdl, quoted
from orchestrator.adapters.dump import explained, link
from orchestrator.adapters.introspection import read_catalog
from orchestrator.adapters.postgres import Connection, Server, plain_line, plainly
from orchestrator.adapters.programs import dump_installation
from orchestrator.core.additions import Additions, new_additions
from orchestrator.core.adoption import NewKey, differing, leaning, new_keys
from orchestrator.core.catalog import TableName
from orchestrator.core.migration import split
from orchestrator.core.outcome import Refused
from orchestrator.core.revision import Moved, Revisions, moved, version_tables

STEP = "trial"
OWN_COMMIT = "it has a COMMIT or ROLLBACK of its own"
OPENS, CLOSES = ("begin", "start"), ("commit", "end")
ENDS = (*CLOSES, "rollback", "abort", "prepare")
BEFORE_THE_DUMP = ("--", "\\restrict", "\\unrestrict")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What a migration did: its keys and additions, how it moved Alembic's history, and what else it did.

    `others` are the lines of a dump that differ without these, `rows` what it did to rows, `objection` why its history
    cannot be recorded, `leans` the keys that need a unique index of the same file,
    `bound` why it cannot be run in a transaction of ours.
    """

    keys: tuple[NewKey, ...]
    additions: Additions
    others: tuple[str, ...]
    rows: str
    moved: Moved | None = None
    objection: str = ""
    leans: tuple[str, ...] = ()
    bound: str = ""


def try_out(place: Server, script: bytes) -> Tried:
    """Run it on a copy. Raises Refused with the server's line when it fails there."""
    with place.session(STEP, read_only=False) as connection:
        before, lines = read_catalog(connection), _schema(connection, place)
        versions = tuple(version_tables(before))
        held, revisions = _rows(connection, versions), _revisions(connection, versions)
        state, inner = _state(connection), _within(script)
        bound = _run(connection, inner)
        if inner != script:
            # The copy is tried without them; run as it stands, they would end our transaction.
            bound = OWN_COMMIT
    # A session of its own: the script may have changed settings.
    with place.session(STEP, read_only=False) as connection:
        after, came_to = read_catalog(connection), _schema(connection, place)
        keys, additions = tuple(new_keys(before, after)), new_additions(before, after)
        rows = differences(expected=held, found=_rows(connection, versions)) or _changed(state, _state(connection))
        kept = [each for each in versions if after.table(each)]
        history, objection = moved(revisions, _revisions(connection, kept))
        gone = _taken_away(connection, keys, additions)
        others = differing(lines, _schema(connection, place) if gone else came_to)
        if not others and not any(each.objection for each in keys):
            with plainly("making it once more on the copy"):
                for text in _again(keys, additions):
                    connection.execute(text.encode())
            # A comment on a new key goes with the key: what our own statements leave out shows only now.
            others = differing(_schema(connection, place), came_to)
        return Tried(
            keys=keys,
            additions=additions,
            others=others,
            rows=rows,
            moved=history,
            objection=objection,
            leans=tuple(leaning(keys, before)),
            bound=bound,
        )


def _taken_away(connection: Connection, keys: tuple[NewKey, ...], additions: Additions) -> bool:
    """Whether what is new could be dropped again; what other new things depend on cannot."""
    # The snapshot of its rows was read only.
    connection.isolation_level, connection.read_only = None, False
    try:
        with connection.transaction():
            for text in _away(keys, additions):
                connection.execute(text.encode())
    except psycopg.errors.DependentObjectsStillExist:
        return False
    return True


def _away(keys: tuple[NewKey, ...], additions: Additions) -> Iterator[str]:
    ddl = QuotedDdl()
    yield from (ddl.drop(each.table, each.key.name) for each in keys)
    yield from (ddl.drop(each.table, each.name) for each in additions.checks)
    yield from (f"DROP INDEX {quoted(each.table.schema, each.name)}" for each in additions.indexes)


def _again(keys: tuple[NewKey, ...], additions: Additions) -> Iterator[str]:
    """As the online deployment has them in the end."""
    ddl = QuotedDdl()
    yield from (each.definition for each in additions.indexes)
    yield from (ddl.add_check(each.table, each.name, each.definition) for each in additions.checks)
    yield from (ddl.add(each.relation, not_valid=False) for each in keys)


def _revisions(connection: Connection, tables: Iterable[TableName]) -> Revisions:
    """What stands in Alembic's tables. Raises OrchestratorError."""
    found = {}
    with plainly("reading Alembic's history", reading=True):
        for each in tables:
            query = sql.SQL("select version_num from {}").format(sql.Identifier(each.schema, each.name))
            found[each] = frozenset(str(row["version_num"]) for row in connection.execute(query))
    return found


def _rows(connection: Connection, versions: Iterable[TableName]) -> Content:
    """Of all tables but Alembic's own, which are looked at by themselves."""
    own = {(each.schema, each.name) for each in versions}
    with snapshot(connection):
        found = content(connection)
    return replace(
        found, tables={each: has for each, has in found.tables.items() if (each.schema, each.table) not in own}
    )


def _state(connection: Connection) -> Mapping[str, object]:
    """Where each sequence is, and which file each materialized view lies in: a refresh writes another."""
    query = (
        "select n.nspname as schema, c.relname as name, c.relkind::text as kind, c.relfilenode as file"
        " from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where c.relkind in ('S', 'm') and n.nspname !~ '^pg_'"
    )
    found: dict[str, object] = {}
    with plainly("reading sequences and materialized views of the copy"):
        for each in connection.execute(query).fetchall():
            told = f"{each['schema']}.{each['name']}"
            if each["kind"] == "m":
                found[f"materialized view {told}"] = each["file"]
                continue
            name = sql.Identifier(each["schema"], each["name"])
            found[f"sequence {told}"] = connection.execute(
                sql.SQL("select last_value, is_called from {}").format(name)
            ).fetchone()
    return found


def _changed(before: Mapping[str, object], after: Mapping[str, object]) -> str:
    """What is new or gone is in the dump's lines."""
    return "; ".join(name for name, state in before.items() if name in after and after[name] != state)


def _within(script: bytes) -> bytes:
    """The script without BEGIN and COMMIT around it: what it commits itself could not be taken back.

    Raises Refused for a transaction that ends in its middle.
    """
    statements = list(split(script.decode(errors="replace")))
    firsts = [each.split(maxsplit=1)[0].lower() for each in statements]
    whole = len(firsts) > 1 and firsts[0] in OPENS and firsts[-1] in CLOSES
    if set(firsts[1:-1] if whole else firsts) & set(ENDS):
        message = "it ends its own transaction, and what it then does could not be taken back: it is left to its tool"
        raise Refused(message)
    return ";\n".join(statements[1:-1]).encode() if whole else script


def _run(connection: Connection, script: bytes) -> str:
    """Gives back why it cannot be run in a transaction of ours.

    Before it is committed: what it did to the server itself would outlive the copy. Raises Refused.
    """
    before = _shared(connection)
    try:
        connection.execute("begin")
        connection.execute("select set_config('orchestrator.trial', '1', true)")
        session = _session(connection)
        connection.execute(script)
        now = _session(connection)
        changed = _shared(connection) != before
        connection.execute("rollback" if changed else "commit")
    except psycopg.Error as error:
        message = f"it fails on a copy of the database: {plain_line(error)}"
        raise Refused(message) from error
    if changed:
        message = "it changes roles, or settings of roles and databases, which belong to the whole server"
        raise Refused(message)
    if now["open"] != "1":
        return OWN_COMMIT
    return "" if now == session else "it changes settings of its session (SET), which are the deployment's"


def _session(connection: Connection) -> Mapping[str, object]:
    """Whether our transaction is still open, and what holds in this session. Raises psycopg.Error."""
    query = (
        "select coalesce(current_setting('orchestrator.trial', true), '') as open, current_user::text as role,"
        " (select md5(string_agg(name || '=' || setting, ',' order by name)) from pg_settings"
        " where source = 'session') as settings"
    )
    return connection.execute(query).fetchone() or {}


def _shared(connection: Connection) -> object:
    """Roles, memberships and settings: they are the server's, not the copy's. Raises psycopg.Error."""
    query = (
        "select (select md5(string_agg(r::text, ',' order by oid)) from pg_roles r) as roles,"
        " (select md5(string_agg(m::text, ',' order by m::text)) from pg_auth_members m) as members,"
        " (select md5(string_agg(s::text, ',' order by s::text)) from pg_db_role_setting s) as settings"
    )
    return connection.execute(query).fetchone()


def _schema(connection: Connection, place: Server) -> tuple[str, ...]:
    """The dump of the copy's schema, without comments and what differs each time. Raises ChildFailed."""
    major = connection.info.server_version // 10000
    tools = dump_installation(server_major=major, restore_major=major)
    way = link(connection, place)
    command = [str(tools.program("pg_dump")), "--schema-only", "--no-password"]
    order = Order(
        name="pg_dump", command=command, environment=tools.environment() | way.environment, secrets=way.secrets
    )
    try:
        said, _ = run(order)
    except ChildFailed as error:
        raise explained(error) from None
    return tuple(line for line in said.splitlines() if line and not line.startswith(BEFORE_THE_DUMP))
