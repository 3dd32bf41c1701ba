"""Prisma's schemas: every form of a relation gives the keys that Prisma's own engine makes of it."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from psycopg.rows import dict_row

from orchestrator.adapters.introspection import read_catalog
from orchestrator.adapters.prisma import parse_prisma, read_prisma
from orchestrator.core.catalog_keys import keys_of
from orchestrator.core.contract import Relation
from orchestrator.core.outcome import BadDocument
from orchestrator.core.prisma_keys import relations_of
from tests.conftest import MATRIX
from tests.prisma_tool import prisma

CASES = Path(__file__).parents[1] / "cases/prisma"
FORMS = ("relations.prisma", "split")
HEAD = 'datasource db {\n  provider = "postgresql"\n}\n'


def told(path: Path) -> tuple[Relation, ...]:
    """The keys that we make of a schema."""
    return relations_of(read_prisma(path), default_schema="public")[0]


def made(url: str, script: str) -> set[Relation]:
    """The keys that stand in a database after a script."""
    with psycopg.connect(url, autocommit=True, row_factory=dict_row) as connection:
        connection.execute(script.encode())
        found, left_out = keys_of(read_catalog(connection), where="here")
    assert left_out == ()
    return set(found)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_relation_gives_the_keys_of_prisma(form: str, database: str) -> None:
    """Columns, targets, names and actions, against what Prisma's engine was recorded to write."""
    ours = told(CASES / form)
    recorded = (CASES / form).with_suffix(".sql").read_text("utf-8")
    assert len(set(ours)) == len(ours) == recorded.count("FOREIGN KEY")
    assert set(ours) == made(database, recorded)


@MATRIX
@pytest.mark.parametrize("form", [*FORMS, "emulated.prisma"])
def test_what_was_recorded_is_what_prisma_writes(form: str, database: str) -> None:
    """The real tool, where node and an installation are there; PRISMA_HOME names its folder."""
    recorded = (CASES / form).with_suffix(".sql").read_text("utf-8")
    assert recorded.partition("\n\n")[2].strip() == diff(CASES / form, database).strip()


@MATRIX
def test_what_prisma_leaves_out_with_its_relation_mode_is_the_contract(database: str, tmp_path: Path) -> None:
    """It makes no key; with foreign keys it makes those of the contract."""
    assert "FOREIGN KEY" not in (CASES / "emulated.sql").read_text("utf-8")
    schema = tmp_path / "schema.prisma"
    schema.write_text((CASES / "emulated.prisma").read_text("utf-8").replace('"prisma"', '"foreignKeys"'), "utf-8")
    assert set(told(CASES / "emulated.prisma")) == made(database, diff(schema, database))


def diff(schema: Path, url: str) -> str:
    """`prisma migrate diff` from nothing to a schema, as a script."""
    done = prisma("migrate", "diff", "--from-empty", "--to-schema", str(schema), "--script", url=url)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_relation_with_a_view_is_told_as_left_out() -> None:
    """Prisma knows it, and the database cannot keep it."""
    _, (left_out,) = relations_of(read_prisma(CASES / "relations.prisma"), default_schema="public")
    assert (left_out.key, left_out.reason) == ("Sighting.haunt", "a view has no keys, and none leads to it")


def test_with_relation_mode_prisma_the_keys_are_the_same(tmp_path: Path) -> None:
    """The schema then has no keys in the database: they are exactly what is missing."""
    text = (CASES / "emulated.prisma").read_text("utf-8")
    schema = tmp_path / "schema.prisma"
    schema.write_text(text.replace('"prisma"', '"foreignKeys"'), "utf-8")
    assert told(schema) == told(CASES / "emulated.prisma")
    assert [each.name for each in told(schema)] == [
        "Bed_gardenId_fkey", "Row_bedId_fkey", "_GardenToOwner_A_fkey", "_GardenToOwner_B_fkey",
    ]  # fmt: skip


def test_a_schema_without_words_for_it_lies_in_the_schema_that_is_named() -> None:
    """`?schema=app` of the URL is not in the file."""
    schema = parse_prisma(
        HEAD + "model A {\n id Int @id\n b A? @relation(fields: [c], references: [id])\n c Int?\n x A[]\n}", file="s"
    )
    ((key,), _) = relations_of(schema, default_schema="app")
    assert (key.id, key.on_delete) == ("app.A(c) -> app.A(id)", "set null")


@pytest.mark.parametrize(
    "text",
    [
        "model A { id Int @id }",
        "model A {\r\n\r\n  id Int @id\r\n\r\n}\r\n",
        "\n\n// x\nmodel A{\n/* y\n z */ id Int @id // w\n}",
    ],
)
def test_spaces_lines_and_comments_do_not_matter(text: str) -> None:
    """Nor do Windows' line ends, a missing last one, and braces on one line."""
    (model,) = parse_prisma(text, file="s").models
    assert (model.name, [each.name for each in model.fields]) == ("A", ["id"])


def test_arguments_may_run_over_several_lines() -> None:
    """Also with a comma behind the last."""
    relation = "@relation(\n  fields: [\n   c,\n  ], // why\n  references: [id],\n )"
    text = f"model A {{\n id Int @id\n b A? {relation}\n c Int?\n x A[]\n}}"
    assert len(relations_of(parse_prisma(HEAD + text, file="s"), default_schema="public")[0]) == 1


def test_one_field_may_stand_without_brackets() -> None:
    """Prisma takes a word for a list of it, in relations and in identities."""
    text = (
        'model A {\n id Int\n b B[]\n more B[] @relation(name: "more")\n @@id(id)\n}\n'
        "model B {\n id Int @id\n a A? @relation(fields: aId, references: id)\n aId Int?\n"
        ' many A[] @relation("more")\n}'
    )
    found, _ = relations_of(parse_prisma(HEAD + text, file="s"), default_schema="public")
    assert [(each.table.name, each.columns) for each in found] == [
        ("B", ("aId",)),
        ("_more", ("A",)),
        ("_more", ("B",)),
    ]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("modle A {\n}", 4, "'modle': expected model, enum, type, view, datasource or generator"),
        ("model A \n{\n}", 4, 'the end of the line: expected "{"'),
        ("model A {\n id\n}", 5, "the end of the line: expected a name"),
        ("model A {\n id Int $\n}", 5, "syntax error at '$'"),
        ('model A {\n id Int @default("x)\n}', 5, 'expected a value or ")"'),
        ("model A {\n id Int @relation(fields: [a b])\n}", 5, '\'b\': expected "(" or "," or "." or "]"'),
        ("model A {\n id Int\n", 6, "the end of the file: expected"),
        ("model A {\n id Int @id\n b B\n}", 6, "A.b: no model B in the schema"),
        ("model A {\n id Int @id\n b A? @relation(fields: [c], references: [id])\n}", 6, "model A has no field 'c'"),
        ("model A {\n id Int @id\n b A? @relation(fields: [id], references: [])\n}", 6, "0 references for 1 field"),
        ("model A {\n id Int @id\n b A? @relation(fields: [id], references: [id], onDelete: No)\n}", 6, "known: Casc"),
        ("model A {\n id Int @id\n b B[]\n}\nmodel B {\n id Int @id\n}", 6, "no field of B points back"),
        ("model A {\n id Int @id\n b B[]\n}\nmodel B {\n id Int @id\n a A\n}", 6, "nothing owns the relation"),
        ("model A {\n x Int\n b B[]\n}\nmodel B {\n id Int @id\n a A[]\n}", 6, "with one @id, and A has none"),
        ("model A {\n}\nmodel A {\n}", 6, "A is defined before, at line 4"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_file_and_line(text: str, line: int, words: str) -> None:
    """One line: where, what, and what was expected."""
    with pytest.raises(BadDocument) as caught:
        relations_of(parse_prisma(HEAD + text, file="s.prisma"), default_schema="public")
    assert str(caught.value).startswith(f"s.prisma:{line}: ")
    assert words in str(caught.value)


def test_packages_in_the_folder_are_not_read(tmp_path: Path) -> None:
    """The copy of the schema beside the client would define every model again."""
    text = (CASES / "emulated.prisma").read_text("utf-8")
    for folder in (tmp_path, tmp_path / "node_modules/.prisma/client"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "schema.prisma").write_text(text, "utf-8")
    assert told(tmp_path) == told(CASES / "emulated.prisma")


ODD = """
generator docs {
  provider = "node ./docs.js"
  flags    = ["a", env("B"), -1, true]
}
model A { // opened
  id      String   @id @default(dbgenerated("(gen_random_uuid())::text")) @db.Char(36)
  /// @zod.string.min(1)
  name    String?  @default("") @map(name: "Name") @db.VarChar( 10 )
  sum     Decimal  @db.Decimal(10, 2)
  texts   String[] @default(["a", "{b}"])
  parts   Part[]
  search  Unsupported("tsvector")?
  2nd     Int?
  @@index(fields: [name(ops: raw("text_pattern_ops"), sort: Desc), sum], type: Gin, map: "i")
  @@unique([name], where: { name: { not: null }, sum: 1 }) // partial
  @@index([name(length: 10)], where: raw("x > 1"))
}
type Part {
  a Int @default(1)
}
enum Size { 24H
  S @map("s") /// small
  @@schema("x") }
"""


def test_what_no_key_needs_is_read_over() -> None:
    """Generators, enums, composite types and attributes with any arguments."""
    schema = parse_prisma(HEAD + ODD, file="s")
    assert relations_of(schema, default_schema="public") == ((), ())
    assert [len(each.fields) for each in schema] == [7, 1]


@pytest.mark.parametrize("provider", ['"mysql"', '"cockroachdb"', 'env("KIND")'])
def test_another_database_is_refused(provider: str) -> None:
    """A contract is of PostgreSQL."""
    schema = parse_prisma(f"datasource db {{\n  provider = {provider}\n}}\n", file="s.prisma")
    with pytest.raises(BadDocument, match=r"s.prisma:1: provider is .*: a contract is of PostgreSQL"):
        relations_of(schema, default_schema="public")


def test_a_schema_without_a_datasource_is_refused() -> None:
    """It does not say for which database it is."""
    with pytest.raises(BadDocument, match="no datasource block"):
        relations_of(parse_prisma("model A {\n  id Int @id\n}\n", file="s.prisma"), default_schema="public")
