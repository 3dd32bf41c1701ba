"""Suggestions from names, types and indexes: single rules, and how good they are over whole schemas."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.core.catalog import ForeignKey, TableName
from orchestrator.core.suggestion.candidate import THRESHOLD, Candidate, Suggestions
from orchestrator.core.suggestion.search import suggest
from orchestrator.core.suggestion.words import abbreviates, nouns, split
from tests.suggestion.facts import catalog_of
from tests.suggestion.score import macro, own_schemas, real_schemas, scored
from tests.suggestion.written import written_facts

PRECISION, RECALL, LOWEST_PRECISION = 0.93, 0.80, 0.75


def found(text: str, folder: Path) -> Suggestions:
    """The suggestions for a schema that is written in lines."""
    path = folder / "schema.txt"
    path.write_text(text, encoding="utf-8")
    return suggest(catalog_of(written_facts(path)["catalog"]))


def lines(suggestions: Suggestions) -> set[str]:
    """What is suggested at the default threshold, without the schema public."""
    return {each.id.replace("public.", "") for each in suggestions.over(THRESHOLD)}


def only(suggestions: Suggestions) -> Candidate:
    """The one candidate that there is."""
    (candidate,) = suggestions.candidates
    return candidate


USERS = "table users\n  id integer primary\n"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("parentID", ("parent", "id")),
        ("HTTPServerKey", ("http", "server", "key")),
        ("_AuthorToBook", ("author", "to", "book")),
        ("concept_id_2", ("concept", "id", "2")),
        ("straße_id", ("straße", "id")),
        ("payment_p2022", ("payment", "p", "2022")),
    ],
)
def test_a_name_is_split_into_words(name: str, words: tuple[str, ...]) -> None:
    """Whatever the style."""
    assert split(name) == words


@pytest.mark.parametrize(
    ("plural", "singular"),
    [
        ("categories", "category"), ("addresses", "address"), ("boxes", "box"), ("statuses", "status"),
        ("people", "person"), ("news", "news"), ("status", "status"), ("houses", "house"), ("gas", "gas"),
    ],
)  # fmt: skip
def test_nouns_are_taken_in_the_singular(plural: str, singular: str) -> None:
    """By English rules; what is singular stays."""
    assert nouns(plural) == (singular,)


def test_abbreviations() -> None:
    """A beginning, or letters in their order; not any letters, and nothing as short as two."""
    assert abbreviates("org", "organization")
    assert abbreviates("dept", "department")
    assert abbreviates("tmpl", "template")
    assert not abbreviates("or", "organization")
    assert not abbreviates("name", "newspaper")


@pytest.mark.parametrize(
    ("column", "target"),
    [
        ("user_id integer", "users(id)"),
        ("userId integer", "users(id)"),
        ("UserID integer", "users(id)"),
        ("id_user integer", "users(id)"),
        ("fk_user_id integer", "users(id)"),
        ("approving_user_id integer", "users(id)"),
        ("created_by integer", "users(id)"),
        ("owner_id integer", "users(id)"),
        ("parent_id integer", "notes(id)"),
        ("reply_to integer", "notes(id)"),
        ("copy_of integer", "notes(id)"),
    ],
)
def test_one_column_names_one_table(column: str, target: str, tmp_path: Path) -> None:
    """In many ways of writing."""
    text = f"{USERS}table notes\n  id integer primary\n  {column}\n"
    assert lines(found(text, tmp_path)) == {f"notes({column.split(maxsplit=1)[0]}) -> {target}"}


@pytest.mark.parametrize("column", ["user_id text", "user_name text", "users integer", "paid integer", "user text"])
def test_what_is_no_reference(column: str, tmp_path: Path) -> None:
    """Another type, a property of the other table, a count, letters by chance."""
    assert lines(found(f"{USERS}table notes\n  id integer primary\n  {column}\n", tmp_path)) == set()


def test_a_text_that_may_hold_a_name_is_doubted(tmp_path: Path) -> None:
    """`created_by` as text beside users with a text key: told, below the threshold."""
    candidate = only(
        found("table users\n  id text primary\ntable notes\n  id text primary\n  created_by text\n", tmp_path)
    )
    assert candidate.confidence < THRESHOLD
    assert "may hold a name" in candidate.reasons[0]


def test_two_tables_that_fit_alike_lower_the_confidence(tmp_path: Path) -> None:
    """Both are named."""
    text = (
        "table team_collection\n  id integer primary\ntable user_collection\n  id integer primary\n"
        "table request\n  id integer primary\n  collection_id integer\n"
    )
    candidate = only(found(text, tmp_path))
    assert candidate.confidence < THRESHOLD
    assert any(each.startswith("as likely") for each in candidate.reasons)


def test_a_key_of_the_same_schema_goes_before_its_namesake(tmp_path: Path) -> None:
    """Two tables `carrier`; and the schema's name before a column says the other one."""
    text = (
        "table a.carrier\n  id integer primary\ntable b.carrier\n  id integer primary\n  a_carrier_id integer\n"
        "table b.rate\n  id integer primary\n  carrier_id integer\n"
    )
    assert lines(found(text, tmp_path)) == {
        "b.rate(carrier_id) -> b.carrier(id)",
        "b.carrier(a_carrier_id) -> a.carrier(id)",
    }


def test_keys_of_several_columns(tmp_path: Path) -> None:
    """The tenant stands beside; and a line is known by its order and number."""
    text = (
        "table tenants\n  id integer primary\n"
        "table orders\n  tenant_id integer\n  id integer\n  primary tenant_id id\n"
        "table order_lines\n  tenant_id integer\n  order_id integer\n  line_no integer\n"
        "  primary tenant_id order_id line_no\n"
        "table returns\n  id integer primary\n  tenant_id integer\n  order_id integer\n  line_no integer\n"
    )
    assert {
        "orders(tenant_id) -> tenants(id)",
        "order_lines(tenant_id, order_id) -> orders(tenant_id, id)",
        "returns(tenant_id, order_id, line_no) -> order_lines(tenant_id, order_id, line_no)",
    } <= lines(found(text, tmp_path))


def test_a_table_that_shares_the_key_of_another(tmp_path: Path) -> None:
    """One to one: the primary key is the reference."""
    text = f"{USERS}table user_profiles\n  user_id integer primary\n  bio text\n"
    assert lines(found(text, tmp_path)) == {"user_profiles(user_id) -> users(id)"}


def test_an_implicit_join_table(tmp_path: Path) -> None:
    """As Prisma makes it."""
    text = (
        "table Author\n  id integer primary\ntable Book\n  id integer primary\n"
        "table _AuthorToBook\n  A integer\n  B integer\n  unique A B\n"
    )
    assert lines(found(text, tmp_path)) == {"_AuthorToBook(A) -> Author(id)", "_AuthorToBook(B) -> Book(id)"}


@pytest.mark.parametrize(
    ("table", "columns", "word"),
    [
        ("audit_log", ("user_id integer",), "audit"),
        ("users_archive", ("id integer primary", "user_id integer"), "archive"),
        ("login_events", ("id integer primary", "user_id integer"), "event"),
        ("price_history", ("id integer primary", "user_id integer"), "history"),
        ("daily_stats", ("day date", "user_id integer"), "stat"),
        ("tmp_import", ("user_id integer",), "import"),
        ("payments", ("id integer primary", "external_user_id integer"), "external"),
        ("comments", ("id integer primary", "subject_type text", "subject_id integer"), "subject_type"),
    ],
)
def test_deliberate_absence_is_told(table: str, columns: tuple[str, ...], word: str, tmp_path: Path) -> None:
    """With the reason, and not suggested."""
    suggestions = found(f"{USERS}table {table}\n  " + "\n  ".join(columns) + "\n", tmp_path)
    assert suggestions.candidates == ()
    (absence,) = suggestions.absences
    assert absence.columns == (columns[-1].split()[0],)
    assert word in absence.reason


def test_a_log_belongs_to_its_subject(tmp_path: Path) -> None:
    """The table is named after what it tells of."""
    text = "table servers\n  id integer primary\ntable server_logs\n  id integer primary\n  server_id integer\n"
    assert lines(found(text, tmp_path)) == {"server_logs(server_id) -> servers(id)"}


def test_events_that_others_refer_to_are_things(tmp_path: Path) -> None:
    """A calendar's events are no stream."""
    text = (
        "table venues\n  id integer primary\ntable events\n  id integer primary\n  venue_id integer\n"
        "table tickets\n  id integer primary\n  event_id integer\n"
    )
    assert lines(found(text, tmp_path)) == {"events(venue_id) -> venues(id)", "tickets(event_id) -> events(id)"}


def test_keys_that_stand_are_left_out(tmp_path: Path) -> None:
    """Nothing is suggested twice."""
    path = tmp_path / "schema.txt"
    path.write_text(f"{USERS}table notes\n  id integer primary\n  user_id integer\n", encoding="utf-8")
    catalog = catalog_of(written_facts(path)["catalog"])
    notes, users = TableName(schema="public", name="notes"), TableName(schema="public", name="users")
    key = ForeignKey(name="x", columns=("user_id",), referenced=users, referenced_columns=("id",))
    object.__setattr__(catalog.tables[notes], "foreign_keys", (key,))
    assert suggest(catalog).candidates == ()


ODD = ("_", "1", "ÄÖ", "表", "a", "ID", "by", "_of", "to", "A", "x1y2", "uid", "symbol", "parent", "user", "users")


def test_names_of_any_kind_are_read() -> None:
    """Symbols, digits, letters of other scripts, endings that stand alone: every table against every column."""
    column = {"type": "bigint", "base_type": "bigint", "not_null": False}
    facts = [
        {
            "schema": "s", "table": name, "columns": [{"name": each, **column} for each in ODD],
            "primary_key": [name], "uniques": [list(ODD[:2]), [ODD[-number - 1]]], "indexes": [],
        }
        for number, name in enumerate(ODD)
    ]  # fmt: skip
    suggestions = suggest(catalog_of(facts))
    assert all(0 <= each.confidence <= 1 and each.reasons for each in (*suggestions.candidates, *suggestions.others))
    assert all(
        each.table != each.referenced or each.columns != each.referenced_columns for each in suggestions.candidates
    )


def test_the_nine_real_schemas() -> None:
    """Precision and recall at the default threshold, as means over schemas; none falls far behind."""
    scores = [scored(name, facts) for name, facts in real_schemas()]
    precision, recall = macro(scores)
    assert len(scores) == 9
    assert precision >= PRECISION
    assert recall >= RECALL
    assert min(each.precision for each in scores) >= LOWEST_PRECISION


def test_schemas_in_other_styles() -> None:
    """Those that we wrote: prefixes, tenants, a star, modules, homonyms."""
    scores = [scored(name, facts) for name, facts in own_schemas()]
    precision, recall = macro(scores)
    assert len(scores) >= 5
    assert precision >= PRECISION
    assert recall >= RECALL


def test_no_rule_names_a_schema_of_the_nine() -> None:
    """No table or column of theirs with two words or more stands in the rules."""
    folder = Path(__file__).parents[2] / "orchestrator/core/suggestion"
    quoted = {
        word for path in folder.glob("*.py") for word in path.read_text(encoding="utf-8").split('"')[1::2] if word
    }
    for name, facts in real_schemas():
        names = {each["table"] for each in facts["catalog"]} | {
            column["name"] for each in facts["catalog"] for column in each["columns"]
        }
        assert not {each for each in names if len(split(each)) > 1} & quoted, name


def test_a_schema_per_tenant_costs_no_more(tmp_path: Path) -> None:
    """Every tenant's tables have the same names: each column finds those of its own schema."""
    text = "".join(
        f"table t{n}.users\n  id integer primary\ntable t{n}.notes\n  id integer primary\n  user_id integer\n"
        for n in range(100)
    )
    suggestions = found(text, tmp_path)
    assert len(suggestions.candidates) == 100
    assert all(each.table.schema == each.referenced.schema for each in suggestions.over(THRESHOLD))
