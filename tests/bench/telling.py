"""What Slack costs a deployment: the same run with nobody to tell, with Slack in health, and with its faults."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal, get_args

import psycopg

from orchestrator.core.outcome import OrchestratorError
from tests.bench import deployment, ways
from tests.bench.stage import Stage
from tests.slack_server import TOKEN, Fault, SlackServer

GROWTH = 0.05
"""At most this share may be added to the wall time of a deployment."""
LOOK_EVERY_S = 0.02

Slack = Literal["nobody", "health", "bursts", "hangs", "away", "revoked"]
KINDS: tuple[Slack, ...] = get_args(Slack)
SAID: Mapping[Slack, str] = {
    "nobody": "no [slack] in the inventory",
    "health": "every request is answered",
    "bursts": "six 429 and six 5xx or lost answers",
    "hangs": "the first messages are never answered",
    "away": "refuses connections until the first statement",
    "revoked": "the token is revoked at the first statement",
}
PART = """
[slack]
channel = "#releases"
token = {{ file = "{token}" }}
base_url = "{base_url}"
"""
# The clock of the record; what is delivered after the end is no part of the deployment's time.
LASTED = """
select extract(epoch from max(at) filter (where kind = 'run_finished') - min(at))::float8 from orchestrator.event
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Medians over the rounds, in s: the run by its own journal, and the whole program.

    `ratio` is the median of the run's time to that of the same round without Slack.
    """

    kind: Slack
    run_s: float
    whole_s: float
    ratio: float
    messages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """Every kind, over the same rounds."""

    rounds: int
    costs: tuple[Cost, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    run_s: float
    whole_s: float
    messages: int


def measure(folder: Path, stage: Stage, *, rounds: int) -> Telling:
    """All kinds in turn, round after round, each on a fresh copy. Raises OrchestratorError when a run fails."""
    stage.prepare()
    found: dict[Slack, list[_Trial]] = {kind: [] for kind in KINDS}
    for number in range(rounds):
        # Another order every round: what the machine does meanwhile meets all of them.
        for kind in (*KINDS[number % len(KINDS) :], *KINDS[: number % len(KINDS)]):
            with stage.trial("vacuumed") as url:
                found[kind].append(_told(folder / "telling", url, kind))
    return Telling(rounds=rounds, costs=tuple(_cost(kind, found) for kind in KINDS))


def lines(found: Telling) -> list[str]:
    """One line per kind."""
    told = [f"slack: medians of {found.rounds}; the run's time may grow by {GROWTH:.0%}"]
    for each in found.costs:
        kept = "kept" if each.ratio <= 1 + GROWTH else "not kept"
        told.append(
            f"slack: {each.kind} ({SAID[each.kind]}): run {each.run_s:.2f} s, {each.ratio:.3f} of nobody ({kept}),"
            f" whole program {each.whole_s:.2f} s, {each.messages} messages"
        )
    return told


def document(found: Telling) -> dict[str, object]:
    """The numbers with their names."""
    costs = {
        each.kind: {"run_s": each.run_s, "whole_s": each.whole_s, "ratio": each.ratio, "messages": each.messages}
        for each in found.costs
    }
    return {"rounds": found.rounds, "growth": GROWTH, "costs": costs}


def _cost(kind: Slack, found: Mapping[Slack, list[_Trial]]) -> Cost:
    pairs = zip(found[kind], found["nobody"], strict=True)
    return Cost(
        kind=kind,
        run_s=median(each.run_s for each in found[kind]),
        whole_s=median(each.whole_s for each in found[kind]),
        ratio=median(mine.run_s / plain.run_s for mine, plain in pairs),
        messages=int(median(each.messages for each in found[kind])),
    )


def _told(folder: Path, url: str, kind: Slack) -> _Trial:
    shutil.rmtree(folder, ignore_errors=True)
    with SlackServer() as slack:
        deployment.prepare(folder, url, {"validate_workers": 1}, more=_part(folder, slack, kind))
        middle = _faults(slack, kind)
        began = time.perf_counter()
        way = ways.deployed(folder)
        with psycopg.connect(url, autocommit=True, application_name="bench/watch") as watcher:
            while way.process.poll() is None:
                if middle and way.began(watcher) is not None:
                    middle()
                    middle = None
                time.sleep(LOOK_EVERY_S)
            whole = time.perf_counter() - began
            if way.process.returncode:
                message = f"a deployment with Slack ({kind}) ended with {way.process.returncode}: {way.trouble()}"
                raise OrchestratorError(message)
            row: Any = watcher.execute(LASTED).fetchone()
        return _Trial(run_s=row[0], whole_s=whole, messages=len(slack.messages))


def _part(folder: Path, slack: SlackServer, kind: Slack) -> str:
    if kind == "nobody":
        return ""
    folder.mkdir(parents=True, exist_ok=True)
    token = folder / "token"
    token.write_text(TOKEN, encoding="utf-8")
    return PART.format(token=token, base_url=slack.base_url)


def _faults(slack: SlackServer, kind: Slack) -> Callable[[], object] | None:
    """Script the faults; what is to happen in the middle of the run is returned."""
    if kind == "bursts":
        limited = (Fault(status=429, retry_after=1.0),) * 3
        slack.fail("chat.postMessage", *limited, Fault(status=500, taken=True), Fault(status=503), Fault(drop=True))
        slack.fail("chat.update", *limited, Fault(status=502), Fault(status=500), Fault(drop=True, taken=True))
    elif kind == "hangs":
        slack.fail("chat.postMessage", *(Fault(hang=True),) * 3)
    elif kind == "away":
        slack.close()
        return slack.open
    elif kind == "revoked":
        return lambda: slack.revoked.add(TOKEN)
    return None
