"""The last lines after a run that did not end well: what is safe now, and what to type next."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.adapters.runbooks import load_contract
from orchestrator.adapters.terminal import safety
from orchestrator.core.outcome import RunState
from orchestrator.core.summary import Summary
from tests.acceptance.desk import MASTER
from tests.journals import summary_of, the_plan, unfinished, walked_back

PLAN = the_plan(load_contract(MASTER / "foreign_keys.toml"))


def way_back(state: RunState, *, undone: int, fingerprint: str) -> Summary:
    """The view of a rollback that has come so far."""
    made = summary_of(walked_back(PLAN))
    return replace(
        made,
        task="rollback",
        state=state,
        differences=(),
        rolled_back=False,
        undone=undone,
        fingerprint_after=fingerprint,
    )


@pytest.mark.parametrize(
    ("state", "fingerprint", "told"),
    [
        ("held", "", "5 statements walked back, each is on record; resume goes on from there"),
        ("interrupted", "", "5 statements walked back, each is on record; resume goes on from there"),
        ("running", "", "5 statements walked back, each is on record"),
        ("failed", "", "5 statements walked back, each is on record"),
        ("done", "b" * 64, "the catalog is what it was before"),
    ],
)
def test_a_way_back_is_whole_once_it_was_compared(state: RunState, fingerprint: str, told: str) -> None:
    """One that stopped half way must never say that the catalog is what it was."""
    assert safety(way_back(state, undone=5, fingerprint=fingerprint)) == told
    others = replace(way_back(state, undone=5, fingerprint=fingerprint), elsewhere=("new: table public.theirs",))
    assert safety(others) == told + (", but for tables of others" if fingerprint else "")


def test_a_killed_run_says_what_stands() -> None:
    """And that it goes on from there; one that is at work says no such thing."""
    killed = replace(summary_of(unfinished(PLAN)), state="interrupted")
    assert safety(killed) == "1 statement took effect, each is on record; resume goes on from there"
    assert "resume" not in safety(replace(killed, state="running"))
