"""The runbook on a scratch copy: the same site, steps, engine and ledger, with the copy as the target."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from orchestrator.adapters.copying import Copied
from orchestrator.adapters.interruption import Interruption
from orchestrator.adapters.journal import Listener, RunJournal
from orchestrator.adapters.postgres import Server
from orchestrator.adapters.terminal import Screen
from orchestrator.app.at_work import AtWork, at_work
from orchestrator.app.beginning import begin
from orchestrator.app.runs import carry_out
from orchestrator.app.site import Site, new_run_id
from orchestrator.app.walking_back import walk_back
from orchestrator.app.work import work_of
from orchestrator.core.inventory import Backup, Environment
from orchestrator.core.journal import Event, StatementDone, StepFinished
from orchestrator.core.locks import Lock
from orchestrator.core.ports import Step
from orchestrator.core.rehearsal import CHANGING, HALF
from orchestrator.core.run import Run
from orchestrator.core.transaction import Transaction
from orchestrator.steps.preflight import Preflight
from orchestrator.steps.rehearsed import CopyIsBackup

WALKS = "walks"

OF_THE_TARGET = frozenset(
    {"settings-kept", "identity", "identity-compared", "encryption", "backup-tools", "hot-parents"}
)
"""Checks that say something about the target and its place in the inventory, and nothing about a copy."""


@dataclass(slots=True, kw_only=True)
class OnCopy:
    """Walks over one copy; each is a run of its own in the copy's ledger, and its journal stays in `walks/`.

    `held` and `unwound` have the locks that each statement was seen holding, there and on the way back.
    """

    target: Site
    place: Server
    copied: Copied
    held: dict[str, list[tuple[Lock, ...]]] = field(default_factory=dict)
    unwound: dict[str, list[tuple[Lock, ...]]] = field(default_factory=dict)

    def fingerprint(self) -> str:
        """Of the copy's catalog as it is now."""
        return self.site().catalog().catalog().fingerprint

    def there(self, until: str) -> tuple[Run, Mapping[str, str]]:
        """A deployment until that boundary, and the fingerprint at each boundary that it passed."""
        # What makes a walk turn back within apply must not stop the rehearsal.
        interruption = Interruption() if until == HALF else self.target.interruption
        site, seen = self.site(interruption), dict[str, str]()
        with ExitStack() as stack, at_work(site) as work:
            journal = work.new_journal()
            journal.listeners.append(_noting(seen, self.fingerprint))
            if until == HALF:
                journal.listeners.append(_turning_back(interruption))
            last = CHANGING if until == HALF else until
            self._carry_out(work, journal, last, stack)
        if interruption.cancels and interruption.reason is not None:
            # A signal that came meanwhile meant the rehearsal.
            self.target.interruption.ask(interruption.reason)
        return journal.run, seen

    def back(self, run: Run) -> Run:
        """The way back of that deployment, as `invoke rollback` takes it."""
        with at_work(self.site()) as work:
            return walk_back(work, work_of(work.connection, run.id))[0]

    def site(self, interruption: Interruption | None = None) -> Site:
        """The copy as a site, under the id of a run of its own. It says nothing on the screen."""
        run, screen = new_run_id(), Screen(json=True)
        screen.console.quiet = True
        return replace(
            self.target,
            environment=_of_copy(self.target.environment),
            run=run,
            screen=screen,
            server=replace(self.place, run=run, interruption=interruption or self.target.interruption),
            request=replace(self.target.request, runs=self.walks, json=True, dry_run=False),
            looker=self._look,
        )

    @property
    def walks(self) -> Path:
        """Where the journals of the walks lie."""
        return self.target.run_folder.path / WALKS

    def _carry_out(self, work: AtWork, journal: RunJournal, until: str, stack: ExitStack) -> None:
        names = work.site.folder.runbook.steps
        begin(work.site, journal, work.connection, task="deploy", steps=names, until=until)
        carry_out(work, journal, names, until=until, stack=stack, dress=self._dress)

    def _dress(self, steps: dict[str, Step]) -> dict[str, Step]:
        dressed = {**steps, "backup": CopyIsBackup(tables=self.copied.tables, rows=self.copied.rows)}
        preflight = steps["preflight"]
        if isinstance(preflight, Preflight):
            checks = tuple(each for each in preflight.checks if each.id not in OF_THE_TARGET)
            dressed["preflight"] = replace(preflight, checks=checks)
        return dressed

    def _look(self, work: Transaction, locks: tuple[Lock, ...]) -> None:
        """From the threads of lanes, too: each statement is in one of them at a time."""
        if work.kind != "restore":
            (self.unwound if work.kind == "drop" else self.held).setdefault(work.id, []).append(locks)


def _of_copy(environment: Environment) -> Environment:
    """The environment with what only its database has taken away; the copy takes every check that writes.

    A walk asks nobody: its approval step has nothing to wait for.
    """
    return replace(
        environment,
        environment=replace(environment.environment, kind="scratch"),
        backup=Backup(mode="none"),
        host=(),
        policy=replace(environment.policy, auto_rollback="never", behavioural_checks=True, approvals=0),
    )


def _noting(seen: dict[str, str], fingerprint: Callable[[], str]) -> Listener:
    """Notes the catalog's fingerprint at each boundary, when the step's end is on record: it takes no time of a step's.

    Where that fails the boundary is missing, and so not proved.
    """

    def note(event: Event, _: Run) -> None:
        if isinstance(event, StepFinished):
            seen[event.step] = fingerprint()

    return note


def _turning_back(interruption: Interruption) -> Listener:
    """Asks the run to stop once half of its statements took effect."""

    def turn(event: Event, run: Run) -> None:
        statements = run.plan.statements if run.plan else ()
        if isinstance(event, StatementDone) and len(run.done) * 2 >= len(statements):
            interruption.ask("the rehearsal turns back here, with half of the statements done", cancel=False)

    return turn
