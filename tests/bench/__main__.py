"""`python -m tests.bench`: the measurements, section by section, as tables or as one JSON document."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from orchestrator.adapters.postgres import plain_line
from orchestrator.app import DATABASE_ERROR
from orchestrator.core.outcome import OrchestratorError
from tests.bench import (
    auditing,
    large_schema,
    online,
    pages,
    recording,
    small,
    stage,
    starting,
    suggesting,
    telling,
    validating,
)
from tests.bench.load import ORDERS
from tests.bench.obstacles import OBSTACLES
from tests.bench.online import Matrix
from tests.bench.stage import SHAPES, STATES, Stage
from tests.bench.ways import LETTERS

PLACE = "/var/tmp"
DEFAULT_URL_VARIABLE = "BENCH_DATABASE_URL"


class Bench:
    """What was chosen, a folder to work in, and the stage, which is built when the first section asks for it."""

    def __init__(self, chosen: argparse.Namespace, folder: Path, stack: ExitStack) -> None:
        """Nothing is started yet; whatever is ends with `stack`."""
        self.chosen, self.folder, self._stack = chosen, folder, stack

    @cached_property
    def stage(self) -> Stage:
        """The server with its template."""
        chosen = self.chosen
        opened = stage.opened(
            folder=self.folder,
            rows=chosen.rows,
            major=chosen.major,
            url=chosen.url,
            keep=chosen.keep,
            shape=chosen.shape,
        )
        return self._stack.enter_context(opened)

    @property
    def matrix(self) -> Matrix:
        """What the section `online` compares."""
        chosen = self.chosen
        return Matrix(
            ways=chosen.ways,
            workers=chosen.workers,
            states=chosen.states,
            orders=chosen.orders,
            obstacles=chosen.obstacles,
            rounds=chosen.rounds,
        )


@dataclass(frozen=True, slots=True)
class Section:
    """A measurement: how it is taken, told as lines, and told as values."""

    measure: Callable[[Bench], Any]
    lines: Callable[[Any], list[str]]
    document: Callable[[Any], dict[str, object]]


SECTIONS: Mapping[str, Section] = {
    "recording": Section(
        lambda bench: recording.measure(bench.folder, rounds=bench.chosen.rounds), recording.lines, recording.document
    ),
    "online": Section(
        lambda bench: online.measure(
            bench.folder, bench.stage, bench.matrix, writers=bench.chosen.writers, limit_s=bench.chosen.limit
        ),
        online.lines,
        online.document,
    ),
    "audit": Section(
        lambda bench: auditing.measure(bench.stage, states=bench.chosen.states, rounds=bench.chosen.rounds),
        auditing.lines,
        auditing.document,
    ),
    "small": Section(
        lambda bench: small.measure(bench.folder, bench.stage, rounds=bench.chosen.rounds), small.lines, small.document
    ),
    "validation": Section(
        lambda bench: validating.measure(bench.stage, rounds=bench.chosen.rounds),
        validating.lines,
        validating.document,
    ),
    "schema": Section(
        lambda bench: large_schema.measure(
            bench.folder, tables=bench.chosen.tables, keys=bench.chosen.keys, rounds=bench.chosen.rounds
        ),
        large_schema.lines,
        large_schema.document,
    ),
    "slack": Section(
        lambda bench: telling.measure(bench.folder, bench.stage, rounds=bench.chosen.rounds),
        telling.lines,
        telling.document,
    ),
    "start": Section(
        lambda bench: starting.measure(rounds=2 * bench.chosen.rounds + 1), starting.lines, starting.document
    ),
    "suggest": Section(
        lambda bench: suggesting.measure(bench.folder, tables=bench.chosen.tables),
        suggesting.lines,
        suggesting.document,
    ),
}


def main(words: Sequence[str] | None = None) -> int:
    """Measure and tell; the exit code says nothing about the numbers, only that they could not be had."""
    chosen = arguments(sys.argv[1:] if words is None else words)
    # Servers, copies and folders are cleared away then too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        found, version = _measured(chosen)
    except OrchestratorError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except DATABASE_ERROR as error:
        print(f"error: the server refused or went away: {plain_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return 1
    if chosen.json:
        print(json.dumps({name: SECTIONS[name].document(each) for name, each in found.items()}, indent=2))
    if chosen.write and "online" in found and found["online"].trials:
        others = [SECTIONS[name].lines(each) for name, each in found.items() if name != "online"]
        for path in pages.write(found["online"], command=repeated(chosen), others=others):
            print(f"written: {path}", file=sys.stderr)
    if chosen.write and "validation" in found:
        path = validating.write(found["validation"], version=version, rows=chosen.rows, command=repeated(chosen))
        print(f"written: {path}", file=sys.stderr)
    if chosen.write and "suggest" in found:
        command = "invoke bench --sections suggest --write"
        print(f"written: {suggesting.write(found['suggest'], command=command)}", file=sys.stderr)
    return 0


def _measured(chosen: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Every section in turn, printed as soon as it ends, and the server's version. Raises OrchestratorError."""
    found = {}
    with (
        tempfile.TemporaryDirectory(prefix="bench-", dir=PLACE, ignore_cleanup_errors=True) as folder,
        ExitStack() as stack,
    ):
        bench = Bench(chosen, Path(folder), stack)
        if chosen.url:
            # A wrong address is told before anything is measured.
            bench.stage  # noqa: B018
        for name in chosen.sections:
            section = SECTIONS[name]
            found[name] = section.measure(bench)
            print("\n".join(section.lines(found[name])), file=sys.stderr if chosen.json else sys.stdout, flush=True)
        version = bench.stage.version if {"online", "validation"} & set(found) else ""
    return found, version


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """The options; one line and exit code 2 for a word that nobody knows."""
    parser = argparse.ArgumentParser(prog="invoke bench")
    parser.add_argument("--sections", type=several(SECTIONS), default=tuple(SECTIONS))
    parser.add_argument("--rows", type=positive, default=200_000)
    parser.add_argument("--shape", choices=tuple(SHAPES), default="tree")
    parser.add_argument("--major", type=int, choices=(15, 16, 18), default=16)
    parser.add_argument("--url", default=os.environ.get(DEFAULT_URL_VARIABLE))
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--ways", type=several(LETTERS), default=LETTERS)
    parser.add_argument("--orders", type=several(ORDERS), default=ORDERS)
    parser.add_argument("--states", type=several(STATES), default=("vacuumed",))
    parser.add_argument("--obstacles", type=several(OBSTACLES), default=("none", "idle"))
    parser.add_argument("--rounds", type=positive, default=2)
    parser.add_argument("--workers", type=_workers, default=("auto",))
    parser.add_argument("--writers", type=positive, default=3)
    parser.add_argument("--tables", type=positive, default=10_000)
    parser.add_argument("--keys", type=positive, default=30_000)
    parser.add_argument("--limit", type=positive, default=120)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true")
    return parser.parse_args(words)


def repeated(chosen: argparse.Namespace) -> str:
    """The command that takes the same measurements; where the server was and where data is kept is no part of it."""
    names = ("sections", "rows", "shape", "major", "ways", "orders", "states", "obstacles")
    words = {name: getattr(chosen, name) for name in (*names, "rounds", "workers", "writers")}
    told = (f"--{name} {','.join(each) if isinstance(each, tuple) else each}" for name, each in words.items())
    return " ".join(["invoke bench", *told, "--write"])


def several(known: Mapping[str, object] | Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """Words with commas, each of them known."""

    def split(text: str) -> tuple[str, ...]:
        words = tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
        unknown = [word for word in words if word not in known]
        if unknown or not words:
            message = f"{', '.join(unknown) or 'nothing'}: not known; known: {', '.join(known)}"
            raise argparse.ArgumentTypeError(message)
        return words

    return split


def positive(text: str) -> int:
    """A whole number, at least 1; underscores may stand between digits."""
    digits = text.replace("_", "")
    if not digits.isdecimal() or int(digits) < 1:
        message = f"{text}: must be a whole number, at least 1"
        raise argparse.ArgumentTypeError(message)
    return int(digits)


def _workers(text: str) -> tuple[str, ...]:
    words = tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    if not words or any(word != "auto" and not (word.isdecimal() and int(word)) for word in words):
        message = f"{text}: must be numbers or auto, with commas"
        raise argparse.ArgumentTypeError(message)
    return words


if __name__ == "__main__":
    sys.exit(main())
