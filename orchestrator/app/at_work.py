"""A run at work: nobody else is, its journal is in the target's ledger, and a lost connection is found again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from orchestrator.adapters import events, ledger
from orchestrator.adapters.identity import identify
from orchestrator.adapters.journal import RunJournal
from orchestrator.adapters.lease import Keeper
from orchestrator.adapters.ledger_copy import taken_away
from orchestrator.adapters.ledger_journal import LedgerJournal
from orchestrator.adapters.marker import marker_of, read_marker, write_marker
from orchestrator.adapters.outbox import waits_again
from orchestrator.adapters.postgres import Connection, plainly
from orchestrator.adapters.processes import host_name, os_user
from orchestrator.adapters.runs import JournalCopy, RunFolder, all_runs
from orchestrator.adapters.target import Target
from orchestrator.app.site import Site
from orchestrator.core.entry import Entry
from orchestrator.core.journal import LedgerOpened, LedgerRewound
from orchestrator.core.outcome import Refused
from orchestrator.core.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class AtWork:
    """A site whose turn it is; `connection` reads, the keeper keeps others out; people are told by what is attached."""

    site: Site
    keeper: Keeper
    connection: Connection
    target: Target
    attach: Callable[[RunJournal], None] = lambda _: None
    writers: list[LedgerJournal] = field(default_factory=list)

    def new_journal(self) -> RunJournal:
        """The journal of a run that begins: a file until preflight is GO."""
        journal = self.site.file_journal(self.connection)
        journal.target = self.target
        self.attach(journal)
        return journal

    def open_ledger(self, journal: RunJournal) -> None:
        """Go on in the target's ledger, with everything that was recorded so far. Raises Refused."""
        ledger.install(self.connection)
        self._mark(journal)
        writer = self._writer(self.site.run_folder)
        writer.begin(self.site.environment.name, journal.file.entries)
        journal.ledger = writer
        journal.record(LedgerOpened(version=ledger.VERSION, token=writer.token))
        for rewound in self._rewound():
            journal.record(rewound)

    def _mark(self, journal: RunJournal) -> None:
        """Write the marker at the environment's first run. Raises Refused outside production, where no gate tells.

        A way back is not kept waiting: its run is named, or this environment's.
        """
        back = journal.run.started is not None and journal.run.started.rolls_back is not None
        environment = self.site.environment
        marker, here = read_marker(self.connection), marker_of(self.connection, environment.name)
        if marker is None:
            with plainly("writing the environment's marker"):
                write_marker(self.connection, here, kind=environment.kind)
        elif not back and not environment.is_production and (strange := marker.strange(here)):
            options = f"--env {environment.name}{self.site.request.where}"
            message = f'{strange}; if this copy is {environment.name} now: invoke adopt {options} --reason "why"'
            raise Refused(message)

    def take_up(self) -> RunJournal:
        """The journal of the site's run, which another process began. Raises Refused, JournalLost."""
        journal = self.new_journal()
        writer = self._writer(self.site.run_folder)
        lost = writer.take_up(tuple(self.site.run_folder.entries()))
        journal.ledger = writer
        if lost:
            journal.record(_rewound_by(lost))
        return journal

    def abandon(self, run: str, reason: str) -> Run:
        """Close an open run for good."""
        folder = RunFolder(root=self.site.request.runs, run=run)
        writer = self._writer(folder)
        lost = writer.take_up(tuple(folder.entries()))
        if lost:
            writer.record(_rewound_by(lost))
        writer.close("abandoned", f"{reason} ({os_user()} on {host_name()})")
        waits_again(folder)
        return writer.run

    def _writer(self, folder: RunFolder) -> LedgerJournal:
        """A writer of one run's chain, under the lease, which is taken when it is first needed."""
        token = self.keeper.token or self.keeper.claim()
        writer = LedgerJournal(
            target=self.target,
            connection=self.site.server.connect("journal"),
            copy=JournalCopy(folder=folder),
            token=token,
            run=Run(folder.run),
        )
        self.writers.append(writer)
        return writer

    def _rewound(self) -> Iterator[LedgerRewound]:
        """Runs whose copy here holds more than the ledger: the database was restored, or failed over. Told once."""
        with plainly("comparing the ledger with the copies", reading=True):
            told = {
                row["run"]
                for row in self.connection.execute(
                    "select data ->> 'run' as run from orchestrator.event where kind = 'ledger_rewound'"
                )
            }
            for folder in all_runs(self.site.request.runs):
                if folder.run not in told and folder.run != self.site.run:
                    complete_copy(self.connection, folder)
                    yield from self._lost_of(folder)

    def _lost_of(self, folder: RunFolder) -> Iterator[LedgerRewound]:
        try:
            copy = tuple(folder.entries())
        except Refused:
            return
        run = events.fold_entries(folder.run, copy)
        mine, theirs = self.target.identity, run.started.target if run.started else None
        if not run.in_ledger or theirs is None or run.started is None:
            return
        here = (theirs.system_identifier, theirs.database) == (mine.system_identifier, mine.database)
        if not here or run.started.environment != self.site.environment.name:
            return
        head = ledger.head(self.connection, folder.run)
        if head is None and taken_away(self.connection, folder, self.site.environment.name):
            return
        kept = head.seq if head else 0
        if kept < len(copy):
            lost = tuple(each.hash for each in copy[kept:])
            reason = "the database was set back: the copy on this machine holds more"
            yield LedgerRewound(run=folder.run, after=kept, lost=lost, reason=reason)


def _rewound_by(lost: tuple[Entry, ...]) -> LedgerRewound:
    hashes = tuple(each.hash for each in lost)
    reason = "the copy on this machine holds events that the ledger has lost"
    return LedgerRewound(after=lost[0].seq - 1, lost=hashes, reason=reason)


def complete_copy(connection: Connection, folder: RunFolder) -> bool:
    """Bring the copy of a closed run up to the ledger, where a crash or a full disk cut it short; whether it was."""
    with suppress(Refused):
        copy = tuple(folder.entries())
        head = ledger.head(connection, folder.run)
        kept = list(ledger.entries(connection, folder.run))
        marker = read_marker(connection)
        if head and marker and marker.environment != head.environment:
            # It came along with a copy and was closed there: the journal beside us is the original's.
            return False
        if head and head.closed and len(copy) < len(kept) and list(copy) == kept[: len(copy)]:
            JournalCopy(folder=folder).rebuild(kept)
            return True
    return False


@contextmanager
def at_work(site: Site, attach: Callable[[RunJournal], None] = lambda _: None) -> Iterator[AtWork]:
    """Keep every other run out while the block lasts; signals ask it to stop. Raises Refused.

    `attach` gets each new journal before its first event.
    """
    keeper = Keeper(server=site.server)
    with site.interruption.installed():
        try:
            keeper.start()
            with site.server.session("run") as connection:
                within_s = site.environment.policy.reconnect_within_s
                target = Target(server=site.server, identity=identify(connection), within_s=within_s)
                work = AtWork(site=site, keeper=keeper, connection=connection, target=target, attach=attach)
                try:
                    yield work
                finally:
                    for writer in work.writers:
                        writer.connection.close()
        finally:
            keeper.end()
