"""The screen: a live view on a real terminal, the same stable lines everywhere else."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

import pytest

from orchestrator.adapters.live import LiveView, fitted, printable
from orchestrator.adapters.terminal import Screen, safety
from orchestrator.core.glance import Glance
from orchestrator.core.journal import (
    BlockerTerminated,
    LockAttemptFailed,
    RunFinished,
    StatementDone,
    StepStarted,
    TimesPredicted,
)
from orchestrator.core.prediction import Expected
from orchestrator.core.run import Run, fold
from orchestrator.core.summary import summarize
from tests.journals import BEGAN, began, fully_done, hostile_contract, the_plan
from tests.terminals import terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.core.journal import Event, Task

ESCAPE = "\x1b[2J\x1b]0;owned\x07"


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A usual terminal, whatever the suite runs in."""
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def at_work() -> Iterator[Event]:
    """A run in the middle of apply: predicted, behind a blocker, with a few keys done."""
    for event in fully_done(the_plan(hostile_contract())):
        if isinstance(event, StatementDone) and event.id.startswith("validate"):
            break
        yield event
        if isinstance(event, StepStarted) and event.step == "backup":
            second = Expected(ms=1000, least_ms=500, most_ms=2000)
            steps = {"backup": second, "apply": second, "validate": second}
            yield TimesPredicted(rehearsal="r0", planned=steps, rehearsed={}, way_back=second)
    blocker = f"pid 7 (app, {ESCAPE}idle in transaction)"
    yield LockAttemptFailed(statement="s9", attempt=1, table="t", sqlstate="55P03", blocker=blocker, waited_ms=12.5)


def told(screen: Screen, events: Iterator[Event]) -> Run:
    """The screen listens to these events, as a journal tells them."""
    run = Run("r1")
    for event in events:
        run.see(event, BEGAN)
        screen.listen(event, run)
    return run


@pytest.mark.parametrize("columns", [40, 120])
def test_a_live_view_that_fits_and_is_gone_at_the_end(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """In 40 columns as in 120: nothing is left of it, and the lines above are whole."""
    # A program asks the terminals that it began with; here the suite did.
    monkeypatch.setenv("COLUMNS", str(columns))
    with terminal(columns) as seen, os.fdopen(os.dup(seen.fd), "w", encoding="utf-8") as stream:
        screen = Screen(stream=stream)
        run = told(screen, at_work())
        screen.line("in the middle")
        end = RunFinished(state="held", reason="")
        run.see(end, BEGAN)
        screen.listen(end, run)
        screen.line("the last line")
    left = seen.show()
    frames = "\n".join(seen.frames)
    assert "+preflight" in frames
    assert ">apply" in frames
    assert "blocked by: pid 7 (app" in frames
    assert "longest wait: 12 ms of 100 ms" in frames
    assert "expected end: " in frames
    assert "keys" in frames
    assert max(map(len, seen.frames)) < columns
    assert left.splitlines()[-1] == "the last line"
    assert "expected end" not in left
    assert ">apply" not in left
    assert (seen.hidden, seen.strange) == (False, [])


def test_the_lines_say_what_is_known() -> None:
    """Steps with their state, statement, keys, blocker, longest wait and end: each from the journal."""
    view, run = LiveView(console=Screen(stream=io.StringIO()).console), Run("r1")
    for event in at_work():
        run.see(event, BEGAN)
        view.glance.see(event, run)
    total = len({each.relation for each in run.plan.statements}) if run.plan else 0
    lines = list(view.lines(500, 120))
    assert lines[0] == "+preflight +plan +audit .gates +backup >apply .validate"
    assert lines[1].startswith(f"apply: 0:00:00, 0 of {total} keys [")
    assert lines[2].startswith("statement: ")
    assert lines[3].startswith("blocked by: pid 7 (app, ")
    assert lines[4:] == ["longest wait: 12 ms of 100 ms", f"expected end: {BEGAN:%H:%M}:02 UTC"]
    assert list(view.lines(3000, 120))[-1] == f"expected end: {BEGAN:%H:%M}:04 UTC"


def test_keys_are_counted_whole() -> None:
    """A key counts when each of its statements took effect, also where the first event comes late in the run."""
    events = list(fully_done(the_plan(hostile_contract())))
    early, late, run = Glance(), Glance(), Run("r1")
    half = next(number for number, event in enumerate(events) if isinstance(event, StatementDone)) + 3
    for number, event in enumerate(events):
        run.see(event, BEGAN)
        early.see(event, run)
        if number >= half:
            late.see(event, run)
    assert early.keys == early.keys_done == late.keys_done == len({each.relation for each in run.done.values()})
    assert (early.statement, early.blocker) == ("", "")
    assert early.longest_wait_ms == late.longest_wait_ms


def plain(monkeypatch: pytest.MonkeyPatch, **variables: str) -> bytes:
    """What the run leaves on a terminal with these variables."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with terminal(80) as seen, os.fdopen(os.dup(seen.fd), "w", encoding="utf-8") as stream:
        screen = Screen(stream=stream)
        told(screen, at_work())
        screen.close()
    return bytes(seen.raw)


def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """No control sequence at all."""
    assert b"\x1b" not in plain(monkeypatch, TERM="dumb")


def test_without_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR takes the colours away, and not the view; states are told by marks."""
    raw = plain(monkeypatch, NO_COLOR="1")
    assert b">apply" in raw
    assert not any(b"\x1b[%d" % colour in raw for colour in (*range(31, 38), *range(90, 98)))


@pytest.mark.parametrize("force", [False, True])
def test_a_pipe_gets_the_same_lines_every_time(monkeypatch: pytest.MonkeyPatch, *, force: bool) -> None:
    """Also where a CI system forces colours: no view, nothing that moves the cursor, no clock."""
    if force:
        monkeypatch.setenv("FORCE_COLOR", "1")
    texts = []
    for _ in range(2):
        stream = io.StringIO()
        told(Screen(stream=stream), at_work())
        texts.append(stream.getvalue())
    assert texts[0] == texts[1]
    assert "attempt 1" in texts[0]
    assert "\x1b[2J" not in texts[0]
    assert "\x1b[1A" not in texts[0]
    assert "\x1b[?25" not in texts[0]


def test_a_locale_without_unicode() -> None:
    """What it cannot show is told as an escape; nothing is lost and nothing fails."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", errors="strict")
    Screen(stream=stream).line("Straße\u2026 \N{NO-BREAK SPACE}x")
    stream.flush()
    assert raw.getvalue() == b"Stra\\xdfe\\u2026  x\n"


def test_a_name_does_not_steer_the_terminal() -> None:
    """Sequences that clear a screen or set its title are shown, not obeyed; so are signs that turn the text around."""
    assert printable(ESCAPE, "utf-8") == "\\x1b[2J\\x1b]0;owned\\x07"
    assert printable("a\u202eb\nc", "utf-8") == "a\\u202eb c"
    assert printable("größer 木", "utf-8") == "größer 木"


def test_lines_are_cut_by_columns() -> None:
    """Signs of East Asia take two."""
    assert fitted("abcdef", 6) == "abcdef"
    assert fitted("abcdefg", 6) == "abc..."
    assert fitted("木木木木", 7) == "木木..."


@pytest.mark.parametrize(
    ("task", "last", "words"),
    [
        ("audit", RunFinished(state="done"), "the audit is on record"),
        ("validate", RunFinished(state="done"), "no row is left of it"),
        ("rollback", RunFinished(state="done"), "the catalog is what it was before"),
        ("rollback", RunFinished(state="refused", reason="busy"), "nothing was walked back yet"),
        ("deploy", RunFinished(state="refused", reason="busy"), "nothing was changed"),
    ],
)
def test_the_last_words_tell_what_the_task_did(task: Task, last: RunFinished, words: str) -> None:
    """A task that only records says so, and a way back that was refused restored nothing."""
    assert safety(summarize(fold("r1", [(began(task), BEGAN), (last, BEGAN)]))).endswith(words)


def test_a_session_that_the_policy_ended_is_a_change() -> None:
    """No statement took effect, and somebody lost a connection all the same."""
    events = (
        began("deploy"),
        BlockerTerminated(statement="add:x", application="report", blocker="pid 7"),
        RunFinished(state="held"),
    )
    told = safety(summarize(fold("r1", [(each, BEGAN) for each in events])))
    assert told == "nothing was changed, but 1 session was ended"
