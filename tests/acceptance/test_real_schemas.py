"""Nine public schemas as plain facts (`meta` names source and licence): every key added, taken away and added again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from orchestrator.adapters.introspection import DatabaseCatalog
from orchestrator.app import planning, runs, walking_back
from orchestrator.app.answer import Answer
from orchestrator.app.request import Request
from tests.conftest import MATRIX, server_of

FACTS = Path(__file__).parents[1] / "cases/real_schemas"
SCHEMAS = sorted(path.stem for path in FACTS.glob("*.json"))
KEYS = 594
WITH_BACKUP = "chinook"

TYPES = frozenset({
    "bigint", "boolean", "bytea", "character", "character varying", "date", "double precision", "integer", "json",
    "jsonb", "numeric", "smallint", "text", "time without time zone", "timestamp with time zone",
    "timestamp without time zone", "tsvector", "uuid", "xml",
})  # fmt: skip
"""Types that every server has; enums and types of extensions stand as text."""

STANDING = """
select cn.nspname as schema, c.relname as "table",
       (select array_agg(a.attname::text order by u.place) from unnest(k.conkey) with ordinality u (number, place)
        join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.number) as columns,
       pn.nspname as ref_schema, p.relname as ref_table,
       (select array_agg(a.attname::text order by u.place) from unnest(k.confkey) with ordinality u (number, place)
        join pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.number) as ref_columns,
       case k.confdeltype when 'a' then 'NO ACTION' when 'r' then 'RESTRICT' when 'c' then 'CASCADE'
            when 'n' then 'SET NULL' when 'd' then 'SET DEFAULT' end as on_delete,
       case k.confupdtype when 'a' then 'NO ACTION' when 'r' then 'RESTRICT' when 'c' then 'CASCADE'
            when 'n' then 'SET NULL' when 'd' then 'SET DEFAULT' end as on_update,
       (select array_agg(a.attname::text order by a.attname) from pg_attribute a
        where a.attrelid = k.conrelid and a.attnum = any (k.confdelsetcols)) as on_delete_set_columns,
       k.condeferrable as deferrable, k.condeferred as initially_deferred,
       case k.confmatchtype when 's' then 'SIMPLE' when 'f' then 'FULL' end as match_type,
       k.convalidated as validated, k.conname as name
from pg_constraint k
join pg_class c on c.oid = k.conrelid join pg_namespace cn on cn.oid = c.relnamespace
join pg_class p on p.oid = k.confrelid join pg_namespace pn on pn.oid = p.relnamespace
where k.contype = 'f' and cn.nspname <> 'orchestrator'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A schema of the real world, built in a database, with the files of a runbook and of an inventory."""

    facts: Mapping[str, Any]
    url: str
    request: Request

    @property
    def keys(self) -> list[Mapping[str, Any]]:
        """The keys that belong there."""
        return list(self.facts["foreign_keys"])

    def fingerprint(self) -> str:
        """Of the catalog as it is now."""
        return DatabaseCatalog(server=server_of(self.url)).catalog().fingerprint

    def deploy(self) -> Answer:
        """The whole runbook."""
        return runs.deploy(self.request, yes=True, until=None, confirm=_nobody)

    def rollback(self) -> Answer:
        """What the last run added, taken away."""
        return walking_back.rollback(self.request, run=None, yes=True, confirm=_nobody)


IN_THE_SUITE = ("chinook", "hoppscotch")
"""The one with a backup, one with quoted names, and the largest."""


@pytest.fixture(params=[each if each in IN_THE_SUITE else pytest.param(each, marks=MATRIX) for each in SCHEMAS])
def project(request: pytest.FixtureRequest, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Each project in turn, its tables built and its keys written as a contract."""
    facts = facts_of(request.param)
    with psycopg.connect(database, autocommit=True) as connection:
        for table in facts["catalog"]:
            for statement in _table(table):
                connection.execute(statement)
    runbook, inventory = tmp_path / "runbook", tmp_path / "inventory"
    runbook.mkdir()
    inventory.mkdir()
    lines = (line for key in facts["foreign_keys"] for line in _line(key))
    (runbook / "foreign_keys.toml").write_text("\n".join(lines), encoding="utf-8")
    mode = "dump" if request.param == WITH_BACKUP else "none"
    (inventory / "real.toml").write_text(
        '[environment]\nname = "real"\nkind = "staging"\n'
        '[database]\nurl = { env = "REAL_SCHEMA_URL" }\n'
        f"[backup]\nmode = {_text(mode)}\ndirectory = {_text(str(tmp_path / 'backups'))}\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("REAL_SCHEMA_URL", database)
    return Project(
        facts=facts,
        url=database,
        request=Request(env="real", runbook=str(runbook), inventory=inventory, runs=tmp_path / "runs", json=True),
    )


def facts_of(name: str) -> dict[str, Any]:
    """What is recorded of a project."""
    document: dict[str, Any] = json.loads((FACTS / f"{name}.json").read_text(encoding="utf-8"))
    return document


def _nobody(_: str) -> bool:
    """Nobody is there to confirm."""
    return False


def _table(table: Mapping[str, Any]) -> Iterator[sql.Composed]:
    """The table as the facts have it: partitions stand as plain tables, because bounds are not recorded."""
    name = sql.Identifier(table["schema"], table["table"])
    parts = [
        sql.SQL("{} {}{}").format(
            sql.Identifier(column["name"]),
            sql.SQL(_type(column)),
            sql.SQL(" NOT NULL" if column["not_null"] else ""),
        )
        for column in table["columns"]
    ]
    if table["primary_key"]:
        parts.append(sql.SQL("PRIMARY KEY {}").format(_columns(table["primary_key"])))
    parts += [sql.SQL("UNIQUE {}").format(_columns(columns)) for columns in table["uniques"]]
    yield sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(table["schema"]))
    yield sql.SQL("CREATE TABLE {} ({})").format(name, sql.SQL(", ").join(parts))
    for columns in table["indexes"]:
        yield sql.SQL("CREATE INDEX ON {} {}").format(name, _columns(columns))


def _type(column: Mapping[str, Any]) -> Any:
    base, array = column["base_type"].removesuffix("[]"), column["base_type"].endswith("[]")
    if base not in TYPES:
        return "text[]" if array else "text"
    # The length of varchar(160) stands in `type`; a domain has a name of its own there.
    own = column["type"].split("(")[0] in {column["base_type"], column["base_type"].split(" ")[0]}
    return column["type"] if own else column["base_type"]


def _columns(names: list[str]) -> sql.Composed:
    return sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Identifier, names)))


def _line(key: Mapping[str, Any]) -> Iterator[str]:
    """One line of the contract."""
    deferrable = "not"
    if key["deferrable"]:
        deferrable = "initially deferred" if key["initially_deferred"] else "initially immediate"
    yield "[[foreign_key]]"
    yield f"schema = {_text(key['schema'])}"
    yield f"table = {_text(key['table'])}"
    yield f"columns = {_texts(key['columns'])}"
    target = f"schema = {_text(key['ref_schema'])}, table = {_text(key['ref_table'])}"
    yield f"references = {{ {target}, columns = {_texts(key['ref_columns'])} }}"
    yield f"on_delete = {_text(key['on_delete'].lower())}"
    yield f"on_update = {_text(key['on_update'].lower())}"
    yield f"deferrable = {_text(deferrable)}"
    yield f"match = {_text(key['match_type'].lower())}"
    yield f"name = {_text(key['name'])}"
    if key["on_delete_set_columns"]:
        yield f"on_delete_columns = {_texts(key['on_delete_set_columns'])}"


def _text(value: str) -> str:
    """A TOML string: JSON's escapes are TOML's too."""
    return json.dumps(value, ensure_ascii=False)


def _texts(values: list[str]) -> str:
    return f"[{', '.join(map(_text, values))}]"


def _standing(url: str) -> list[dict[str, Any]]:
    """Every key of the database with its whole definition, in the words of the facts."""
    with psycopg.connect(url, row_factory=dict_row) as connection:
        return sorted(connection.execute(STANDING).fetchall(), key=_place)


def _promised(keys: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What must stand: the facts without what they only observe (is it indexed, do the types differ)."""
    words = (
        "schema", "table", "columns", "ref_schema", "ref_table", "ref_columns", "on_delete", "on_update",
        "on_delete_set_columns", "deferrable", "initially_deferred", "match_type", "validated", "name",
    )  # fmt: skip
    return sorted(({word: key[word] for word in words} for key in keys), key=_place)


def _place(key: Mapping[str, Any]) -> tuple[str, str, str]:
    return key["schema"], key["table"], key["name"]


def test_all_facts_are_here() -> None:
    """Nine projects, 594 keys, each with its source and licence."""
    facts = [facts_of(name) for name in SCHEMAS]
    assert len(facts) == 9
    assert sum(len(each["foreign_keys"]) for each in facts) == KEYS
    assert all(each["meta"]["source"] and each["meta"]["licence"] for each in facts)


def test_there_and_back_and_there_again(project: Project) -> None:
    """Every key is planned, added as it should be, taken away without a trace, and added again."""
    count, before = len(project.keys), project.fingerprint()
    planned = planning.plan(project.request, form=None)
    assert planned.exit_code == 0
    assert [each["status"] for each in planned.document["relations"]] == ["missing"] * count
    assert len(planned.document["statements"]) == 2 * count

    _deployed(project, count)

    back = project.rollback()
    assert (back.exit_code, back.document["state"], back.document["differences"]) == (0, "done", [])
    assert _standing(project.url) == []
    assert project.fingerprint() == before

    _deployed(project, count)
    again = project.deploy()
    assert again.exit_code == 0
    assert _counts(again) == {"present": count}


def _deployed(project: Project, count: int) -> None:
    """Deploy, and compare what stands with the facts."""
    done = project.deploy()
    against = [each for each in done.document["findings"] if each["status"] != "pass"]
    assert (done.exit_code, done.document["verdict"]) == (0, "GO"), (done.document["reason"], against)
    assert _counts(done) == {"added": count}
    skipped = {each["id"] for each in done.document["steps"] if each["state"] == "skipped"}
    assert skipped <= {"gates", "approval", "backup"}
    assert _standing(project.url) == _promised(project.keys)


def _counts(answer: Answer) -> dict[str, int]:
    """What became of the relations, without the zeros."""
    return {fate: count for fate, count in answer.document["relations"].items() if count}
