"""A trial's world: a database, an inventory, folders; and the commands, each in a process of its own."""

from __future__ import annotations

import faulthandler
import os
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import psycopg

from orchestrator.adapters import points
from orchestrator.app import remediating, resuming, runs, walking_back
from orchestrator.app.answer import Answer
from orchestrator.app.remediating import Wish
from orchestrator.app.request import Request
from orchestrator.core.outcome import OrchestratorError
from tests import servers

Command = Literal["deploy", "resume", "rollback", "remediate", "put-back"]

HUNG_AFTER_S = 150
LINGERS_FOR_S = 60
CRASHED, HUNG = 70, -signal.SIGALRM

INVENTORY = """\
[environment]
name = "staging"
kind = "staging"
[database]
url = {{ file = "{url}" }}
[policy]
reconnect_within_s = 30
{policy}
[backup]
mode = "{backup}"
directory = "{folder}/backups"
{more}
"""


@dataclass(slots=True, kw_only=True)
class World:
    """One database with everything around it. `url` is how the commands reach it, `direct` how we look.

    `more` stands at the end of the inventory, `wish` is what is remediated. `asked` is called when a run does not know
    whether a command on a host took effect: what it gives back is said with the next resume, done and again.
    """

    folder: Path
    direct: str
    url: str
    runbook: str = "master_tables"
    backup: str = "dump"
    policy: str = ""
    more: str = ""
    wish: Wish = field(default_factory=Wish)
    asked: Callable[[], tuple[str | None, str | None]] = lambda: (None, None)
    _said: tuple[str | None, str | None] = (None, None)
    hung: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Write the inventory."""
        self.write_inventory()

    def write_inventory(self) -> None:
        """Write what stands in the fields, also after they were changed."""
        (self.folder / "inventory").mkdir(parents=True, exist_ok=True)
        place = self.folder / "url"
        place.write_text(self.url, encoding="utf-8")
        told = {"backup": self.backup, "policy": self.policy, "more": self.more}
        text = INVENTORY.format(url=place, folder=self.folder, **told)
        (self.folder / "inventory" / "staging.toml").write_text(text, encoding="utf-8")

    @property
    def runs(self) -> Path:
        """The folder of the runs."""
        return self.folder / "runs"

    @property
    def request(self) -> Request:
        """What a person would type."""
        inventory = self.folder / "inventory"
        return Request(env="staging", runbook=self.runbook, inventory=inventory, runs=self.runs, json=True)

    def begin(self, command: Command, visit: Callable[[str], None] | None = None) -> int:
        """Start a command in a process of its own; its pid."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of threads; the child uses none of ours
            pid = os.fork()
        if pid == 0:
            self._be(command, visit)
        return pid

    def end(self, pid: int) -> int:
        """Wait for it; its exit code, negative for a signal. Where it hung is kept in `hung`."""
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code == HUNG:
            self.hung.append(f"hung for {HUNG_AFTER_S} s: {self.last_words}")
        return code

    def act(self, command: Command, visit: Callable[[str], None] | None = None) -> int:
        """A command from beginning to end."""
        return self.end(self.begin(command, visit))

    def finish(self, command: Command) -> tuple[int, int]:
        """Whatever has become of a run of this command: go on until it is done. Exit code, and how often it resumed."""
        for times in range(1, 8):
            code = self.act("resume")
            self._said = self.asked() if "is not known" in self.last_words else (None, None)
            if code == 0:
                return 0, times
            if "nothing to resume" in self.last_words:
                if self._closed_as_done(command):
                    return 0, times - 1
                code = self.act(command)
                if code == 0:
                    return 0, times
            if "at work" in self.last_words:
                self.wait_for_sessions()
            elif code not in {2, 3}:
                return code, times
        return code, times

    @property
    def last_words(self) -> str:
        """What the last command said at its end."""
        return (self.folder / "said").read_text("utf-8", errors="replace")[-3000:]

    def wait_for_sessions(self) -> None:
        """Until the server has noticed that a killed process is gone."""
        query = (
            "select pid, application_name, state, wait_event_type, wait_event, pg_blocking_pids(pid),"
            " clock_timestamp() - state_change, query from pg_stat_activity"
            " where application_name like 'orchestrator/%' and datname = current_database()"
        )
        until = time.monotonic() + LINGERS_FOR_S
        with psycopg.connect(self.direct, autocommit=True) as connection:
            while left := connection.execute(query).fetchall():
                if time.monotonic() > until:
                    self.hung.append(f"sessions are left after {LINGERS_FOR_S} s: {left}")
                    return
                time.sleep(0.01)

    def remove(self) -> None:
        """Drop the database and the folder."""
        servers.drop_database(self.direct)
        shutil.rmtree(self.folder)

    def _closed_as_done(self, command: Command) -> bool:
        query = (
            "select count(*) from orchestrator.event s join orchestrator.event f on f.run = s.run"
            " where s.kind = 'run_started' and s.data ->> 'task' = %s and (s.data ->> 'rolls_back' is null) = %s"
            " and f.kind = 'run_finished' and f.data ->> 'state' = 'done'"
        )
        with psycopg.connect(self.direct, autocommit=True) as connection:
            known = connection.execute("select to_regclass('orchestrator.event') is not null").fetchone()
            task = "remediate" if command == "put-back" else command
            wanted = (task, command not in {"rollback", "put-back"})
            row = connection.execute(query, wanted).fetchone() if known and known[0] else None
        return bool(row and row[0])

    def _be(self, command: Command, visit: Callable[[str], None] | None) -> None:
        """The child: nothing of it comes back."""
        code = CRASHED
        try:
            said = os.open(self.folder / "said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            for number in (1, 2):
                os.dup2(said, number)
            sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
            faulthandler.dump_traceback_later(HUNG_AFTER_S - 1, file=sys.stderr)
            signal.alarm(HUNG_AFTER_S)
            points.visit(visit or (lambda _: None))
            code = self._carry_out(command).exit_code
        except OrchestratorError as error:
            print(error, file=sys.stderr)
            code = error.exit_code
        except BaseException:  # noqa: BLE001  whatever it was: the parent has to see that it crashed
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _carry_out(self, command: Command) -> Answer:
        match command:
            case "deploy":
                return runs.deploy(self.request, yes=True, until=None, confirm=lambda _: False)
            case "rollback":
                return walking_back.rollback(self.request, run=None, yes=True, confirm=lambda _: False)
            case "resume":
                done, again = self._said
                return resuming.resume(
                    self.request, abandon=None, yes=True, confirm=lambda _: False, host_done=done, host_again=again
                )
            case "remediate" | "put-back":
                wish = self.wish if command == "remediate" else Wish(undo=True, batch=self.wish.batch)
                return remediating.remediate(self.request, wish, apply=True, yes=True, confirm=lambda _: False)


def killer(at: int) -> Callable[[str], None]:
    """A visitor that ends the process at the point of that number, counted from 1, as the kernel would."""
    seen = 0

    def visit(_: str) -> None:
        nonlocal seen
        seen += 1
        if seen == at:
            os.kill(os.getpid(), signal.SIGKILL)

    return visit


def recorder(path: Path) -> Callable[[str], None]:
    """A visitor that writes the names of all points down."""

    def visit(name: str) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(name + "\n")

    return visit
