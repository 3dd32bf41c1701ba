"""Every odd sort of key, on each version: our verdict against the server's own, and the whole road there and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from orchestrator.adapters.ddl import QuotedDdl
from orchestrator.adapters.introspection import DatabaseCatalog
from orchestrator.adapters.runbooks import load_contract
from orchestrator.app import planning, runs, walking_back
from orchestrator.app.answer import Answer
from orchestrator.app.request import Request
from orchestrator.core.catalog import Catalog, TableName
from orchestrator.core.contract import Contract, Relation, default_name
from orchestrator.core.matching import Match, Status, match
from orchestrator.core.plan import Plan, Statement
from orchestrator.core.plan_making import make_plan
from tests import servers
from tests.conftest import ENDS, server_of

ClusterUrl = Callable[[int], str]

LONG = "a" * 63
UNICODE = "ключ_" * 6 + "日"
"""57 bytes in 31 characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One key in a schema of its own: its tables (c refers to p, unless said otherwise) and what must come of it.

    `server` is false where our verdict is deliberately stricter than the server's.
    """

    id: str
    ddl: str
    columns: tuple[str, ...] = ("p_id",)
    to: tuple[str, ...] = ("id",)
    table: str = "c"
    parent: str = "p"
    schema: str = ""
    parent_schema: str | None = None
    status: Status = "missing"
    reason: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    since: int = 0
    only: tuple[int, ...] = ()
    server: bool = True
    kinds: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    def on(self, major: int) -> bool:
        """Whether a version can have this case at all."""
        return major >= self.since and (not self.only or major in self.only)

    @property
    def home(self) -> str:
        """The schema that the case lives in."""
        return self.schema or self.id

    def line(self) -> dict[str, Any]:
        """The case as a line of a contract."""
        references = {"table": self.parent, "columns": list(self.to)}
        references |= {"schema": self.parent_schema} if self.parent_schema else {}
        line = {"schema": self.home, "table": self.table, "columns": list(self.columns), "references": references}
        return line | dict(self.options)


PARENT = "create table p (id int primary key); insert into p values (1), (2);"
PAIR = "create table p (a int, b int, primary key (a, b)); insert into p values (1, 2);"
CHILD = "create table c (p_id int); insert into c values (1), (null);"
PARTS = """
create table c (p_id int, day int) partition by range (day);
create table c_old partition of c for values from (0) to (10);
create table c_new partition of c for values from (10) to (20);
insert into c values (1, 1), (2, 11), (null, 12);
"""
BEFORE_18 = ("add", "add", "validate", "validate", "adopt")
FOREIGN = "create foreign data wrapper dummy_{0}; create server dummy_{0} foreign data wrapper dummy_{0};"

CASES = (
    # Shapes of keys that can be planned.
    Case(id="plain", ddl=PARENT + CHILD),
    Case(
        id="composite in the order of the index",
        ddl=PAIR + "create table c (a int, b int)",
        columns=("a", "b"),
        to=("a", "b"),
    ),
    Case(
        id="composite in another order",
        ddl=PAIR + "create table c (x int, y int); insert into c values (1, 2), (7, null)",
        columns=("y", "x"),
        to=("b", "a"),
    ),
    Case(
        id="composite of two types in another order",
        ddl="create table p (a int, b text, unique (a, b)); create table c (x varchar(9), y smallint)",
        columns=("x", "y"),
        to=("b", "a"),
    ),
    Case(
        id="match full",
        ddl=PAIR + "create table c (a int, b int); insert into c values (1, 2), (null, null)",
        columns=("a", "b"),
        to=("a", "b"),
        options={"match": "full", "on_delete": "restrict", "on_update": "cascade"},
    ),
    Case(id="unique constraint", ddl="create table p (id int primary key, code text unique);"
         "create table c (code text)", columns=("code",), to=("code",)),
    Case(id="unique index", ddl="create table p (id int primary key, code text); create unique index on p (code);"
         "create table c (code text)", columns=("code",), to=("code",)),
    Case(id="unique index with columns on board", ddl="create table p (code text, extra int);"
         "create unique index on p (code) include (extra); create table c (code text)",
         columns=("code",), to=("code",)),
    Case(id="unique index with another operator class", ddl="create table p (code text);"
         "create unique index on p (code text_pattern_ops); create table c (code varchar)",
         columns=("code",), to=("code",)),
    Case(id="nulls not distinct", ddl="create table p (id int unique nulls not distinct);create table c (p_id int)"),
    Case(id="deferred", ddl=PARENT + CHILD, options={"deferrable": "initially deferred", "on_delete": "cascade"}),
    Case(id="deferrable", ddl=PARENT + CHILD, options={"deferrable": "initially immediate"}),
    Case(id="set null on some columns", ddl=PAIR + "create table c (a int not null, b int)",
         columns=("a", "b"), to=("a", "b"), options={"on_delete": "set null", "on_delete_columns": ["b"]}),
    Case(id="set default on some columns", ddl=PAIR + "create table c (a int not null, b int default 2)",
         columns=("a", "b"), to=("a", "b"), options={"on_delete": "set default", "on_delete_columns": ["b"]}),
    Case(id="set default on update", ddl=PARENT + "create table c (p_id int default 1)",
         options={"on_update": "set default", "on_delete": "set null"}),
    Case(id="self-reference", ddl="create table p (id int primary key, p_id int); insert into p values (1, 1)",
         table="p"),
    Case(id="composite self-reference", ddl="create table p (a int, b int, c int, primary key (a, b))",
         table="p", columns=("a", "c"), to=("a", "b")),
    Case(id="first of two on one column", ddl=PARENT + CHILD + "create table q (id int primary key);"
         "insert into q values (1)", options={"name": "to p"}),
    Case(id="second of two on one column", ddl="", schema="first of two on one column", parent="q",
         options={"name": "to q"}),
    Case(id="unlogged", ddl="create table p (id int primary key); create unlogged table c (p_id int)"),
    Case(id="both unlogged", ddl="create unlogged table p (id int primary key); create unlogged table c (p_id int)"),
    Case(id="stored generated column", ddl=PARENT + "create table c (x int,"
         " p_id int generated always as (x + 1) stored)", options={"on_delete": "cascade"}),
    Case(id="inheriting", ddl=PARENT + CHILD + "create table heir (more int) inherits (c);"
         "insert into heir values (99, 1)"),
    Case(id="inherited parent", ddl=PARENT + CHILD + "create table heir () inherits (p)"),
    Case(id="row security", ddl=PARENT + CHILD + "alter table c enable row level security"),
    # Names.
    Case(id="mixed case", ddl='create table "Parent" ("Id" int primary key); create table "Child" ("Parent Id" int)',
         table="Child", columns=("Parent Id",), parent="Parent", to=("Id",)),
    Case(id="quotes", ddl='create table "p""p" ("i""d" int primary key); create table "c\'c" ("p\'id" int)',
         schema='sch"ema', table="c'c", columns=("p'id",), parent='p"p', to=('i"d',), options={"name": "k\"e'y"}),
    Case(id="dots", ddl='create table "p.p" ("i.d" int primary key); create table "c.c" ("p.id" int)',
         schema="sche.ma", table="c.c", columns=("p.id",), parent="p.p", to=("i.d",), options={"name": "k.e.y"}),
    Case(id="percent", ddl='create table "p%s" ("%(id)s" int primary key); create table "c%%" ("%p {0}" int);'
         'insert into "c%%" values (null)',
         schema="100%", table="c%%", columns=("%p {0}",), parent="p%s", to=("%(id)s",), options={"name": "%s{x}%"}),
    Case(id="controls", ddl='create table "p\\n" ("i\nd" int primary key); create table "c;--" ("p$1" int)',
         schema="back\\slash", table="c;--", columns=("p$1",), parent="p\\n", to=("i\nd",), options={"name": "/* k"}),
    Case(id="unicode", ddl=f'create table "{UNICODE}" ("идент" int primary key); create table "子" ("親_id" int)',
         schema="スキーマ", table="子", columns=("親_id",), parent=UNICODE, to=("идент",)),
    Case(id="words", ddl='create table "table" ("select" int primary key); create table "order" ("user" int)',
         table="order", columns=("user",), parent="table", to=("select",)),
    Case(id="63 bytes", ddl=f'create table "p{LONG[1:]}" ("i{LONG[1:]}" int primary key);'
         f'create table "c{LONG[1:]}" ("x{LONG[1:]}" int)',
         schema=f"s{LONG[1:]}", table=f"c{LONG[1:]}", columns=(f"x{LONG[1:]}",), parent=f"p{LONG[1:]}",
         to=(f"i{LONG[1:]}",)),
    Case(id="name of 63 bytes", ddl=PARENT + CHILD, options={"name": "ü" * 31 + "x"}),
    Case(id="across schemas", ddl='create schema "elsewhere"; create table elsewhere.c (id int primary key);'
         "create table c (p_id int)", parent_schema="elsewhere", parent="c"),
    Case(id="the same names elsewhere", ddl="create table c (p_id text); create table p (id text primary key)"),
    # Types.
    Case(id="int to bigint", ddl="create table p (id bigint primary key);" + CHILD.replace("insert", "-- ")),
    Case(id="bigint to int", ddl=PARENT + "create table c (p_id bigint)"),
    Case(id="varchar to text", ddl="create table p (id text primary key); create table c (p_id varchar(10))"),
    Case(id="domain", ddl="create domain whole as int check (value > 0); create domain more as whole;"
         "create table p (id whole primary key); create table c (p_id more)"),
    Case(id="enum", ddl="create type mood as enum ('a'); create table p (id mood primary key);"
         "create table c (p_id mood)"),
    Case(id="array", ddl="create table p (id int[] primary key); create table c (p_id int[])"),
    Case(id="uuid", ddl="create table p (id uuid primary key); create table c (p_id uuid)"),
    Case(id="range", ddl="create table p (id int4range primary key); create table c (p_id int4range)"),
    Case(id="multirange", ddl="create table p (id int4multirange primary key); create table c (p_id int4multirange)"),
    Case(id="row type", ddl="create type pair as (a int); create table p (id pair primary key);"
         "create table c (p_id pair)"),
    Case(id="collations that agree on equality", ddl='create table p (id text collate "C" primary key);'
         'create table c (p_id text collate "POSIX"); insert into p values (\'x\'); insert into c values (\'x\')'),
    Case(id="name to text", ddl="create table p (id name primary key); create table c (p_id name)"),
    # Partitions.
    Case(id="partitioned", ddl=PARENT + PARTS,
         kinds={15: BEFORE_18, 16: BEFORE_18, 18: ("add", "validate")}),
    Case(id="partitioned without partitions", ddl=PARENT + "create table c (p_id int) partition by list (p_id)",
         kinds={15: ("adopt",), 16: ("adopt",), 18: ("add", "validate")}),
    Case(id="sub-partitions", ddl=PARENT + PARTS + "create table c_sub partition of c for values from (20) to (40)"
         " partition by list (day); create table c_20 partition of c_sub for values in (20);"
         "create table c_rest partition of c_sub default; insert into c values (1, 20), (2, 30)",
         kinds={15: ("add",) * 4 + ("validate",) * 4 + ("adopt",), 18: ("add", "validate")}),
    Case(id="partition with the key", ddl=PARENT + PARTS + "alter table c_old add constraint mine foreign key (p_id)"
         " references p", kinds={15: ("add", "validate", "adopt"), 18: ("add", "validate")}),
    Case(id="partition with the key not valid", ddl=PARENT + PARTS + "alter table c_old add constraint mine"
         " foreign key (p_id) references p not valid",
         kinds={15: ("add", "validate", "validate", "adopt"), 18: ("add", "validate")}),
    Case(id="partition with columns in another order", ddl=PARENT + "create table c (p_id int, day int)"
         " partition by range (day); create table c_x (gone int, day int, p_id int); alter table c_x drop gone;"
         "alter table c attach partition c_x for values from (0) to (10)"),
    Case(id="partitioned parent", ddl="create table p (id int primary key) partition by range (id);"
         "create table p_1 partition of p for values from (0) to (10);"
         "create table p_2 partition of p for values from (10) to (20); insert into p values (1), (11);"
         "create table c (p_id int); insert into c values (1), (11), (null)"),
    Case(id="both partitioned", ddl="create table p (id int, r int, primary key (id, r)) partition by range (r);"
         "create table p_1 partition of p for values from (0) to (10);"
         "create table c (id int, r int) partition by range (r);"
         "create table c_1 partition of c for values from (0) to (10)",
         columns=("r", "id"), to=("r", "id"), options={"on_delete": "cascade"}),
    Case(id="partitioned self-reference", ddl="create table p (id int, p_id int, primary key (id))"
         " partition by range (id); create table p_1 partition of p for values from (0) to (10);"
         "insert into p values (1, 1)", table="p"),
    Case(id="key on one partition", ddl=PARENT + PARTS, table="c_old"),
    Case(id="key to one partition", ddl="create table p (id int primary key) partition by range (id);"
         "create table p_1 partition of p for values from (0) to (10);" + "create table c (p_id int)", parent="p_1"),
    # What stands already.
    Case(id="present", ddl=PARENT + "create table c (p_id int constraint fk_c_p_id references p)", status="present"),
    Case(id="under another name", ddl=PARENT + "create table c (p_id int constraint other references p)",
         status="present", reason="stands as other"),
    Case(id="present in another order", ddl=PAIR + "create table c (a int, b int, constraint fk_c_a_b"
         " foreign key (b, a) references p (b, a))", columns=("a", "b"), to=("a", "b"), status="present"),
    Case(id="present on partitions", ddl=PARENT + PARTS + "alter table c add constraint fk_c_p_id foreign key (p_id)"
         " references p", status="present"),
    Case(id="inherited by a partition", ddl=PARENT + PARTS + "alter table c add constraint fk_c_p_id"
         " foreign key (p_id) references p", table="c_old", status="present", reason=""),
    Case(id="not valid", ddl=PARENT + CHILD + "alter table c add constraint fk_c_p_id foreign key (p_id)"
         " references p not valid", reason="stands NOT VALID as fk_c_p_id",
         kinds={15: ("validate",), 16: ("validate",), 18: ("validate",)}),
    Case(id="not valid under another name", ddl=PARENT + CHILD + 'alter table c add constraint "O ther"'
         " foreign key (p_id) references p deferrable not valid", options={"deferrable": "initially immediate"},
         reason="stands NOT VALID as O ther", kinds={15: ("validate",), 18: ("validate",)}),
    Case(id="another action", ddl=PARENT + "create table c (p_id int references p on delete cascade)",
         status="different", reason="on delete is cascade, not no action"),
    Case(id="another match", ddl=PARENT + "create table c (p_id int references p match full)", status="different",
         reason="match is full, not simple"),
    Case(id="deferrable instead", ddl=PARENT + "create table c (p_id int references p deferrable)",
         status="different", reason="deferrable is initially immediate, not not"),
    Case(id="other columns set null", ddl=PAIR + "create table c (a int, b int, foreign key (a, b) references p"
         " on delete set null (a))", columns=("a", "b"), to=("a", "b"),
         options={"on_delete": "set null", "on_delete_columns": ["b"]}, status="different",
         reason="on delete columns is ['a'], not ['b']"),
    Case(id="not enforced", ddl=PARENT + "create table c (p_id int constraint fk_c_p_id references p not enforced)",
         status="different", reason="NOT ENFORCED", since=18),
    Case(id="period", ddl="create table p (id int4range, at int4range, primary key (id, at without overlaps));"
         "create table c (id int4range, at int4range, foreign key (id, period at) references p (id, period at))",
         columns=("id", "at"), to=("id", "at"), status="different", reason="PERIOD", since=18),
    Case(id="triggers disabled", ddl=PARENT + "create table c (p_id int constraint fk_c_p_id references p);"
         "alter table c disable trigger all", status="different", reason="its triggers are disabled"),
    Case(id="triggers disabled on the parent", ddl=PARENT + "create table c (p_id int constraint fk_c_p_id references"
         " p); alter table p disable trigger all", status="different", reason="its triggers are disabled"),
    Case(id="another key under this name", ddl=PARENT + "create table c (p_id int, q_id int constraint fk_c_p_id"
         " references p)", status="different", reason="the name fk_c_p_id is taken"),
    Case(id="a check under this name", ddl=PARENT + "create table c (p_id int constraint fk_c_p_id check (p_id > 0))",
         status="different", reason="the name fk_c_p_id is taken"),
    Case(id="a not-null constraint under this name", ddl=PARENT + "create table c (p_id int,"
         " x int constraint fk_c_p_id not null)", status="different", reason="the name fk_c_p_id is taken", since=18),
    Case(id="the other of two columns", ddl="create table p (a int, b int, unique (a, b), unique (b, a));"
         "create table c (a int, b int, foreign key (b, a) references p (a, b))", columns=("a", "b"), to=("a", "b")),
    # What the server would refuse.
    Case(id="text to uuid", ddl="create table p (id uuid primary key); create table c (p_id text)",
         status="impossible", reason="types cannot be compared"),
    Case(id="numeric to bigint", ddl="create table p (id bigint primary key); create table c (p_id numeric)",
         status="impossible", reason="types cannot be compared"),
    Case(id="one of two types", ddl="create table p (a int, b uuid, unique (a, b)); create table c (a int, b text)",
         columns=("a", "b"), to=("a", "b"), status="impossible", reason="b is text, b is uuid"),
    Case(id="swapped types", ddl="create table p (a int, b text, unique (a, b)); create table c (a int, b text)",
         columns=("a", "b"), to=("b", "a"), status="impossible", reason="types cannot be compared"),
    Case(id="no unique key", ddl="create table p (id int); create table c (p_id int)", status="impossible",
         reason="no unique key"),
    Case(id="partial unique index", ddl="create table p (id int); create unique index on p (id) where id > 0;"
         "create table c (p_id int)", status="impossible", reason="no unique key"),
    Case(id="deferrable unique constraint", ddl="create table p (id int unique deferrable); create table c (p_id int)",
         status="impossible", reason="no unique key"),
    Case(id="unique over an expression", ddl="create table p (id int); create unique index on p ((id + 0));"
         "create table c (p_id int)", status="impossible", reason="no unique key"),
    Case(id="unique over more columns", ddl="create table p (id int, b int, unique (id, b)); create table c (p_id int)",
         status="impossible", reason="no unique key"),
    Case(id="exclusion constraint", ddl="create table p (id int4range, exclude using gist (id with =));"
         "create table c (p_id int4range)", status="impossible", reason="no unique key"),
    Case(id="without overlaps", ddl="create table p (id int4range, at int4range,"
         " primary key (id, at without overlaps)); create table c (id int4range, at int4range)", columns=("id", "at"),
         to=("id", "at"), status="impossible", reason="no unique key", since=18),
    Case(id="no table", ddl="create table p (id int primary key)", status="impossible",
         reason="table no table.c does not exist"),
    Case(id="no referenced table", ddl="create table c (p_id int)", status="impossible", reason="does not exist"),
    Case(id="no schema", ddl="create table c (p_id int)", parent_schema="nowhere", status="impossible",
         reason="table nowhere.p does not exist"),
    Case(id="no column", ddl=PARENT + "create table c (x int)", status="impossible",
         reason="column no column.c.p_id does not exist"),
    Case(id="dropped column", ddl=PARENT + CHILD + "alter table c drop p_id", status="impossible",
         reason="does not exist"),
    Case(id="no referenced column", ddl="create table p (x int primary key); create table c (p_id int)",
         status="impossible", reason="column no referenced column.p.id does not exist"),
    Case(id="view", ddl=PARENT + "create view c as select 1 as p_id", status="impossible", reason="view"),
    Case(id="to a view", ddl="create view p as select 1 as id; create table c (p_id int)", status="impossible",
         reason="view"),
    Case(id="to a materialized view", ddl="create materialized view p as select 1 as id; create unique index on p (id);"
         "create table c (p_id int)", status="impossible", reason="materialized view"),
    Case(id="foreign table", ddl=PARENT + FOREIGN.format("a") + "create foreign table c (p_id int) server dummy_a",
         status="impossible", reason="foreign table"),
    Case(id="foreign partition", ddl=PARENT + FOREIGN.format("b") + "create table c (p_id int, day int)"
         " partition by range (day); create foreign table c_far partition of c for values from (0) to (10)"
         " server dummy_b", status="impossible", reason="foreign table"),
    Case(id="to an unlogged table", ddl="create unlogged table p (id int primary key); create table c (p_id int)",
         status="impossible", reason="a permanent table cannot refer to the unlogged table"),
    Case(id="virtual generated column", ddl=PARENT + "create table c (x int, p_id int generated always as (x) virtual)",
         status="impossible", reason="p_id is a virtual generated column", since=18),
    Case(id="stored generated column set null", ddl=PARENT + "create table c (x int, p_id int generated always as (x)"
         " stored)", options={"on_delete": "set null"}, status="impossible", reason="p_id is generated"),
    Case(id="stored generated column cascaded", ddl=PARENT + "create table c (x int, p_id int generated always as (x)"
         " stored)", options={"on_update": "cascade"}, status="impossible", reason="p_id is generated"),
    # PostgreSQL 18 refuses it; before, what is equal depends on which side asks. ICU comes with Debian's 15 only.
    Case(id="nondeterministic collation", ddl="create collation ci (provider = icu, locale = 'und-u-ks-level2',"
         " deterministic = false); create table p (id text collate ci primary key); create table c (p_id text)",
         status="impossible", reason="collations cannot be compared", only=(15,), server=False),
    Case(id="nondeterministic collation of a domain", ddl="create collation ci (provider = icu,"
         " locale = 'und-u-ks-level2', deterministic = false); create domain word as text collate ci;"
         "create table p (id word primary key); create table c (p_id text)",
         status="impossible", reason="collations cannot be compared", only=(15,), server=False),
    Case(id="one nondeterministic collation", ddl="create collation ci (provider = icu, locale = 'und-u-ks-level2',"
         " deterministic = false); create table p (id text collate ci primary key);"
         "create table c (p_id text collate ci); insert into p values ('Å'); insert into c values ('å')", only=(15,)),
    Case(id="deferred by the contract", ddl="", options={"deferred": "next release"}, status="deferred",
         reason="next release"),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Odd:
    """All cases of a version in one database, with their contract and their catalog."""

    major: int
    url: str
    relations: Mapping[str, Relation]
    catalog: Catalog

    def found(self, case: Case) -> Match:
        """The verdict on a case."""
        return match(self.relations[case.id], self.catalog)

    def plan(self, case: Case) -> Plan:
        """What would be done for this case alone."""
        contract = Contract(relations=(self.relations[case.id],))
        return planned(contract, self.catalog)


def planned(contract: Contract, catalog: Catalog) -> Plan:
    """A plan as the application makes it."""
    return make_plan(
        runbook="odd", environment="staging", contract=contract, catalog=catalog, writer=QuotedDdl(), lock_budget_ms=100
    )


def write_contract(folder: Path, cases: tuple[Case, ...]) -> Path:
    """The cases as a bare runbook folder."""
    folder.mkdir(exist_ok=True)
    text = "\n".join(line for case in cases for line in ("[[foreign_key]]", *_toml(case.line())))
    (folder / "foreign_keys.toml").write_text(text, encoding="utf-8")
    return folder


def _toml(line: Mapping[str, Any]) -> Iterator[str]:
    """A line's keys; JSON's escapes are TOML's too."""
    for key, value in line.items():
        if isinstance(value, dict):
            inner = ", ".join(f"{name} = {json.dumps(each, ensure_ascii=False)}" for name, each in value.items())
            yield f"{key} = {{ {inner} }}"
        else:
            yield f"{key} = {json.dumps(value, ensure_ascii=False)}"


def build(url: str, cases: tuple[Case, ...]) -> None:
    """Make the tables of these cases, each in its schema."""
    with psycopg.connect(url, autocommit=True) as connection:
        for case in cases:
            home = sql.Identifier(case.home)
            connection.execute(sql.SQL("create schema if not exists {}").format(home))
            connection.execute(sql.SQL("set search_path = {}").format(home))
            if case.ddl:
                connection.execute(case.ddl.encode())


def cases_on(major: int, *statuses: Status) -> tuple[Case, ...]:
    """The cases that a version can have, all or those of some statuses."""
    return tuple(case for case in CASES if case.on(major) and (not statuses or case.status in statuses))


@pytest.fixture(scope="module", params=ENDS)
def odd(
    request: pytest.FixtureRequest, cluster_url: ClusterUrl, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Odd]:
    """All cases that the version can have; the tests of this database leave nothing behind."""
    cases = cases_on(request.param)
    url = servers.fresh_database(cluster_url(request.param))
    build(url, cases)
    folder = write_contract(tmp_path_factory.mktemp("odd") / "runbook", cases)
    relations = load_contract(folder / "foreign_keys.toml").relations
    yield Odd(
        major=request.param,
        url=url,
        relations={case.id: relation for case, relation in zip(cases, relations, strict=True)},
        catalog=DatabaseCatalog(server=server_of(url)).catalog(),
    )
    servers.drop_database(url)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_every_relation_gets_its_status(odd: Odd, case: Case) -> None:
    """Status, reason and the kinds of statements, without asking the server to try."""
    if not case.on(odd.major):
        return
    found = odd.found(case)
    assert (found.status, case.reason in found.reason) == (case.status, True), found.reason
    plan = odd.plan(case)
    kinds = tuple(each.kind for each in plan.statements)
    assert bool(kinds) == (case.status == "missing")
    if odd.major in case.kinds:
        assert kinds == case.kinds[odd.major]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_server_agrees(odd: Odd, case: Case) -> None:
    """What we call impossible the server refuses, and what we would plan it takes; nothing is kept."""
    if not case.on(odd.major) or not case.server or case.status in {"present", "deferred"}:
        return
    found = odd.found(case)
    refused = None
    with psycopg.connect(odd.url) as connection:
        try:
            _plain(connection, odd.relations[case.id], found)
        except psycopg.Error as error:
            refused = error
        connection.rollback()
    # A key that is different under another name would only stand twice: that the server takes.
    if case.status != "different" or "is taken" in case.reason:
        assert (refused is None) == (case.status == "missing"), refused


def _plain(connection: psycopg.Connection, relation: Relation, found: Match) -> None:
    """What a person would type."""
    if found.standing is None:
        connection.execute(QuotedDdl().add(relation, not_valid=False).encode())
    else:
        connection.execute(QuotedDdl().validate(relation.table, found.standing.name).encode())


def test_names_are_quoted_in_every_statement(odd: Odd) -> None:
    """No statement of any case can be read in another way: it runs as it was written, undo included."""
    contract = Contract(relations=tuple(odd.relations.values()))
    plan = planned(contract, odd.catalog)
    with psycopg.connect(odd.url) as connection:
        for statement in plan.statements:
            connection.execute(statement.sql.encode())
        for statement in reversed(plan.statements):
            _undo(connection, statement)
        connection.rollback()


def _undo(connection: psycopg.Connection, statement: Statement) -> None:
    if statement.kind == "adopt" or (statement.kind == "add" and _stands(connection, statement)):
        for text in statement.undo:
            connection.execute(text.encode())


def _stands(connection: psycopg.Connection, statement: Statement) -> bool:
    """Whether it still does: a partition's key goes with the key that adopted it."""
    query = """select from pg_constraint k join pg_class c on c.oid = k.conrelid
        join pg_namespace n on n.oid = c.relnamespace where n.nspname = %s and c.relname = %s and k.conname = %s"""
    place = statement.proof.table
    return connection.execute(query, (place.schema, place.name, statement.proof.constraint)).fetchone() is not None


def test_heirs_are_named_as_not_covered(odd: Odd) -> None:
    """A table that inherits is told in the hazards: a key never looks at its rows."""
    case = next(case for case in CASES if case.id == "inheriting")
    hazards = [hazard for statement in odd.plan(case).statements for hazard in statement.hazards]
    assert "tables that inherit from inheriting.c are not covered: inheriting.heir" in hazards


def test_locks_name_every_partition(odd: Odd) -> None:
    """ADD locks the partitions of both sides, and each table once."""
    case = next(case for case in CASES if case.id == "both partitioned")
    last = odd.plan(case).statements[-1 if odd.major < 18 else 0]
    assert [lock.table.name for lock in last.locks] == ["c", "c_1", "p", "p_1"]
    own = next(case for case in CASES if case.id == "partitioned self-reference")
    last = odd.plan(own).statements[-1 if odd.major < 18 else 0]
    assert [lock.table.name for lock in last.locks] == ["p", "p_1"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Road:
    """A database and the files with which the application is asked to deploy to it."""

    url: str
    request: Request
    contract: Contract

    def deploy(self) -> Answer:
        """The whole runbook."""
        return runs.deploy(self.request, yes=True, until=None, confirm=lambda _: False)

    def rollback(self) -> Answer:
        """What the last run added, taken away."""
        return walking_back.rollback(self.request, run=None, yes=True, confirm=lambda _: False)

    def catalog(self) -> Catalog:
        """As it is now."""
        return DatabaseCatalog(server=server_of(self.url)).catalog()

    def definitions(self) -> dict[tuple[TableName, str], str]:
        """Every key as PostgreSQL writes it."""
        return {
            (name, key.name): key.definition + ("" if key.holds else " (does not hold)")
            for name, table in self.catalog().tables.items()
            for key in table.foreign_keys
        }


RoadTo = Callable[[int, tuple[Case, ...]], Road]


@pytest.fixture
def road(cluster_url: ClusterUrl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RoadTo]:
    """Makes a fresh database with these cases, ready to be deployed to."""
    made: list[str] = []

    def make(major: int, cases: tuple[Case, ...]) -> Road:
        url = servers.fresh_database(cluster_url(major))
        made.append(url)
        build(url, cases)
        folder = write_contract(tmp_path / "odd", cases)
        inventory = tmp_path / "inventory"
        inventory.mkdir()
        (inventory / "odd.toml").write_text(
            '[environment]\nname = "odd"\nkind = "staging"\n[database]\nurl = { env = "ODD_KEYS_URL" }\n'
            '[backup]\nmode = "none"\n',
            encoding="utf-8",
        )
        monkeypatch.setenv("ODD_KEYS_URL", url)
        request = Request(env="odd", runbook=str(folder), inventory=inventory, runs=tmp_path / "runs", json=True)
        return Road(url=url, request=request, contract=load_contract(folder / "foreign_keys.toml"))

    yield make
    for url in made:
        servers.drop_database(url)


def _expected(road: Road) -> dict[tuple[TableName, str], str]:
    """The keys that a person would get who types plain ALTER TABLE for each; rolled back."""
    catalog, expected = road.catalog(), {}
    query = """select pg_get_constraintdef(k.oid) from pg_constraint k join pg_class c on c.oid = k.conrelid
        join pg_namespace n on n.oid = c.relnamespace where n.nspname = %s and c.relname = %s and k.conname = %s"""
    with psycopg.connect(road.url) as connection:
        connection.execute("set search_path = ''")
        for relation in road.contract.promised:
            found = match(relation, catalog)
            if found.status == "missing":
                _plain(connection, relation, found)
                name = found.standing.name if found.standing else relation.name
                row = connection.execute(query, (relation.table.schema, relation.table.name, name)).fetchone()
                assert row
                expected[relation.table, name] = row[0]
        connection.rollback()
    return expected


@pytest.mark.parametrize("major", ENDS)
def test_there_and_back_and_there_again(road: RoadTo, major: int) -> None:
    """Every plannable key comes to stand as PostgreSQL would have made it, goes without a trace, and comes again."""
    cases = tuple(case for case in cases_on(major, "missing", "present", "deferred") if not OWN_ROAD(case))
    way = road(major, cases)
    before, expected = way.catalog(), _expected(way)
    missing, present = (sum(case.status == word for case in cases) for word in ("missing", "present"))
    for _ in range(2):
        done = way.deploy()
        against = [each for each in done.document["findings"] if each["status"] != "pass"]
        assert done.exit_code == 0, (done.document["reason"], against)
        counts = {fate: count for fate, count in done.document["relations"].items() if count}
        assert counts == {"added": missing, "present": present, "deferred": 1}
        standing = way.definitions()
        assert {place: standing.get(place) for place in expected} == expected
        back = way.rollback()
        assert (back.exit_code, back.document["differences"]) == (0, [])
        assert way.catalog().fingerprint == before.fingerprint


def OWN_ROAD(case: Case) -> bool:  # noqa: N802 - reads as a property of the case
    """Whether a case has a test of its own, below."""
    return case.id.startswith("partition with the key")


@pytest.mark.parametrize("name", ["partition with the key", "partition with the key not valid"])
@pytest.mark.parametrize("major", ENDS)
def test_a_key_that_a_partition_had_survives_the_way_back(road: RoadTo, major: int, name: str) -> None:
    """The partitioned table's key adopts it; dropping that key must not take away what was there before."""
    way = road(major, tuple(case for case in CASES if case.id == name))
    before = way.definitions()
    assert [key for _, key in before] == ["mine"]
    assert way.deploy().exit_code == 0
    after = way.definitions()
    assert {place.name for place, _ in after} == {"c", "c_old", "c_new"}
    back = way.rollback()
    assert way.definitions() == before
    assert (back.exit_code, back.document["differences"]) == (0, [])


def test_what_cannot_be_done_stops_the_rest(road: RoadTo) -> None:
    """Impossible and different relations are counted, shown by plan, and refused by deploy before any change."""
    cases = cases_on(16, "missing", "impossible", "different")
    way = road(16, cases)
    before = way.catalog().fingerprint
    shown = planning.plan(way.request, form=None)
    assert shown.exit_code == 1
    assert [each["status"] for each in shown.document["relations"]] == [case.status for case in cases]
    assert all(each["reason"] for each in shown.document["relations"] if each["status"] != "missing")
    refused = way.deploy()
    assert (refused.exit_code, refused.document["state"]) == (2, "refused")
    assert way.catalog().fingerprint == before


def test_default_names_are_those_of_the_contract(odd: Odd) -> None:
    """A name that is too long is cut at a whole character, so that PostgreSQL does not cut it again."""
    case = next(case for case in CASES if case.id == "63 bytes")
    name = odd.relations[case.id].name
    assert name == default_name(case.table, case.columns)
    assert len(name.encode()) == 63


TYPES = (
    "smallint", "int", "bigint", "numeric", "numeric(10,2)", "real", "double precision", "money", "oid", "regclass",
    "text", "varchar", "varchar(20)", "char(5)", '"char"', "name", 'text collate "C"', "uuid", "date", "time",
    "timestamp", "timestamptz", "interval", "boolean", "bytea", "bit(4)", "varbit", "inet", "cidr", "jsonb",
    "text[]", "int[]", "bigint[]", "varchar[]", "varchar(20)[]", "numeric(10,2)[]", "mood[]", "whole[]", "words",
    "limited_words", "mood", "tone", "moods", "same_moods", "whole", "more", "word", "limited", "citext", "int4range",
    "numrange", "spans", "int4multirange", "nummultirange", "pair", "other_pair", "pairs", "pair[]", "tsvector", "xid8",
)  # fmt: skip

MAKE_TYPES = """
create type mood as enum ('a');
create type tone as enum ('a');
create type pair as (a int);
create type other_pair as (a int);
create domain whole as int;
create domain more as whole;
create domain word as text;
create domain limited as varchar(20);
create domain words as text[];
create domain limited_words as varchar(20)[];
create domain moods as mood;
create domain same_moods as mood;
create domain spans as int4range;
create domain pairs as pair;
"""


@pytest.mark.parametrize("major", ENDS)
def test_types_are_judged_as_the_server_judges_them(cluster_url: ClusterUrl, major: int) -> None:
    """Every type against every type, as key and as referencing column: our verdict is ADD FOREIGN KEY's."""
    url = servers.fresh_database(cluster_url(major))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(MAKE_TYPES)
        contrib = connection.execute("select from pg_available_extensions where name = 'citext'").fetchone()
        if contrib is not None:
            connection.execute("create extension citext")
        types = [name for name in TYPES if name != "citext" or contrib is not None]
        for number, name in enumerate(types):
            connection.execute(f"create table p{number} (v {name} unique); create table c{number} (v {name})".encode())
        catalog = DatabaseCatalog(server=server_of(url)).catalog()
        wrong = [
            f"key {key}, referencing {child}: the server {'takes' if takes else 'refuses'} it, we say {verdict}"
            for p, key in enumerate(types)
            for c, child in enumerate(types)
            if (takes := _takes(connection, p, c)) != ((verdict := _verdict(catalog, p, c)) == "missing")
        ]
    servers.drop_database(url)
    assert not wrong, "\n".join(wrong)


def _takes(connection: psycopg.Connection, p: int, c: int) -> bool:
    """Whether the server takes the key; rolled back."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(f"alter table c{c} add foreign key (v) references p{p} (v)".encode())
    except psycopg.Error:
        return False
    return True


def _verdict(catalog: Catalog, p: int, c: int) -> Status:
    relation = Relation(
        table=TableName(schema="public", name=f"c{c}"),
        columns=("v",),
        referenced=TableName(schema="public", name=f"p{p}"),
        referenced_columns=("v",),
        name="key",
    )
    return match(relation, catalog).status
