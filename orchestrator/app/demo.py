"""The whole story on two embedded servers: staging first, then production, with data in both."""

from __future__ import annotations

import shutil
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from orchestrator.adapters.embedded import Cluster
from orchestrator.adapters.loading import apply_migrations, fill
from orchestrator.adapters.terminal import Screen
from orchestrator.app.answer import Answer
from orchestrator.app.deciding import decide
from orchestrator.app.opening import open_site
from orchestrator.app.rehearsing import rehearse
from orchestrator.app.request import Request
from orchestrator.app.runs import deploy
from orchestrator.app.site import RUNBOOKS, embedded_cluster
from orchestrator.app.writes_on_copy import Load
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import EXIT_DONE, EXIT_REFUSED, OrchestratorError, Refused

MARKER = "made-by-invoke-demo"

INVENTORY = """\
[environment]
name = "{name}"
kind = "{kind}"
{more}
[database]
url = {{ embedded = "{name}" }}

[backup]
directory = "{backups}"
"""

PLANT = """
update public.punchlist_items set punchlist_id = 'no-such-punchlist'
    where id in (select id from public.punchlist_items order by id limit 2);
update public.workflow_stages set approver_user_id = 'no-such-user'
    where id in (select id from public.workflow_stages order by id limit 1);
"""

REPAIR = """
update public.punchlist_items set punchlist_id = (select min(id) from public.punchlists)
    where punchlist_id = 'no-such-punchlist';
update public.workflow_stages set approver_user_id = null where approver_user_id = 'no-such-user';
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where the demo plays: a folder of its own with inventory, runs, backups and servers."""

    folder: Path
    screen: Screen
    json: bool

    def request(self, env: str) -> Request:
        """What a person would type for this environment."""
        inventory, runs = self.folder / "inventory", self.folder / "runs"
        return Request(env=env, runbook=str(self.runbook), inventory=inventory, runs=runs, json=self.json)

    @property
    def runbook(self) -> Path:
        """The demo's own copy of the runbook, in which it decides."""
        return self.folder / "master_tables"

    def cluster(self, env: str) -> Cluster:
        """The environment's server."""
        return embedded_cluster(self.folder / "inventory", env)


def demo(*, folder: Path, rows: int, with_orphans: bool, keep: bool, json: bool) -> Answer:
    """Two servers, data, a decision, a rehearsal, two deployments: staging, production. Raises OrchestratorError.

    `rows` is the size of the largest table. The servers are removed at the end unless `keep`; journals, reports and
    backups stay.
    """
    stage = Stage(folder=folder, screen=Screen(json=json), json=json)
    began = time.monotonic()
    _prepare(stage)
    with ExitStack() as stack:
        for env in ("staging", "prod"):
            _build(stage, env, rows, stack, keep=keep)
        if with_orphans:
            _show_orphans(stage)
        _decide(stage)
        answers = [_rehearse(stage), *(_deploy(stage, env, expected=EXIT_DONE) for env in ("staging", "prod"))]
    stage.screen.line()
    stage.screen.line(f"the demo took {time.monotonic() - began:.0f} s", status="done")
    for name, answer in zip(("the rehearsal", "staging", "production"), answers, strict=True):
        stage.screen.line(f"  report of {name}: {answer.document['report']}")
    if not keep:
        told = "the two servers are gone, so the commands above would find no table: --keep keeps them"
        stage.screen.line(told, status="note")
    return Answer(
        document={"runs": [answer.document for answer in answers]},
        exit_code=max(answer.exit_code for answer in answers),
    )


def _prepare(stage: Stage) -> None:
    """A fresh folder; one that this demo did not make is never touched. Raises Refused."""
    folder = stage.folder
    if folder.exists():
        if not (folder / MARKER).exists():
            message = f"{folder} exists and was not made by the demo; name another with --folder"
            raise Refused(message)
        for env in ("staging", "prod"):
            stage.cluster(env).discard()
        shutil.rmtree(folder)
    (folder / "inventory").mkdir(parents=True)
    shutil.copytree(RUNBOOKS / "master_tables", stage.runbook, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / MARKER).write_text("invoke demo empties this folder when it starts\n", encoding="utf-8")
    kinds = {"staging": ("staging", ""), "prod": ("production", 'evidence_from = "staging"\n')}
    for name, (kind, more) in kinds.items():
        text = INVENTORY.format(name=name, kind=kind, more=more, backups=folder / "backups" / name)
        (folder / "inventory" / f"{name}.toml").write_text(text, encoding="utf-8")


def _build(stage: Stage, env: str, rows: int, stack: ExitStack, *, keep: bool) -> None:
    """A server with the base migration and data."""
    began = time.monotonic()
    cluster = stage.cluster(env)
    cluster.start()
    stack.callback(cluster.stop if keep else cluster.discard)
    with ExitStack() as inner:
        site = open_site(stage.request(env), inner, read_only=False)
        apply_migrations(site.server, site.folder.migrations(), site.folder.contract)
        loaded = fill(site.server, site.folder.contract, rows=rows)
        with site.server.session("demo", read_only=True) as connection:
            row = connection.execute("select system_identifier::text as id from pg_control_system()").fetchone()
    total = sum(each.rows for each in loaded)
    identifier = row["id"] if row else "?"
    spent = time.monotonic() - began
    largest = max(each.rows for each in loaded)
    filled = f"{counted(total, 'row')} in {counted(len(loaded), 'table')}"
    text = f"{env}: system {identifier}, {filled}, {largest} in the largest"
    stage.screen.line(f"{text} ({spent:.1f} s)", status="ready")


def _decide(stage: Stage) -> None:
    """The decision that opens production, in the demo's copy: the shipped runbook has none."""
    stage.screen.line()
    decide(stage.request("staging"), option="A", rationale="the demo shows how the keys are added", by="demo")


def _rehearse(stage: Stage) -> Answer:
    """The evidence that opens production."""
    stage.screen.line()
    answer = rehearse(stage.request("staging"), like=None, yes=True, confirm=lambda _: True, load=Load(seconds=1))
    return _as_expected(answer, "the rehearsal", EXIT_DONE)


def _deploy(stage: Stage, env: str, *, expected: int) -> Answer:
    stage.screen.line()
    answer = deploy(stage.request(env), yes=True, until=None, confirm=lambda _: True)
    return _as_expected(answer, env, expected)


def _as_expected(answer: Answer, what: str, code: int) -> Answer:
    """The answer, if it is what the story needs. Raises OrchestratorError."""
    if answer.exit_code != code:
        message = f"the demo expected exit code {code} of {what} and got {answer.exit_code}"
        raise OrchestratorError(message)
    return answer


def _show_orphans(stage: Stage) -> None:
    """Plant three orphans, let the deployment be refused, and repair them."""
    stage.screen.line()
    stage.screen.line("three orphans in two relations of staging", status="planted")
    _execute(stage, PLANT)
    _deploy(stage, "staging", expected=EXIT_REFUSED)
    _execute(stage, REPAIR)
    stage.screen.line()
    stage.screen.line("the three rows, by hand", status="repaired")


def _execute(stage: Stage, text: str) -> None:
    with ExitStack() as stack:
        site = open_site(stage.request("staging"), stack, read_only=False)
        with site.server.session("demo") as connection:
            connection.execute(text.encode())
