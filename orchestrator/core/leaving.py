"""Leaving an environment: what stands in the way of taking its ledger away, and what is lost with it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from orchestrator.core.entry import Entry
from orchestrator.core.nouns import counted

SHOWN: Final = 3
"""How many of several names a line tells."""

ENTRIES: Final = frozenset({"run", "seq", "at", "actor", "kind", "data", "previous", "hash"})
WATCHES: Final = frozenset({"id", "of", "closed"})
HEADS: Final = frozenset({"id", "environment", "head_seq", "head_hash"})
OWNER: Final = ("host", "machine", "pid", "started", "os_user")
LEASES: Final = frozenset({*OWNER, "token", "holder", "taken_at", "heartbeat_at", "expires_at", "released"})
"""Columns by which a table of the ledger is known, whatever its name and the version that made it."""

MADE = re.compile(
    r"\bcreate\s+(?:or\s+replace\s+)?(?:unlogged\s+)?(table|view|materialized\s+view|function|sequence|type)\s+"
    r"(?:if\s+not\s+exists\s+)?orchestrator\.(\w+)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerTable:
    """A table of the ledger, or one in which a remediation keeps rows. `size` in bytes."""

    schema: str
    name: str
    columns: frozenset[str]
    size: int
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRun:
    """A run as its last event leaves it; `left` counts its statements and commands that can still be walked back."""

    run: str
    environment: str
    task: str
    state: str
    reason: str = ""
    left: int = 0

    @property
    def open(self) -> bool:
        """Whether it can go on."""
        return self.state in {"held", "running", "interrupted"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What stands in the schema of an environment. `holders` are living processes with a lease, as people read them.

    `watching` are watches that have no end yet. `marked` is another environment where this database says that it is
    that one, and nothing tells it from a copy.
    """

    version: int
    known: int
    owner: str
    ours: bool
    tables: tuple[LedgerTable, ...]
    runs: tuple[LedgerRun, ...] = ()
    holders: tuple[str, ...] = ()
    strangers: tuple[str, ...] = ()
    audits: tuple[str, ...] = ()
    approvals: int = 0
    evidence: int = 0
    kept: tuple[LedgerTable, ...] = ()
    watches: tuple[str, ...] = ()
    marked: str = ""
    watching: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """All of it, in bytes."""
        return sum(each.size for each in self.tables)

    @property
    def without_rehearsals(self) -> Standing:
        """The same without the rehearsals that were killed: those are closed, not resumed."""
        kept = (each for each in self.runs if not (each.state == "interrupted" and each.task == "rehearse"))
        return replace(self, runs=tuple(kept))

    @property
    def by_state(self) -> Mapping[str, int]:
        """How many runs ended how."""
        return dict(sorted(Counter(each.state for each in self.runs).items()))


def made_by(texts: Iterable[str]) -> frozenset[tuple[str, str]]:
    """Kind and name of every object that the ledger's own SQL makes: no list of them has to be kept."""
    found = (match for text in texts for match in MADE.findall(text))
    return frozenset((" ".join(kind.lower().split()), name) for kind, name in found)


def objections(found: Standing, command: Callable[[str], str]) -> Iterator[str]:
    """Why the ledger cannot be taken away now, each with what to do; `command` gives a task as it has to be typed."""
    if found.version > found.known:
        yield f"the ledger has version {found.version}, this program knows {found.known}: use a newer one"
        return
    if not found.ours:
        yield f"schema orchestrator belongs to role {found.owner}: let that role do it"
    if found.marked:
        yield (
            f"this database says that it is {found.marked}: --env {found.marked} leaves that one; if it is a copy,"
            f' {command("adopt")} --reason "why" comes first'
        )
    for each in found.holders:
        yield f"a process is at work: {each}; wait until it has ended, or stop it"
    for run in (each for each in found.runs if each.open):
        why = f" ({run.reason})" if run.reason else ""
        resume = command("resume")
        yield f'run {run.run} is {run.state}{why}: {resume} goes on with it, {resume} --abandon "why" closes it'
    if found.audits:
        yield (
            f"option B stands ({named(found.audits)}): {command('rollback')} takes it away, and so does a deployment of"
            " option A"
        )
    full = [f"{each.rows} in {each.schema}.{each.name}" for each in found.kept if each.rows]
    if full:
        yield (
            f"remediations keep rows ({named(full)}): {command('remediate')} --undo --apply puts them back; rows that"
            " nobody needs are dropped by hand"
        )
    if found.strangers:
        yield f"somebody built on schema orchestrator ({named(found.strangers)}): drop it by hand, it would go along"


def losses(found: Standing) -> Iterator[str]:
    """What only the ledger knows, and nobody will know without it."""
    for each in found.runs:
        if each.left:
            yield (
                f"run {each.run}: the way back of {counted(each.left, 'change')}, which will stay: no rollback,"
                " no resume, no verify against the database any more"
            )
    for name in found.watching:
        yield f"watch {name}, which has no end yet: from now on only the machine that watches can go on with it"
    if found.approvals:
        yield f"{counted(found.approvals, 'approval')} given before any run and not used yet"
    if found.evidence:
        yield f"the evidence of {counted(found.evidence, 'rehearsal')}, which gates of other environments read here"


def named(words: Iterable[str]) -> str:
    """Some of many names."""
    told = list(words)
    more = f" and {len(told) - SHOWN} more" if len(told) > SHOWN else ""
    return ", ".join(told[:SHOWN]) + more


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What became of one run's journal: written here, there already, or beside a copy that says something else."""

    written: list[str] = field(default_factory=list)
    there: list[str] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)


def covers(copy: tuple[Entry, ...], kept: tuple[Entry, ...]) -> bool:
    """Whether a copy holds everything that the ledger has; it may hold more, which a restore took away."""
    return len(copy) >= len(kept) and copy[: len(kept)] == kept


def continues(copy: tuple[Entry, ...], kept: tuple[Entry, ...]) -> bool:
    """Whether the ledger goes on where a copy was cut off."""
    return kept[: len(copy)] == copy
