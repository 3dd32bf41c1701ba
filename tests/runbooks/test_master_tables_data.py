"""The data of the runbook master_tables against the facts it was written from."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest

ROOT = Path(__file__).resolve().parents[2]
RUNBOOK = ROOT / "runbooks" / "master_tables"
FACTS: dict[str, Any] = json.loads((ROOT / "tests" / "cases" / "master_tables.json").read_text("utf-8"))
CONTRACT: list[dict[str, Any]] = tomllib.loads((RUNBOOK / "foreign_keys.toml").read_text("utf-8"))["foreign_key"]
CHECK_FILES = sorted((RUNBOOK / "checks").glob("*.sql"))
ACTIVE_INDEX = "ux_config_versions_one_active_per_workspace"

Connection = psycopg.Connection[tuple[Any, ...]]


def head(path: Path) -> dict[str, str]:
    """The `-- key: value` lines that a check file begins with."""
    lines = path.read_text("utf-8").split("\n\n", 1)[0].splitlines()
    return dict(cast(tuple[str, str], tuple(line.removeprefix("-- ").split(": ", 1))) for line in lines)


def checks(kind: str) -> list[Path]:
    """Check files of one kind."""
    return [path for path in CHECK_FILES if head(path)["kind"] == kind]


def run(connection: Connection, path: Path) -> tuple[bool, str]:
    """Sends the file as one simple query; the last result is the answer."""
    cursor = connection.execute(path.read_text("utf-8"))
    while cursor.nextset():
        pass
    ((passed, observed),) = cursor.fetchall()
    assert isinstance(passed, bool)
    return passed, str(observed)


def add_contract_keys(connection: Connection) -> None:
    """Adds the 44 missing keys in the plainest way."""
    for key in CONTRACT:
        if "deferred" in key or key["name"] == "fk_config_versions_workspace_id":
            continue
        connection.execute(
            f'ALTER TABLE public."{key["table"]}" ADD CONSTRAINT "{key["name"]}"'
            f' FOREIGN KEY ("{key["columns"][0]}") REFERENCES public."{key["references"]["table"]}" ("id")'
            f" ON DELETE {key['on_delete'].upper()}"
        )


@pytest.fixture
def migrated(database: str) -> Iterator[Connection]:
    """A connection to a database with both migrations applied, inside a transaction that is rolled back."""
    with psycopg.connect(database, autocommit=True) as connection:
        for folder in sorted((RUNBOOK / "migrations").iterdir()):
            connection.execute((folder / "migration.sql").read_text("utf-8"))
    with psycopg.connect(database) as connection:
        yield connection
        connection.rollback()


# The contract


def test_contract_holds_every_relation_of_the_facts_in_their_order() -> None:
    """45 relations and 11 deferred ones, all attributes equal."""
    told = [
        (
            key["table"],
            key["columns"],
            f"{key['references']['table']}({key['references']['columns'][0]})",
            key["on_delete"],
            key["priority"],
            "deferred" in key,
        )
        for key in CONTRACT
    ]
    known = [
        (
            fact["table"],
            [fact["column"]],
            fact["references"],
            fact["on_delete"],
            fact["priority"],
            fact["status"] == "deferred",
        )
        for fact in FACTS["relations"]
    ]
    assert told == known
    assert [deferred for *_, deferred in told].count(False) == 45
    assert [deferred for *_, deferred in told].count(True) == 11


def test_every_key_is_named_after_table_and_column() -> None:
    """Names follow one rule, are unique and fit into 63 bytes."""
    names = [key["name"] for key in CONTRACT]
    assert names == [f"fk_{key['table']}_{key['columns'][0]}" for key in CONTRACT]
    assert len(set(names)) == 56
    assert max(len(name.encode()) for name in names) <= 63


def test_every_deferred_relation_gives_its_reason() -> None:
    """Deferred without a reason would be a silent skip."""
    assert all(len(key["deferred"]) > 15 for key in CONTRACT if "deferred" in key)


def test_contract_uses_no_key_beyond_the_format() -> None:
    """A misspelt attribute would be read as absent."""
    allowed = {"table", "columns", "references", "on_delete", "priority", "name", "deferred"}
    assert {attribute for key in CONTRACT for attribute in key} == allowed


# The migrations


def test_columns_have_the_types_and_nullability_of_the_facts(migrated: Connection) -> None:
    """16 master tables and the three they stand beside, column by column and in order."""
    rows = migrated.execute(
        """
        SELECT c.relname, a.attname,
               replace(regexp_replace(format_type(a.atttypid, a.atttypmod), ' without time zone', ''),
                       'character varying', 'varchar'),
               CASE WHEN a.attnotnull THEN 'not null' ELSE 'null' END,
               pg_get_expr(d.adbin, d.adrelid)
        FROM pg_attribute a
        JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attnum > 0
        ORDER BY a.attnum
        """
    ).fetchall()
    found: dict[str, list[list[str | None]]] = {}
    for table, column, kind, nullable, default in rows:
        bare = None if default is None else re.sub(r"::[a-z ]+$|^\(|\)(?=::)|'", "", default)
        found.setdefault(table, []).append([column, kind, nullable, bare])
    known = {name: table["columns"] for name, table in (FACTS["outside"] | FACTS["master_tables"]).items()}
    assert found == known


def test_primary_keys_are_the_ids(migrated: Connection) -> None:
    """19 primary keys, each on id and named after its table."""
    found = migrated.execute(
        "SELECT conname, conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE contype = 'p' AND connamespace = 'public'::regnamespace"
    ).fetchall()
    names = [*FACTS["outside"], *FACTS["master_tables"]]
    assert sorted(found) == sorted((f"{name}_pkey", name, "PRIMARY KEY (id)") for name in names)


INDEXES = """
SELECT c.relname, x.relname, i.indisunique, i.indisvalid AND i.indpred IS NULL,
       (SELECT array_agg(a.attname::text ORDER BY k.place)
        FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS k(attnum, place)
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum)
FROM pg_index i
JOIN pg_class c ON c.oid = i.indrelid AND c.relnamespace = 'public'::regnamespace
JOIN pg_class x ON x.oid = i.indexrelid
WHERE NOT i.indisprimary
"""


def test_89_indexes_with_the_57_known_ones(migrated: Connection) -> None:
    """Everything that is neither a primary key nor the partial unique index, no column list twice."""
    found = [
        row
        for row in migrated.execute(INDEXES).fetchall()
        if row[0] in FACTS["master_tables"] and row[1] != ACTIVE_INDEX
    ]
    told = [(table, unique, tuple(columns)) for table, _, unique, _, columns in found]
    assert len(told) == len(set(told)) == 89
    known = {
        (name, unique, tuple(columns))
        for name, table in FACTS["master_tables"].items()
        for unique, lists in ((True, table["unique"]), (False, table["indexes"]))
        for columns in lists
    }
    assert len(known) == 57
    assert known <= set(told)


def test_every_relation_has_an_index_that_leads_with_its_column(migrated: Connection) -> None:
    """Without one, deleting a referenced row reads the whole referencing table."""
    leading = {(table, columns[0]) for table, _, _, plain, columns in migrated.execute(INDEXES) if plain}
    assert {(key["table"], key["columns"][0]) for key in CONTRACT} <= leading


def test_outside_tables_have_prisma_style_unique_indexes(migrated: Connection) -> None:
    """users(email) and workspaces(code)."""
    found = {
        (name, tuple(columns))
        for table, name, unique, _, columns in migrated.execute(INDEXES)
        if table in FACTS["outside"] and unique
    }
    assert found == {("users_email_key", ("email",)), ("workspaces_code_key", ("code",))}


def test_21_named_checks_one_foreign_key_and_one_partial_index(migrated: Connection) -> None:
    """What the migration adds beside columns and plain indexes."""
    (names,) = migrated.execute(
        "SELECT array_agg(conname::text) FROM pg_constraint"
        " WHERE contype = 'c' AND connamespace = 'public'::regnamespace"
    ).fetchall()[0]
    assert len(names) == 21
    assert all(name.startswith("ck_") for name in names)
    keys = migrated.execute(
        "SELECT conname, conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f'"
    ).fetchall()
    assert keys == [
        (
            "fk_config_versions_workspace_id",
            "config_versions",
            "FOREIGN KEY (workspace_id) REFERENCES workspaces(id) ON DELETE RESTRICT",
        )
    ]
    partial = [row[1] for row in migrated.execute(INDEXES) if not row[3]]
    assert partial == [ACTIVE_INDEX]


# The checks


@pytest.mark.parametrize("path", CHECK_FILES, ids=lambda path: path.stem)
def test_check_file_describes_itself(path: Path) -> None:
    """Known keys, known words, nothing to fill in by hand."""
    told = head(path)
    assert set(told) - {"blame", "needs"} == {"id", "title", "severity", "kind", "expected", "remedy"}
    assert told.get("blame") in {None, "data"}
    assert told.get("needs") in {None, "all keys"}
    assert re.fullmatch(r"[CI]\d\.[a-z_]+", told["id"])
    assert told["title"].endswith("?")
    assert told["severity"] in {"critical", "important", "optional"}
    assert told["kind"] in {"structural", "behavioural"}
    assert not re.search(r"<[A-Z_]+>", path.read_text("utf-8"))


def test_check_ids_are_unique() -> None:
    """A finding is named by its check."""
    assert len({head(path)["id"] for path in CHECK_FILES}) == len(CHECK_FILES)


@pytest.mark.parametrize("path", checks("structural"), ids=lambda path: path.stem)
def test_structural_check_passes_read_only(migrated: Connection, path: Path) -> None:
    """On the empty database, with writing forbidden by the server."""
    migrated.execute("SET default_transaction_read_only = on")
    migrated.commit()
    passed, observed = run(migrated, path)
    assert passed, observed
    assert re.search(r"\d|unique", observed)


# Rows of one workspace, all as they should be. Ids are short, so that the failing examples can name them.
ROWS = """
INSERT INTO public.workspaces (id, code, name, customer_group_id, vendor_owner_id, updated_at)
SELECT ('00000000-0000-0000-0000-00000000000' || n)::uuid, 'w' || n, 'W', 'c', 'v', now()
FROM generate_series(1, 2) AS n;
INSERT INTO public.users (id, email, updated_at) VALUES ('u', 'u@example.org', now());
INSERT INTO public.sites (id, name) VALUES ('site', 'Site');
INSERT INTO public.config_versions
    (id, workspace_id, source_file_name, source_type, version_number, status, imported_by,
     previous_version_id)
SELECT v.id, ('00000000-0000-0000-0000-00000000000' || v.w)::uuid, 'f', 'EXCEL', v.n, v.status, 'u',
       v.previous
FROM (VALUES ('v1', 1, 1, 'SUPERSEDED', NULL), ('v2', 1, 2, 'ACTIVE', 'v1'), ('x1', 2, 1, 'ACTIVE', NULL))
     AS v(id, w, n, status, previous);
UPDATE public.config_versions SET superseded_by_id = 'v2' WHERE id = 'v1';
INSERT INTO public.atp_scope_master (id, workspace_id, config_version_id, scope_code, scope_name, scope_group)
SELECT 's', workspace_id, id, 's', 'S', 'S' FROM public.config_versions WHERE id = 'v1';
INSERT INTO public.approval_role_master
    (id, workspace_id, config_version_id, role_code, role_name, hierarchy_order)
SELECT 'r', NULL::uuid, id, 'r', 'R', 1 FROM public.config_versions WHERE id = 'v1';
INSERT INTO public.approval_policy_master
    (id, workspace_id, config_version_id, scope_id, atp_category, policy_version)
SELECT 'p', workspace_id, id, 's', 'BOTH', '1' FROM public.config_versions WHERE id = 'v1';
INSERT INTO public.approval_policy_stages
    (id, policy_id, config_version_id, stage_number, stage_name, approval_role_id, assignment_mode,
     sequence_order)
VALUES ('ps', 'p', 'v1', 1, 'One', 'r', 'MANUAL', 1);
INSERT INTO public.workflow_instances
    (id, workspace_id, config_version_id, approval_policy_id, site_id, scope_id, atp_category)
SELECT 'w', workspace_id, id, 'p', 'site', 's', 'BOTH' FROM public.config_versions WHERE id = 'v1';
INSERT INTO public.workflow_stages
    (id, workflow_instance_id, config_version_id, stage_number, approval_role_id, policy_stage_id)
VALUES ('ws', 'w', 'v1', 1, 'r', 'ps');
INSERT INTO public.atp_submissions
    (id, workspace_id, config_version_id, site_id, scope_id, atp_category, workflow_instance_id)
SELECT 'sub', workspace_id, id, 'site', 's', 'BOTH', 'w' FROM public.config_versions WHERE id = 'v1';
INSERT INTO public.atp_submission_documents (id, workspace_id, submission_id, document_id, document_type)
SELECT 'doc', workspace_id, 'sub', 'd', 'PDF' FROM public.config_versions WHERE id = 'v1';
"""
OTHER = "'00000000-0000-0000-0000-000000000002'"
WORKFLOW_STATUS = "ALTER TABLE public.workflow_instances DROP CONSTRAINT ck_workflow_instances_status"

BREAKS: list[tuple[str, str, str]] = [
    (
        "c1_gen_random_uuid",
        "CREATE FUNCTION public.gen_random_uuid() RETURNS uuid LANGUAGE sql AS"
        " $$SELECT '00000000-0000-4000-8000-000000000000'::uuid$$; SET LOCAL search_path = public, pg_catalog",
        "1 different ids of 2",
    ),
    ("c1_tables", "DROP TABLE public.punchlist_items", "15 of 16 tables; missing: punchlist_items"),
    (
        "c1_tables",
        "DROP TABLE public.punchlist_items; CREATE VIEW public.punchlist_items AS SELECT 1 AS id",
        "15 of 16",
    ),
    (
        "c1_indexes",
        "DROP INDEX public.ix_workflow_instances_site_id",
        "88 of 89 indexes as defined; missing or different: workflow_instances (site_id)",
    ),
    (
        "c1_indexes",
        "DROP INDEX public.ix_workflow_instances_site_id; CREATE INDEX ix_workflow_instances_site_id"
        " ON public.workflow_instances (site_id) WHERE site_id > 'a'",
        "88 of 89 indexes",
    ),
    (
        "c1_indexes",
        "DROP INDEX public.ix_config_versions_workspace_id_status;"
        "CREATE INDEX other ON public.config_versions (status, workspace_id)",
        "88 of 89 indexes",
    ),
    ("c1_indexes", "DROP INDEX public.ix_atp_submissions_vendor_id", "88 of 89 indexes"),
    (
        "c1_indexes",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'public.ix_punchlists_status'::regclass",
        "invalid: ix_punchlists_status",
    ),
    ("c1_named_checks", WORKFLOW_STATUS, "20 of 21 as listed; ck_workflow_instances_status missing"),
    (
        "c1_named_checks",
        f"{WORKFLOW_STATUS}, ADD CONSTRAINT ck_workflow_instances_status CHECK (status IN ('PENDING', 'IN_PROGRESS'))",
        "ck_workflow_instances_status different",
    ),
    (
        "c1_named_checks",
        "ALTER TABLE public.cluster_master DROP CONSTRAINT ck_cluster_master_site_count,"
        " ADD CONSTRAINT ck_cluster_master_site_count CHECK (site_count >= 0) NOT VALID",
        "ck_cluster_master_site_count not validated",
    ),
    ("c1_partial_unique_index", f"DROP INDEX public.{ACTIVE_INDEX}", "0 indexes of this name"),
    (
        "c1_partial_unique_index",
        f"DROP INDEX public.{ACTIVE_INDEX}; CREATE UNIQUE INDEX {ACTIVE_INDEX}"
        " ON public.config_versions (workspace_id) WHERE status = 'DRAFT'",
        "where ((status)::text = 'DRAFT'::text)",
    ),
    (
        "c1_partial_unique_index",
        f"DROP INDEX public.{ACTIVE_INDEX}; CREATE INDEX {ACTIVE_INDEX}"
        " ON public.config_versions (workspace_id) WHERE status = 'ACTIVE'",
        "not unique, valid",
    ),
    (
        "c3_version_chain",
        "UPDATE public.config_versions SET previous_version_id = 'gone' WHERE id = 'v2'",
        "2 links: 1 lead nowhere",
    ),
    (
        "c3_version_chain",
        "UPDATE public.config_versions SET previous_version_id = id WHERE id = 'v2'",
        "1 to their own version",
    ),
    (
        "c3_version_chain",
        "UPDATE public.config_versions SET previous_version_id = 'x1' WHERE id = 'v2'",
        "1 to another workspace",
    ),
    ("c4_stages_carry_version", "UPDATE public.workflow_stages SET config_version_id = 'v2'", "1 of 1 stages differ"),
    (
        "i2_one_active_per_workspace",
        f"DROP INDEX public.{ACTIVE_INDEX}; UPDATE public.config_versions SET status = 'ACTIVE'",
        "1 of 2 workspaces",
    ),
    (
        "i3_freeze_by_reference",
        "UPDATE public.workflow_instances SET config_version_id = 'gone'",
        "1 workflows: 1 refer to a version that does not exist",
    ),
    (
        "i3_freeze_by_reference",
        "UPDATE public.workflow_instances SET config_version_id = 'x1'",
        "1 to one of another workspace",
    ),
    (
        "i4_workspace_isolation",
        f"UPDATE public.atp_submission_documents SET workspace_id = {OTHER}",
        "1 rows cross workspaces on 1 of 13 paths; document to its submission: 1",
    ),
    (
        "i4_workspace_isolation",
        f"UPDATE public.approval_role_master SET workspace_id = {OTHER}",
        "policy stage to its role: 1, workflow stage to its role: 1",
    ),
    (
        "i5_type_consistency",
        "ALTER TABLE public.workflow_stages ALTER approver_user_id TYPE varchar(80)",
        "workflow_stages.approver_user_id is character varying",
    ),
    ("i5_type_consistency", "DROP TABLE public.punchlist_items", "0 of "),
]


def test_every_structural_check_has_a_failing_example() -> None:
    """A check that has never failed has not been tried."""
    assert {name for name, _, _ in BREAKS} == {path.stem for path in checks("structural")}


@pytest.mark.parametrize("path", checks("structural"), ids=lambda path: path.stem)
def test_structural_check_passes_on_sound_rows(migrated: Connection, path: Path) -> None:
    """Two workspaces, a global role, a running workflow on a superseded version."""
    migrated.execute(ROWS)
    passed, observed = run(migrated, path)
    assert passed, observed


@pytest.mark.parametrize(("name", "damage", "told"), BREAKS)
def test_structural_check_fails_when_broken(migrated: Connection, name: str, damage: str, told: str) -> None:
    """One thing is broken; the observation says what and how many."""
    migrated.execute(ROWS)
    migrated.execute(damage)
    passed, observed = run(migrated, RUNBOOK / "checks" / f"{name}.sql")
    assert not passed
    assert told in observed


@pytest.mark.parametrize("path", checks("behavioural"), ids=lambda path: path.stem)
@pytest.mark.parametrize("filled", [False, True], ids=["empty", "filled"])
def test_behavioural_check_passes_with_the_keys(migrated: Connection, path: Path, filled: bool) -> None:
    """With all 45 keys, twice over (nothing of the first time is in the way), and no row stays."""
    add_contract_keys(migrated)
    if filled:
        migrated.execute(ROWS)
    migrated.commit()
    for _ in range(2):
        before = count_rows(migrated)
        passed, observed = run(migrated, path)
        assert passed, observed
        assert re.search(r"\d", observed)
        migrated.rollback()
        assert count_rows(migrated) == before


KEYED = {
    "c5_deleting_leaves_no_orphans": "8 of 8 dependent rows left behind, 5 of 5 references not cleared",
    "i1_referenced_active_stays": "0 of 10 references refuse the deletion; deleted in spite of atp_scope",
}


@pytest.mark.parametrize("path", checks("behavioural"), ids=lambda path: path.stem)
def test_behavioural_check_before_the_keys(migrated: Connection, path: Path) -> None:
    """Only what the keys themselves do is missing before them."""
    passed, observed = run(migrated, path)
    assert passed is (path.stem not in KEYED)
    assert KEYED.get(path.stem, "") in observed


def test_second_active_is_accepted_without_the_index(migrated: Connection) -> None:
    """The failing example of C3.second_active_refused."""
    migrated.execute(f"DROP INDEX public.{ACTIVE_INDEX}")
    passed, observed = run(migrated, RUNBOOK / "checks" / "c3_second_active_refused.sql")
    assert (passed, observed) == (False, "0 of 2 attempts refused with 23505, by nothing")


def test_lifecycle_notices_a_missing_status_check(migrated: Connection) -> None:
    """The failing example of C3.lifecycle."""
    migrated.execute("ALTER TABLE public.config_versions DROP CONSTRAINT ck_config_versions_status")
    passed, observed = run(migrated, RUNBOOK / "checks" / "c3_lifecycle.sql")
    assert not passed
    assert observed.endswith("an unknown status accepted")


SWITCH = """
CREATE FUNCTION public.meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {} RETURN NEW; END $$;
CREATE TRIGGER meddle AFTER UPDATE ON public.{} FOR EACH ROW EXECUTE FUNCTION public.meddle();
"""


def test_freeze_notices_a_trigger_that_moves_workflows(migrated: Connection) -> None:
    """The failing example of C4.freeze_by_reference."""
    migrated.execute(
        SWITCH.format(
            "UPDATE public.workflow_instances SET config_version_id = NEW.superseded_by_id"
            " WHERE config_version_id = NEW.id AND NEW.superseded_by_id IS NOT NULL;",
            "config_versions",
        )
    )
    passed, observed = run(migrated, RUNBOOK / "checks" / "c4_freeze_by_reference.sql")
    assert not passed
    assert observed.startswith("0 of 1 workflow and 2 of 2 stages")


def test_runtime_notices_a_lost_audit_record(migrated: Connection) -> None:
    """The failing example of C6.runtime_execution."""
    migrated.execute(SWITCH.format("DELETE FROM public.workflow_stage_actions;", "workflow_instances"))
    passed, observed = run(migrated, RUNBOOK / "checks" / "c6_runtime_execution.sql")
    assert not passed
    assert "0 of 2 audit records" in observed


def count_rows(connection: Connection) -> list[int]:
    """Rows in each of the 19 tables."""
    return [
        connection.execute(f'SELECT count(*) FROM public."{name}"').fetchall()[0][0]
        for name in [*FACTS["outside"], *FACTS["master_tables"]]
    ]
