"""The document set from journals by hand: hostile words stand literally, and one number is one number everywhere."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from orchestrator.adapters.document_set import DocumentFolder, documents, existence_query
from orchestrator.core.contract import Contract
from orchestrator.core.decision import Decision
from orchestrator.core.documents import DocumentSet, document_set, same_state
from orchestrator.core.journal import (
    Event,
    PlanRecorded,
    RunFinished,
    SampleTaken,
    WatchBegan,
    WatchEnded,
    WatchJudged,
)
from orchestrator.core.journal.documents import SchemaDescribed, TableDescribed
from orchestrator.core.outcome import Refused
from orchestrator.core.pages import PAGES
from orchestrator.core.plan import Plan
from orchestrator.core.run import Run, fold
from orchestrator.core.timeline import Item, Option, Phase, Road, Runbook
from orchestrator.core.watch import AWAY, Sample
from tests.journals import BEGAN, HOSTILE, began, catalog, fully_done, hostile_contract, refused, the_plan

WORDS = " ".join(HOSTILE)
LINKS = {f'<a href="{page.file}">' for page in PAGES}
RUNBOOK = Runbook(
    name="hostile",
    title=f"Keys {WORDS}",
    roads={
        "A": Road(
            title=f"add {WORDS}",
            risk="low",
            days=(7, 10),
            recommended=True,
            phases=(Phase(name="production", items=(Item(title=f"do {WORDS}", days=(1, 2), step="apply"),)),),
        ),
        "B": Road(title=f"trust {WORDS}", risk="medium", days=(12, 15), phases=()),
    },
)


def run_of(name: str, events: Iterable[Event]) -> Run:
    """The run of these events, half a second apart."""
    return fold(name, ((event, BEGAN + timedelta(seconds=n / 2)) for n, event in enumerate(events)))


def snapshot(plan: Plan, option: Option | None, name: str = "r0") -> Run:
    """A snapshot for that plan, with the decision."""
    decision = option and Decision(
        option=option, rationale=f"as\n{WORDS}", by=WORDS, at=datetime(2026, 3, 1, tzinfo=UTC)
    )
    tables = tuple(
        TableDescribed(
            schema=each.relation.table.schema,
            table=each.relation.table.name,
            refers=True,
            columns=2,
            indexes=3,
            partial_unique=(),
            checks=(f"ck {each.relation.table.name}",),
            foreign_keys=0,
        )
        for each in plan.relations
    )
    queries = {each.relation.id: f"SELECT count(*) -- {each.relation.table.name}" for each in plan.relations}
    schema = SchemaDescribed(tables=tables, absent=(WORDS,), orphan_queries=queries, checks=(("X1", WORDS),))
    events = (catalog("before", "b"), PlanRecorded(plan=plan), schema, RunFinished(state="done"))
    return run_of(name, (replace(began("docs"), decision=decision, risk="medium"), *events))


def view(plan: Plan, option: Option | None = "B", more: Iterable[Run] = ()) -> DocumentSet:
    """The set, with deployments."""
    return document_set(snapshot(plan, option), RUNBOOK, deployments=[(each, None) for each in more])


def watch(of: str, *more: Event) -> Run:
    """A watch of that run: three samples with a gap between them, and a word that somebody has to act upon."""
    samples = [
        SampleTaken(sample=Sample(at=BEGAN + timedelta(hours=hour), host="h", every_s=3600, method="none", unknown=why))
        for hour, why in ((0, {}), (5, {}), (6, {AWAY: f"gone {WORDS}"}))
    ]
    judged = WatchJudged(word="roll back", was="go", reasons=(WORDS,), command=f"invoke rollback --run {of}")
    return run_of("w1", (began("monitor"), WatchBegan(of=of, for_s=72 * 3600.0), *samples, judged, *more))


def texts(docs: DocumentSet) -> dict[str, str]:
    """The documents by their keys."""
    return {each.page.key: each.text for each in documents(docs)}


@pytest.fixture
def plan() -> Plan:
    """A plan whose first relation stands."""
    return the_plan(hostile_contract())


def test_hostile_words_are_shown_literally(plan: Plan) -> None:
    """Names of tables, constraints, roads, who decided and why; no HTML comes out but the mark of our own."""
    told = texts(view(plan, "B", [run_of("r1", fully_done(plan)), run_of("r2", refused(plan))]))
    assert len(told) == 9
    for key, text in told.items():
        page = MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(text.split("\n", 1)[1])
        assert "<script" not in page, key
        assert set(re.findall(r"<a [^>]*>", page)) <= LINKS, key
        assert "<em>" not in page, key
        assert "<strong>" not in page, key
        shown = page.replace("&quot;", '"').replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        for word in HOSTILE:
            assert word in shown, (key, word)


def test_one_number_changed_changes_it_everywhere(plan: Plan) -> None:
    """A relation that is missing in the snapshot rather than present: no document keeps the former count."""
    first, *rest = plan.relations
    changed = replace(plan, relations=(replace(first, status="missing", reason=""), *rest))
    promised = len(Contract(relations=tuple(each.relation for each in plan.relations)).promised)
    for one, missing in ((plan, promised - 1), (changed, promised)):
        for key, text in texts(view(one)).items():
            sentence = f"promises {promised} relations: {promised - missing} present, {missing} missing, 0 failed"
            assert sentence in text, key
            assert text.count(" present, ") == 1 or key == "index", key
    assert f"Under this option {promised} relations have no key" in texts(view(changed))["validation"]


def test_a_deployment_is_told_alike_wherever_it_is_told(plan: Plan) -> None:
    """Its count stands in the start page, the report and the summary, from the one view of its journal."""
    whole = list(fully_done(plan))
    short = [each for each in whole if getattr(each, "id", "") != plan.statements[-1].id]
    total = sum(each.status != "deferred" for each in plan.relations)
    for events, holding in ((whole, total), (short, total - 1)):
        told = texts(view(plan, "A", [run_of("r1", events)]))
        for key in ("start", "report", "summary"):
            assert f"{holding} of {total} promised relations stood" in told[key], key


def test_equal_views_give_equal_bytes(plan: Plan) -> None:
    """No clock has a say in it."""
    assert texts(view(plan)) == texts(view(plan))


def test_the_watch_of_an_environment_is_told(plan: Plan) -> None:
    """Wherever a deployment is told: period, samples, gaps, the word and the worst; what to type where it is acted."""
    deployed = run_of("r1", fully_done(plan))
    over = WatchEnded(word="roll back", watched_s=3600.0, samples=3, gaps=1, reason="its time is over")
    for events, state in (((), "which is not over yet"), ((over,), "which is over: its time is over")):
        told = texts(_watched(plan, [deployed], watch("r1", *events)))
        for key in ("start", "actions", "report", "summary", "runbook"):
            assert "run r1 was watched from 2026-03-03 22:00 UTC to 2026-03-04 04:00 UTC (1 h 00 min of 72" in told[key]
            assert "3 samples, 1 gap, by watch w1, " + state in told[key]
            assert "at its worst roll back" in told[key]
            assert "not watched yet" not in told[key]
        for key in ("actions", "report", "runbook"):
            assert "invoke rollback --run r1" in told[key]
        for key in ("report", "runbook"):
            assert "nobody looked: 2026-03-03 22:00 to 2026-03-04 03:00 UTC" in told[key]
            assert r" sample: database: gone a\|b" in told[key]
    assert "| watch of run r1 | w1 |" in told["index"]


def test_a_deployment_that_nobody_watched_says_what_to_type(plan: Plan) -> None:
    """Also where an earlier one was watched; one that was refused or walked back needs no watch."""
    for known, gone in (([], 5), ([watch("r0")], 5)):
        told = texts(_watched(plan, [run_of("r1", fully_done(plan))], *known))
        typed = "run r1 is not watched yet: type invoke monitor --for 72h --env staging"
        assert sum(typed in each for each in told.values()) == gone
        assert sum("run r0 was watched" in each for each in told.values()) == (gone if known else 0)
    assert not any("watched" in each for each in texts(_watched(plan, [run_of("r1", refused(plan))])).values())


def _watched(plan: Plan, deployments: Iterable[Run], *watches: Run) -> DocumentSet:
    return document_set(
        snapshot(plan, "A"), RUNBOOK, deployments=[(each, None) for each in deployments], watches=watches
    )


def test_option_b_asks_for_no_deployment(plan: Plan) -> None:
    """Its runbook does not tell anybody to add the keys that it does without."""
    assert "invoke deploy" not in texts(view(plan, "B"))["runbook"]
    assert "invoke deploy" in texts(view(plan, "A"))["runbook"]


def test_a_refused_deployment_says_so(plan: Plan) -> None:
    """The file's name speaks of success, the document does not."""
    told = texts(view(plan, "A", [run_of("r1", list(refused(plan)))]))["summary"]
    assert "staging: refused, verdict NO-GO" in told


def test_snapshots_are_compared_by_what_they_tell(plan: Plan) -> None:
    """Another run of the same state is the same; another decision or catalog is not."""
    one = snapshot(plan, "A")
    assert same_state(one, snapshot(plan, "A", "r9"))
    assert not same_state(one, snapshot(plan, "B"))
    assert not same_state(one, snapshot(replace(plan, digest="0"), "A"))
    assert not same_state(one, run_of("r2", [began("docs")]))


def test_a_snapshot_that_is_not_whole_is_refused() -> None:
    """Nothing is told of a state that is not on record."""
    with pytest.raises(ValueError, match="no whole snapshot"):
        document_set(run_of("r1", [began("docs")]), RUNBOOK)


def test_the_query_of_the_application_is_quoted() -> None:
    """A name cannot end its own quotes."""
    relation = replace(hostile_contract().relations[0], referenced_columns=('i"d', "x"), columns=("a", "b"))
    assert existence_query(relation).endswith('WHERE "i""d" = $1 AND "x" = $2 FOR KEY SHARE;')


def test_a_document_is_replaced_whole_or_not_at_all(plan: Plan, tmp_path: Path) -> None:
    """What cannot be written is one line, and no half of it is left."""
    folder, made = DocumentFolder(path=tmp_path / "deep" / "docs"), documents(view(plan))
    written, gone = folder.write(made)
    assert [each.read_text("utf-8") for each in written] == [each.text for each in made]
    assert (gone, folder.others) == ((), ())
    blocked = DocumentFolder(path=tmp_path / "blocked")
    (blocked.path / made[0].page.file).mkdir(parents=True)
    for act in (blocked.check, lambda: blocked.write(made)):
        with pytest.raises(Refused, match="blocked"):
            act()
    assert [each.name for each in blocked.path.iterdir()] == [made[0].page.file]
