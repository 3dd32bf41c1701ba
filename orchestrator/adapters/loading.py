"""Applies migrations to an empty database and streams rows into its tables.

Every table is loaded through COPY by two connections at a time; parents that a standing key asks for come first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Any

from psycopg import sql

from orchestrator.adapters.introspection import read_catalog
from orchestrator.adapters.postgres import Connection, Server, plainly
from orchestrator.core.catalog import Catalog, Constraint, TableName
from orchestrator.core.contract import Contract, touched
from orchestrator.core.outcome import OrchestratorError, Refused
from orchestrator.core.seeding.columns import ColumnType
from orchestrator.core.seeding.plan import Filling, fillings, tables_of
from orchestrator.core.seeding.proportions import TREE, Proportions, refuse_too_few

STEP = "seed"
WORKERS = 2
PART = 150_000
"""Rows that one connection loads at a stretch; bigger tables are loaded by both at once."""

# Domains are looked through down to the type below, whose modifier is theirs; their checks are gathered on the way.
COLUMN_TYPES = """
with recursive wanted as (
    select a.attrelid, a.attnum, a.attname, a.atttypid as type, a.atttypmod as modifier
    from pg_attribute a
    where a.attrelid = any(%(tables)s::oid[]) and a.attnum > 0 and not a.attisdropped
), down as (
    select w.*, w.type as at, w.modifier as modified, '{}'::text[] as checks, false as not_null, false as defaulted
    from wanted w
    union all
    select d.attrelid, d.attnum, d.attname, d.type, d.modifier, t.typbasetype, t.typtypmod,
           d.checks || array(select pg_get_constraintdef(c.oid) from pg_constraint c
                             where c.contypid = t.oid and c.contype = 'c' order by c.conname),
           d.not_null or t.typnotnull, d.defaulted or t.typdefault is not null
    from down d join pg_type t on t.oid = d.at and t.typtype = 'd'
)
select n.nspname as schema, c.relname as name, d.attname as column, d.checks, d.not_null, d.defaulted,
       e.oid is not null as is_array, format_type(coalesce(e.oid, t.oid), d.modified) as base,
       array(select l.enumlabel::text from pg_enum l
             where l.enumtypid = coalesce(e.oid, t.oid) order by l.enumsortorder) as labels
from down d
join pg_type t on t.oid = d.at and t.typtype <> 'd'
left join pg_type e on e.oid = t.typelem and t.typcategory = 'A'
join pg_class c on c.oid = d.attrelid
join pg_namespace n on n.oid = c.relnamespace
"""

# One leaf of each table that is split by range or list and has no default partition to take everything.
PARTITION_BOUNDS = """
select distinct on (p.partrelid) n.nspname as schema, c.relname as name, l.relid::regclass::text as partition,
       pg_get_partition_constraintdef(l.relid) as bound
from pg_partitioned_table p
join pg_class c on c.oid = p.partrelid and not c.relispartition
join pg_namespace n on n.oid = c.relnamespace
join pg_partition_tree(p.partrelid) l on l.isleaf
where p.partstrat <> 'h' and p.partdefid = 0
order by p.partrelid, l.relid::regclass::text
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A filled table. `rows` is less than `wanted` where a unique key allows no more."""

    table: TableName
    rows: int
    wanted: int


def apply_migrations(server: Server, migrations: Sequence[tuple[str, str]], contract: Contract) -> tuple[str, ...]:
    """Apply migrations (name, SQL text) in the order of their names, each in its own transaction.

    Nothing is done when all tables of the contract exist. Raises Refused when only some do, and OrchestratorError
    with the name of a migration that the server refuses; those before it stay applied. Returns the applied names.
    """
    with server.session(STEP, read_only=False) as connection:
        wanted = touched(contract.relations)
        there = [name for name in wanted if _exists(connection, name)]
        if there and len(there) == len(wanted):
            return ()
        if there:
            absent = ", ".join(str(name) for name in wanted if name not in there)
            message = f"only some tables of the contract exist; missing: {absent} (start from an empty database)"
            raise Refused(message)
        for name, text in sorted(migrations):
            with plainly(f"migration {name}"), connection.transaction():
                # Bytes without parameters go as they stand, so a file may hold many statements.
                connection.execute(text.encode())
    return tuple(name for name, _ in sorted(migrations))


def fill(
    server: Server,
    contract: Contract,
    *,
    rows: int,
    seed: int = 1,
    proportions: Proportions = TREE,
    progress: Callable[[Loaded], None] | None = None,
) -> tuple[Loaded, ...]:
    """Fill all tables of a contract, and those they refer to by existing keys: `rows` in the largest one.

    The same seed gives the same rows. Raises Refused, with nothing changed, when `rows` is less than 1, when a
    table is missing or has rows, or when a constraint or type is not understood; OrchestratorError when the server
    refuses rows, with the names of the tables that are filled by then.
    """
    refuse_too_few(rows)
    with server.session(STEP, read_only=True) as connection:
        catalog = _within_partitions(connection, read_catalog(connection))
        tables = tables_of(contract, catalog)
        _refuse_filled(connection, tables)
        kinds = _column_types(connection, tables)
    plan = fillings(contract, catalog, kinds, rows=rows, seed=seed, proportions=proportions)
    loaded = _Loading(server=server, progress=progress or _silent).run(plan)
    with server.session(STEP, read_only=False) as connection:
        _analyze(connection, catalog, tables)
    return loaded


def _silent(_: Loaded) -> None:
    """Nobody wants to know."""


def _exists(connection: Connection, name: TableName) -> bool:
    row = connection.execute(
        "select exists(select from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where n.nspname = %s and c.relname = %s and c.relkind in ('r', 'p')) as found",
        (name.schema, name.name),
    ).fetchone()
    return bool(row and row["found"])


def _identifier(name: TableName) -> sql.Identifier:
    return sql.Identifier(name.schema, name.name)


def _refuse_filled(connection: Connection, tables: Sequence[TableName]) -> None:
    """Invented rows are never mixed with rows of others. Raises Refused."""
    filled = []
    for name in tables:
        query = sql.SQL("select exists(select from {}) as found").format(_identifier(name))
        with plainly(f"reading {name}"):
            row = connection.execute(query).fetchone()
        if row and row["found"]:
            filled.append(str(name))
    if filled:
        message = f"tables have rows already: {', '.join(filled)} (seed fills empty tables only; nothing was changed)"
        raise Refused(message)


def _within_partitions(connection: Connection, catalog: Catalog) -> Catalog:
    """The catalog, in which a table that is split by range or list takes only what one partition accepts."""
    with plainly("reading partitions"):
        found = connection.execute(PARTITION_BOUNDS).fetchall()
    tables = dict(catalog.tables)
    for row in found:
        name = TableName(schema=row["schema"], name=row["name"])
        if name in tables:
            bound = Constraint(name=row["partition"], kind="check", definition=f"CHECK ({row['bound']})")
            tables[name] = replace(tables[name], constraints=(*tables[name].constraints, bound))
    return replace(catalog, tables=tables)


def _column_types(connection: Connection, tables: Sequence[TableName]) -> dict[tuple[TableName, str], ColumnType]:
    oids = [_oid(connection, name) for name in tables]
    with plainly("reading column types"):
        found = connection.execute(COLUMN_TYPES, {"tables": oids}).fetchall()
    return {
        (TableName(schema=row["schema"], name=row["name"]), row["column"]): ColumnType(
            base=row["base"],
            labels=tuple(row["labels"]),
            checks=tuple(row["checks"]),
            not_null=row["not_null"],
            has_default=row["defaulted"],
            array=row["is_array"],
        )
        for row in found
    }


def _oid(connection: Connection, name: TableName) -> int:
    row = connection.execute(
        "select c.oid::bigint as oid from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where n.nspname = %s and c.relname = %s",
        (name.schema, name.name),
    ).fetchone()
    return int(row["oid"]) if row else 0


def _analyze(connection: Connection, catalog: Catalog, tables: Sequence[TableName]) -> None:
    """Fresh statistics, so that plans and estimates fit the new rows."""
    names = [name for name in tables if name in catalog.tables]
    with plainly("analyze"):
        connection.execute(sql.SQL("analyze {}").format(sql.SQL(", ").join(map(_identifier, names))))


@dataclass(slots=True, kw_only=True)
class _Loading:
    """The loading of all tables by a few connections."""

    server: Server
    progress: Callable[[Loaded], None]
    waiting: dict[TableName, set[Future[None]]] = field(default_factory=dict)
    fillings: dict[TableName, Filling] = field(default_factory=dict)
    loaded: list[Loaded] = field(default_factory=list)
    broken: Event = field(default_factory=Event)

    def run(self, plan: Iterator[Filling]) -> tuple[Loaded, ...]:
        """Load what the plan yields, in its order, as far as standing keys allow side by side."""
        with ThreadPoolExecutor(WORKERS, thread_name_prefix=STEP) as pool:
            try:
                for filling in plan:
                    self._submit(pool, filling)
                while self.waiting:
                    self._collect(return_when=FIRST_COMPLETED)
            except BaseException:
                self.broken.set()
                pool.shutdown(cancel_futures=True)
                raise
        return tuple(self.loaded)

    def _submit(self, pool: ThreadPoolExecutor, filling: Filling) -> None:
        name, total = filling.text.name, filling.text.rows
        before = [each for parent in filling.after for each in self.waiting.get(parent, ())]
        starts = range(0, total, PART) if total else range(1)
        self.fillings[name] = filling
        self.waiting[name] = {
            pool.submit(self._load, filling, start, min(start + PART, total), before) for start in starts
        }
        self._collect(timeout=0)

    def _collect(self, *, timeout: float | None = None, return_when: str = FIRST_COMPLETED) -> None:
        """Take note of tables that are done. Raises what went wrong in a connection."""
        pending = [each for futures in self.waiting.values() for each in futures]
        done = wait(pending, timeout=timeout, return_when=return_when).done
        for name in list(self.waiting):
            for future in self.waiting[name] & done:
                future.result()
            self.waiting[name] -= done
            if not self.waiting[name]:
                del self.waiting[name]
                self._finished(self.fillings.pop(name))

    def _finished(self, filling: Filling) -> None:
        result = Loaded(table=filling.text.name, rows=filling.text.rows, wanted=filling.wanted)
        self.loaded.append(result)
        self.progress(result)

    def _load(self, filling: Filling, start: int, stop: int, before: Sequence[Future[Any]]) -> None:
        """One part of a table, in one transaction."""
        # Parents were submitted before, so they run or are done: waiting for them cannot stop us for ever.
        wait(before)
        if self.broken.is_set() or any(each.exception() for each in before):
            return
        text = filling.text
        copy = sql.SQL("copy {} ({}) from stdin").format(
            _identifier(text.name), sql.SQL(", ").join(map(sql.Identifier, text.columns))
        )
        with self.server.session(STEP, read_only=False) as connection:
            with plainly(self._trouble(text.name)), connection.transaction():
                # Rows that can be made again need not wait for the disk.
                connection.execute("set local synchronous_commit = off")
                with connection.cursor() as cursor, cursor.copy(copy) as stream:
                    for block in text.blocks(start, stop):
                        if self.broken.is_set():
                            message = "another table could not be filled"
                            raise OrchestratorError(message)
                        stream.write(block)
            self._count_on(connection, filling)

    def _trouble(self, name: TableName) -> str:
        done = ", ".join(str(each.table) for each in self.loaded)
        return f"filling {name}" + (f" (filled before, to be emptied: {done})" if done else "")

    def _count_on(self, connection: Connection, filling: Filling) -> None:
        """Let columns that number themselves go on after our numbers."""
        for column in filling.counted:
            table = _identifier(filling.text.name)
            query = sql.SQL(
                "select setval(s::regclass, max({column})) from {table},"
                " pg_get_serial_sequence({quoted}, {name}) s where s is not null group by s"
            ).format(
                column=sql.Identifier(column),
                table=table,
                quoted=sql.Literal(table.as_string(connection)),
                name=sql.Literal(column),
            )
            with plainly(f"sequence of {filling.text.name}"):
                connection.execute(query)
