"""The journals of a runbook: only what a checklist needs, of the environments that it is about."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING

from orchestrator.adapters.journals import KINDS, Journals, in_folder
from orchestrator.adapters.runbooks import load_contract
from orchestrator.adapters.runs import FileJournal, RunFolder
from orchestrator.app.checklists import chain
from orchestrator.core.journal import EVENT_TYPES, AnswerHeard, RunFinished, SampleTaken, WatchBegan, WatchEnded
from orchestrator.core.watch import Sample
from tests.conftest import ROOT
from tests.journals import BEGAN, began, fully_done, the_plan

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from orchestrator.core.journal import Event

CONFIRMED = AnswerHeard(
    answer="confirm",
    person="Ayu",
    proof="role ayu",
    actor="ayu",
    os_user="a",
    note='"kind": "x"',
    subject="performance",
)


def kept(root: Path, run: str, events: Iterable[Event]) -> None:
    """A copy of a journal with these events, a second apart."""
    seconds = count()
    journal = FileJournal(
        folder=RunFolder(root=root, run=run), actor="a", clock=lambda: BEGAN + timedelta(seconds=next(seconds))
    )
    for each in events:
        journal.record(each)


def read(root: Path, *environments: str) -> Journals:
    """What is found of the master tables."""
    return in_folder(root, runbook="master_tables", environments=environments or ("staging",))


def test_the_end_of_a_watch_is_read_and_its_samples_are_not(tmp_path: Path) -> None:
    """Three days of samples are nothing that a checklist needs."""
    taken = SampleTaken(sample=Sample(at=BEGAN, host="h", every_s=3600, method="none"))
    ended = WatchEnded(word="go", watched_s=72 * 3600.0, samples=1, gaps=0)
    kept(tmp_path, "w1", [began("monitor"), WatchBegan(of="r1", for_s=1.0), taken, ended, RunFinished(state="done")])
    (run,) = read(tmp_path).runs
    assert run.watched.ended == ended
    assert run.watched.readings == []


def test_statements_plans_and_counts_are_passed_over(tmp_path: Path) -> None:
    """The run is folded from what is left: its steps, findings and end."""
    plan = the_plan(load_contract(ROOT / "runbooks/master_tables/foreign_keys.toml"))
    kept(tmp_path, "r1", fully_done(plan))
    found = read(tmp_path)
    assert {entry.kind for entry in found.entries["r1"]} <= set(KINDS) <= set(EVENT_TYPES)
    (run,) = found.runs
    assert (run.steps["apply"].state, run.finished is not None, run.plan) == ("done", True, None)
    assert run.findings["validate"][0].id == "C1"


def test_other_runbooks_and_environments_are_left_out(tmp_path: Path) -> None:
    """Their beginning tells."""
    kept(tmp_path, "r1", [replace(began(), runbook="shop")])
    kept(tmp_path, "r2", [replace(began(), environment="prod")])
    kept(tmp_path, "r3", [began()])
    assert list(read(tmp_path).entries) == ["r3"]
    assert list(read(tmp_path, "staging", "prod").entries) == ["r2", "r3"]
    assert read(tmp_path / "nowhere").entries == {}


def test_what_people_confirmed(tmp_path: Path) -> None:
    """By the event in the journal, with the run that has it; an approval confirms nothing."""
    kept(tmp_path, "r1", [began(), CONFIRMED, replace(CONFIRMED, answer="approve", subject="")])
    (said,) = read(tmp_path).confirmations
    assert (said.item, said.person, said.note, said.run) == ("performance", "Ayu", '"kind": "x"', "r1")
    assert said.at == BEGAN + timedelta(seconds=1)


def test_a_copy_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """The others are read."""
    kept(tmp_path, "r1", [began()])
    for run, text in (("r2", "no journal\n"), ("r3", '"text"\n'), ("r4", "[]\n"), ("r5", '{"kind": "run_started"}\n')):
        (tmp_path / run).mkdir()
        (tmp_path / run / "journal.jsonl").write_text(text, encoding="utf-8")
    found = read(tmp_path)
    assert list(found.entries) == ["r1"]
    assert [text.split("/")[-2] for text in (each.split(" cannot")[0] for each in found.unread)] == [
        "r2",
        "r3",
        "r4",
        "r5",
    ]


def test_a_chain_of_environments(tmp_path: Path) -> None:
    """Staging and who takes its evidence, by the names that runs carry; a broken file is in no chain."""
    heads = {
        "stage": 'name = "staging"',
        "prod": 'name = "production"\nevidence_from = "stage"',
        "other": 'name = "other"',
        "eu": 'name = "eu"\nevidence_from = "stage"',
    }
    for stem, head in heads.items():
        (tmp_path / f"{stem}.toml").write_text(f"[environment]\n{head}\n", encoding="utf-8")
    (tmp_path / "broken.toml").write_text("[environment", encoding="utf-8")
    assert chain(tmp_path, "staging") == {"staging", "production", "eu"}
    assert chain(tmp_path, "production") == {"production", "staging"}
    assert chain(tmp_path, "other") == {"other"}
    assert chain(tmp_path / "nowhere", "staging") == {"staging"}
