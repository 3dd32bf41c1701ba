"""The log: what stands in a line, and what never does."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.adapters import redaction
from orchestrator.adapters.inventory import resolve
from orchestrator.adapters.log import ALLOWED, LOG, RunLog, without_secrets
from orchestrator.adapters.redaction import hidden, hide, redacted
from orchestrator.adapters.runs import RunFolder
from orchestrator.core.inventory import Secret, Source
from orchestrator.core.journal import EVENT_TYPES, StatementFailed, StepFinished, StepStarted, VerdictGiven
from orchestrator.core.run import Run

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.core.journal import Event


@pytest.fixture(autouse=True)
def _no_other_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test with the secrets that it names."""
    monkeypatch.setattr(redaction, "_known", redaction._Known())


def logged(folder: Path, *events: Event) -> list[dict[str, Any]]:
    """The lines that these events leave."""
    runs = RunFolder(root=folder, run="r1")
    log = RunLog(runs)
    for event in events:
        log.listen(event, Run("r1"))
    return [json.loads(line) for line in runs.file(LOG).read_text("utf-8").splitlines()]


def test_run_and_step_are_bound(tmp_path: Path) -> None:
    """From the beginning of a step to its end; what stands between steps has none."""
    lines = logged(
        tmp_path,
        StepStarted(step="gates"),
        VerdictGiven(gate="gates", word="GO"),
        StepFinished(step="gates", state="done", note="open", duration_ms=1.5),
        VerdictGiven(gate="end", word="GO"),
    )
    assert [line["event"] for line in lines] == ["step_started", "verdict_given", "step_finished", "verdict_given"]
    assert {line["run"] for line in lines} == {"r1"}
    assert [line.get("step") for line in lines] == ["gates", "gates", "gates", None]
    assert all(line["timestamp"].endswith("Z") for line in lines)


def test_every_allowed_field_is_one_of_its_event() -> None:
    """A field that was renamed would be missing in silence."""
    for kind, names in ALLOWED.items():
        assert set(names) <= {field.name for field in fields(EVENT_TYPES[kind])}, kind


def test_only_what_is_allowed_for_the_kind(tmp_path: Path) -> None:
    """The server's message may hold a row's values."""
    failed = StatementFailed(id="s1", relation="a", sqlstate="23503", message="Key (x)=(7)", because_of_orphans=True)
    (line,) = logged(tmp_path, failed)
    assert set(line) == {"timestamp", "run", "event", "id", "relation", "sqlstate", "because_of_orphans"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Newer:
    """An event of a kind that nobody allowed anything of."""

    note: str


def test_a_new_kind_tells_only_that_it_happened(tmp_path: Path) -> None:
    """Fields are allowed one by one, so a forgotten line hides too much and never too little."""
    (line,) = logged(tmp_path, Newer(note="hush"))  # type: ignore[arg-type]
    assert (line["event"], set(line)) == ("newer", {"timestamp", "run", "event"})


def test_a_secret_is_stars_by_its_type() -> None:
    """Whatever the field is called."""
    assert without_secrets(None, "", {"note": Secret("hush-hush-hush")}) == {"note": "***"}


def test_a_line_loses_the_secrets_in_use_and_passwords_of_urls(tmp_path: Path) -> None:
    """Registered when they are looked up; quotes and lines in them do not hide them."""
    hidden(Secret('xoxb-"quoted\\token'))
    note = 'refused for xoxb-"quoted\\token at https://me:other@host/x?password=third&y'
    (line,) = logged(tmp_path, StepFinished(step="gates", state="done", note=note, duration_ms=1))
    assert line["note"] == "refused for *** at https://me:***@host/x?password=***&y"


PARTS = {
    "url": ("postgresql://me:s%20ecr%26et@host/app", "s ecr&et"),
    "words": ("host=h user=me password='s ecr&et'", "s ecr&et"),
    "token": ("xoxb-1-2", "xoxb-1-2"),
    "address": ("https://hooks.example/T0/secret", "https://hooks.example/T0/secret"),
}


@pytest.mark.parametrize(("value", "secret"), PARTS.values(), ids=PARTS)
def test_what_is_resolved_is_looked_for(monkeypatch: pytest.MonkeyPatch, value: str, secret: str) -> None:
    """Of a connection string the password alone, decoded and as it stands there: host and user may be told."""
    monkeypatch.setenv("VALUE_OF_IT", value)
    assert resolve(Source(env="VALUE_OF_IT"), place="x").reveal() == value
    assert redacted(f"({secret}) on host of me") == "(***) on host of me"
    assert secret not in redacted(value)
    assert "s%20ecr" not in redacted(value)


def test_a_short_one_is_found_as_a_word() -> None:
    """A password `app` must not tell itself by stars in `application`; a long one is found anywhere."""
    hide("app")
    hide("correct-horse-battery")
    assert redacted("application app, app=app") == "application ***, ***=***"
    assert redacted("xcorrect-horse-batteryx") == "x***x"
    hide("7")
    assert redacted("7 of 45 keys") == "7 of 45 keys"


def test_a_url_without_a_password_stays() -> None:
    """Nothing to hide, nothing changed; an empty password is none."""
    hidden(Secret("postgresql://me@host:5432/app"))
    hide("")
    for text in ("postgresql://me@host:5432/app", "see https://example.org/a:b@c", "12:30 me@host"):
        assert redacted(text) == text
