"""The decision of a runbook in its folder: `decision.toml`, which is read, and the record for people beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.adapters.documents import parse, read_toml
from orchestrator.core.decision import Decision, stale
from orchestrator.core.outcome import BadDocument, Refused
from orchestrator.core.timeline import Option, Runbook

DECISION = "decision.toml"
RECORD = "decision.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One decision as the file has it; `road` is the title of the option at that time."""

    option: Option
    rationale: str
    by: str
    at: datetime
    road: str | None = None

    @property
    def decision(self) -> Decision:
        """The value that the floor knows."""
        return Decision(option=self.option, rationale=self.rationale, by=self.by, at=self.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionFile:
    """`decision.toml` as it is written: the decision that holds, and those it replaced, newest first."""

    option: Option
    rationale: str
    by: str
    at: datetime
    road: str | None = None
    superseded: tuple[Written, ...] = ()


def decisions(folder: Path) -> tuple[Written, ...]:
    """Every decision of a runbook's folder, the newest first; none without a file. Raises BadDocument, Refused."""
    path = folder / DECISION
    if not path.exists():
        return ()
    found = parse(path, read_toml(path), DecisionFile)
    newest = Written(option=found.option, rationale=found.rationale, by=found.by, at=found.at, road=found.road)
    every = (newest, *found.superseded)
    for number, each in enumerate(every):
        for key, problem in _mistakes(each):
            place = f"superseded[{number}].{key}" if number else key
            raise BadDocument(file=str(path), key=place, problem=problem)
    return every


def decision_of(folder: Path, runbook: Runbook) -> Decision | None:
    """The decision that holds, None before there is one. Raises BadDocument for one that holds no more, too."""
    newest = next(iter(decisions(folder)), None)
    if newest is None:
        return None
    problem = stale(runbook, newest.option, newest.road)
    if problem:
        key = "road" if runbook.roads.get(newest.option) else "option"
        remedy = "decide again: invoke decide" if runbook.needs_decision else "remove the file"
        raise BadDocument(file=str(folder / DECISION), key=key, problem=problem, remedy=remedy)
    return newest.decision


def _mistakes(each: Written) -> Iterator[tuple[str, str]]:
    if not each.rationale.strip():
        yield "rationale", "is empty: say why"
    if not each.by.strip():
        yield "by", "is empty: say who decided"
    if each.at.tzinfo is None:
        yield "at", "has no time zone: write Z after it, or an offset"


def write_decisions(folder: Path, every: Sequence[Written], record: str) -> tuple[Path, Path]:
    """Write both files, the newest decision first among `every`. Raises Refused when the folder cannot be written.

    The record goes first: without it nothing is decided.
    """
    paths = (folder / DECISION, folder / RECORD)
    _replace(paths[1], record)
    _replace(paths[0], as_toml(every))
    return paths


def as_toml(every: Sequence[Written]) -> str:
    """`decision.toml` with these decisions, the newest first."""
    newest, *former = every
    parts = ["# Written by invoke decide. The record for people is decision.md.", *_lines(newest)]
    for each in former:
        parts += ["", "[[superseded]]", *_lines(each)]
    return "\n".join(parts) + "\n"


def _lines(each: Written) -> Iterator[str]:
    words: Mapping[str, str | None] = {"option": each.option, "road": each.road, "by": each.by}
    yield from (f"{key} = {_quoted(text)}" for key, text in words.items() if text is not None)
    yield f"at = {each.at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    yield f"rationale = {_quoted(each.rationale)}"


def _quoted(text: str) -> str:
    """A basic string of TOML: JSON escapes the same way, but for DEL, which only TOML forbids."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _replace(path: Path, text: str) -> None:
    new = path.with_name(f".{path.name}.new")
    try:
        new.write_text(text, encoding="utf-8")
        new.replace(path)
    except OSError as error:
        with suppress(OSError):
            os.unlink(new)  # noqa: PTH108  what is left of it, if anything
        message = f"{path}: cannot be written ({error.strerror})"
        raise Refused(message) from error
