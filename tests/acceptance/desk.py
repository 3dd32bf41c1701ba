"""The release manager's desk: an inventory, a folder for runs, the commands; and a look at databases from outside."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from invoke.main import program
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row, tuple_row

from orchestrator.adapters import events
from orchestrator.adapters.introspection import read_catalog
from orchestrator.app import auditing, planning, reading, rehearsing, resuming, runs, walking_back
from orchestrator.app.answer import Answer
from orchestrator.app.request import Request
from orchestrator.app.writes_on_copy import Load
from orchestrator.core.entry import Entry
from tests import known_secrets

ROOT = Path(__file__).parents[2]
MASTER = ROOT / "runbooks" / "master_tables"

Row = tuple[Any, ...]


@dataclass(slots=True, kw_only=True)
class Desk:
    """Everything lies in one temporary folder; URLs are in environment variables, as with real environments."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    book: str = "master_tables"
    """The runbook of commands that name none."""

    variables: dict[str, str] = field(default_factory=dict)
    passwords: set[str] = field(default_factory=set)

    @property
    def inventory(self) -> Path:
        """The folder of the environments."""
        return self.folder / "inventory"

    @property
    def runs(self) -> Path:
        """The folder of the runs."""
        return self.folder / "runs"

    def environment(
        self,
        name: str,
        url: str | None,
        *,
        kind: str = "staging",
        policy: str = "",
        backup: str = 'mode = "none"',
        more: str = "",
        head: str = "",
    ) -> None:
        """Write an inventory file whose URL stands in a variable; None leaves that variable unset."""
        variable = f"{name.upper().replace('-', '_')}_URL"
        self.write(
            name,
            f"""
            [environment]
            name = "{name}"
            kind = "{kind}"
            {head}
            [database]
            url = {{ env = "{variable}" }}
            [policy]
            {policy}
            [backup]
            directory = "{self.folder / "backups"}"
            {backup}
            {more}
            """,
        )
        self.variable(variable, url)

    def variable(self, name: str, url: str | None) -> None:
        """Set a variable here and for child programs, or make sure that it is not set."""
        if url is None:
            self.variables.pop(name, None)
            self.monkeypatch.delenv(name, raising=False)
            return
        self.variables[name] = url
        self.monkeypatch.setenv(name, url)
        known_secrets.remember(url)
        self.passwords |= set(re.findall(r"//[^/:@]+:([^@]+)@", url))

    def write(self, name: str, text: str) -> Path:
        """Write an inventory file as it is given."""
        self.inventory.mkdir(exist_ok=True)
        path = self.inventory / f"{name}.toml"
        path.write_text("\n".join(line.strip() for line in text.splitlines()), encoding="utf-8")
        return path

    def runbook(self, text: str, name: str = "custom") -> str:
        """A runbook folder that holds only a contract; gives back its path."""
        path = self.folder / name
        path.mkdir(exist_ok=True)
        (path / "foreign_keys.toml").write_text(text, encoding="utf-8")
        return str(path)

    def request(self, env: str = "staging", **options: Any) -> Request:
        """The common options, pointing to this desk."""
        return Request(env=env, inventory=self.inventory, runs=self.runs, **{"runbook": self.book, **options})

    def deploy(self, env: str = "staging", *, yes: bool = True, until: str | None = None, **options: Any) -> Answer:
        """`invoke deploy`, in this process."""
        return runs.deploy(self.request(env, **options), yes=yes, until=until, confirm=lambda _: False)

    def rollback(self, env: str = "staging", *, run: str | None = None, yes: bool = True, **options: Any) -> Answer:
        """`invoke rollback`, in this process."""
        return walking_back.rollback(self.request(env, **options), run=run, yes=yes, confirm=lambda _: False)

    def rehearse(
        self,
        env: str = "staging",
        *,
        like: str | None = None,
        yes: bool = True,
        load: Load | None = None,
        **options: Any,
    ) -> Answer:
        """`invoke rehearse`, in this process; writes are measured under the load that is given, and else not."""
        request = self.request(env, **options)
        return rehearsing.rehearse(request, like=like, yes=yes, confirm=lambda _: False, load=load)

    def resume(self, env: str = "staging", *, abandon: str | None = None, yes: bool = True, **options: Any) -> Answer:
        """`invoke resume`, in this process."""
        return resuming.resume(self.request(env, **options), abandon=abandon, yes=yes, confirm=lambda _: False)

    def plan(self, env: str = "staging", **options: Any) -> Answer:
        """`invoke plan`, in this process."""
        return planning.plan(self.request(env, **options), form=None)

    def preflight(self, env: str = "staging", **options: Any) -> Answer:
        """`invoke preflight`, in this process."""
        return reading.preflight(self.request(env, **options))

    def audit(self, env: str = "staging", *, on: str | None = None, **options: Any) -> Answer:
        """`invoke audit`, in this process."""
        return auditing.audit(self.request(env, **options), on=on)

    def validate(self, env: str = "staging", **options: Any) -> Answer:
        """`invoke validate`, in this process."""
        return reading.validate(self.request(env, **options))

    def history(self, env: str = "staging") -> list[dict[str, Any]]:
        """The runs that `invoke history --json` tells."""
        return list(reading.runs(self.request(env, json=True), latest_only=False).document["runs"])

    def status(self, env: str = "staging") -> dict[str, Any]:
        """The run that `invoke status --json` tells."""
        (only,) = reading.runs(self.request(env, json=True), latest_only=True).document["runs"]
        return dict(only)

    def verified(self, run: str) -> tuple[int, str]:
        """Exit code and first word of `invoke verify`."""
        said = self.typed("verify", "--env", "staging", "--run", run)
        return said.returncode, said.stdout.split()[0]

    def invoke(
        self, *words: str, timeout: float = 60, extra: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """`python -m invoke …` in the repository, without a terminal and with nothing but our own variables."""
        kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "LANG") if name in os.environ}
        return subprocess.run(
            [sys.executable, "-m", "invoke", *self._words(words)],
            cwd=ROOT,
            env={**kept, "HOME": str(self.folder), **self.variables, **(extra or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def typed(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The same through Invoke's own parser in this process: ten times as quick, and a traceback fails the test."""
        line = ["invoke", "--search-root", str(ROOT), *self._words(words)]
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            program.run(line, exit=True)
        code = ended.value.code
        assert isinstance(code, int)
        return subprocess.CompletedProcess(line, code, out.getvalue(), err.getvalue())

    def _words(self, words: tuple[str, ...]) -> tuple[str, ...]:
        """The words with this desk's folders, unless they ask for help or name an inventory."""
        if "--help" in words:
            return words
        own = () if "--inventory" in words else ("--inventory", str(self.inventory))
        book = () if "--runbook" in words or self.book == "master_tables" else ("--runbook", self.book)
        return (*words, *own, *book, "--runs", str(self.runs))

    def file(self, answer: Answer, name: str) -> str:
        """The text of a file in a run's folder."""
        path: Path = self.runs / answer.document["run"] / name
        return path.read_text(encoding="utf-8")

    def report(self, answer: Answer) -> dict[str, Any]:
        """The JSON report of a run."""
        return dict(json.loads(self.file(answer, "report.json")))

    def entries(self, answer: Answer) -> list[Entry]:
        """The copy of a run's journal."""
        return list(events.read_lines(self.file(answer, "journal.jsonl").splitlines(keepends=True)))

    def events(self, answer: Answer, kind: str) -> list[dict[str, Any]]:
        """What the events of one kind say, in their order."""
        return [json.loads(entry.data) for entry in self.entries(answer) if entry.kind == kind]

    def written(self) -> str:
        """All that the runs left behind."""
        return "\n".join(path.read_text("utf-8") for path in sorted(self.runs.rglob("*")) if path.is_file())


def finding(answer: Answer, name: str) -> dict[str, Any]:
    """The finding of that id; the last one when several steps have it."""
    found = [each for each in answer.document["findings"] if each["id"] == name]
    assert found, f"{name} is not among {[each['id'] for each in answer.document['findings']]}"
    return dict(found[-1])


def states(answer: Answer) -> dict[str, str]:
    """The state of each step."""
    return {step["id"]: step["state"] for step in answer.document["steps"]}


def counts(answer: Answer) -> dict[str, int]:
    """What became of the relations of the contract, without those of which there is none."""
    return {fate: count for fate, count in answer.document["relations"].items() if count}


def execute(url: str, *statements: str) -> None:
    """Execute statements, each in a transaction of its own."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def rows(url: str, query: str, *values: object) -> list[Row]:
    """What a query finds."""
    with psycopg.connect(url, autocommit=True, row_factory=tuple_row) as connection:
        return connection.execute(query.encode(), values or None).fetchall()


def value(url: str, query: str, *values: object) -> Any:
    """The one value that a query finds."""
    ((found,),) = rows(url, query, *values)
    return found


def fingerprint(url: str) -> str:
    """The fingerprint of a database's catalog."""
    with psycopg.connect(url, autocommit=True, row_factory=dict_row) as connection:
        return read_catalog(connection).fingerprint


def keys(url: str) -> dict[str, tuple[str, bool]]:
    """Every foreign key outside of the ledger: name to definition and whether it is valid."""
    found = rows(
        url,
        "select conname, pg_get_constraintdef(oid), convalidated from pg_constraint"
        " where contype = 'f' and conparentid = 0 and connamespace is distinct from to_regnamespace('orchestrator')",
    )
    return {name: (definition, valid) for name, definition, valid in found}


def not_valid(url: str) -> set[str]:
    """The names of the foreign keys that stand NOT VALID."""
    return {name for name, (_, valid) in keys(url).items() if not valid}


def has_ledger(url: str) -> bool:
    """Whether schema orchestrator is there."""
    return bool(value(url, "select to_regnamespace('orchestrator') is not null"))


def contents(url: str) -> dict[str, tuple[int, str]]:
    """Rows and a checksum over them, per table outside of the ledger."""
    names = rows(
        url,
        "select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where c.relkind = 'r' and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'orchestrator')",
    )
    query = sql.SQL("select count(*), coalesce(md5(string_agg(t::text, ',' order by t::text)), '') from {} as t")
    with psycopg.connect(url, autocommit=True, row_factory=tuple_row) as connection:
        found = {name: connection.execute(query.format(sql.Identifier(*name))).fetchone() for name in names}
    return {".".join(name): (row[0], row[1]) for name, row in found.items() if row}


def tree(folder: Path, *, without: Path) -> dict[str, int]:
    """Every file and folder below a folder but for one of them, with its time of change."""
    return {
        str(path): path.stat().st_mtime_ns
        for path in sorted(folder.rglob("*"))
        if path != without and without not in path.parents
    }


def password_of(url: str) -> str:
    """The password that a URL holds."""
    return str(conninfo_to_dict(url)["password"])


def with_parameters(url: str, **changes: str) -> str:
    """The URL as libpq's words, with some of them changed."""
    return psycopg.conninfo.make_conninfo(url, **changes)


def contract_lines(*tables: str) -> Iterator[str]:
    """The blocks of the master tables' contract, of these tables when some are named."""
    for block in (MASTER / "foreign_keys.toml").read_text("utf-8").split("[[foreign_key]]")[1:]:
        if not tables or re.search(f'^table = "({"|".join(tables)})"$', block, re.MULTILINE):
            yield "[[foreign_key]]" + block


WORKSPACE = "11111111-1111-1111-1111-111111111111"

BASE_ROWS = f"""
insert into workspaces (id, code, name, customer_group_id, vendor_owner_id, updated_at)
  values ('{WORKSPACE}', 'w1', 'First', 'g', 'v', now());
insert into users (id, email, updated_at)
  values ('u1', 'u1@example.invalid', now()), ('u2', 'u2@example.invalid', now());
insert into sites (id, name) values ('s1', 'Site');
insert into config_versions (id, workspace_id, source_file_name, source_type, version_number, status, imported_by)
  values ('c1', '{WORKSPACE}', 'a.xlsx', 'EXCEL', 1, 'ACTIVE', 'u1');
insert into atp_scope_master (id, workspace_id, config_version_id, scope_code, scope_name, scope_group)
  values ('sc1', '{WORKSPACE}', 'c1', 'S', 'Scope', 'G');
insert into vendor_master (id, workspace_id, config_version_id, vendor_code, vendor_name, vendor_type)
  values ('v1', '{WORKSPACE}', 'c1', 'V', 'Vendor', 'T');
insert into approval_role_master (id, workspace_id, config_version_id, role_code, role_name, hierarchy_order)
  values ('r1', '{WORKSPACE}', 'c1', 'R', 'Role', 1), ('r2', null, 'c1', 'GLOBAL', 'Global role', 2);
insert into approval_policy_master
  (id, workspace_id, config_version_id, scope_id, vendor_id, atp_category, policy_version)
  values ('p1', '{WORKSPACE}', 'c1', 'sc1', 'v1', 'BOTH', '1');
insert into approval_policy_stages
  (id, policy_id, config_version_id, stage_number, stage_name, approval_role_id, assignment_mode, sequence_order)
  values ('ps1', 'p1', 'c1', 1, 'First', 'r1', 'ROLE', 1);
insert into cluster_master (id, workspace_id, config_version_id, scope_id, region_name, cluster_code)
  values ('cl1', '{WORKSPACE}', 'c1', 'sc1', 'Region', 'CL');
insert into cluster_approver_master (id, workspace_id, cluster_id, config_version_id, approval_role_id, primary_user_id)
  values ('ca1', '{WORKSPACE}', 'cl1', 'c1', 'r1', 'u1');
insert into workflow_instances
  (id, workspace_id, config_version_id, approval_policy_id, site_id, vendor_id, scope_id, atp_category)
  values ('w1', '{WORKSPACE}', 'c1', 'p1', 's1', 'v1', 'sc1', 'BOTH');
insert into workflow_stages
  (id, workflow_instance_id, config_version_id, stage_number, approval_role_id, policy_stage_id)
  values ('ws1', 'w1', 'c1', 1, 'r1', 'ps1');
insert into approver_overrides
  (id, workspace_id, override_type, workflow_stage_id, approval_role_id, from_user_id, to_user_id, override_reason)
  values ('o1', '{WORKSPACE}', 'STAGE', 'ws1', 'r1', 'u1', 'u2', 'leave');
insert into atp_submissions
  (id, workspace_id, config_version_id, site_id, scope_id, vendor_id, atp_category, workflow_instance_id)
  values ('a1', '{WORKSPACE}', 'c1', 's1', 'sc1', 'v1', 'BOTH', 'w1');
insert into atp_submission_documents (id, workspace_id, submission_id, document_id, document_type)
  values ('d1', '{WORKSPACE}', 'a1', 'doc', 'PDF');
insert into punchlists (id, workflow_instance_id, workflow_stage_id) values ('pl1', 'w1', 'ws1');
insert into punchlist_items (id, punchlist_id, item_code, description) values ('pi1', 'pl1', 'I', 'Item');
insert into workflow_stage_actions (id, workflow_stage_id, action_type, actor_user_id)
  values ('wa1', 'ws1', 'APPROVE', 'u1');
"""

ORPHANS = (
    "insert into punchlist_items (id, punchlist_id, item_code, description)"
    " values ('lost1', 'gone1', 'I', 'Item'), ('lost2', 'gone2', 'I', 'Item')",
    "insert into workflow_stage_actions (id, workflow_stage_id, action_type) values ('lost3', 'gone3', 'COMMENT')",
)
"""Three rows in two relations that refer to nothing."""

ORPHANED = {"fk_punchlist_items_punchlist_id", "fk_workflow_stage_actions_workflow_stage_id"}


def insert_base_rows(url: str) -> None:
    """One consistent row in each of the nineteen tables, more where a NULL or a second person matters."""
    execute(url, BASE_ROWS)
