"""Slack by hand: hostile names stay literal, answers are told apart, `notify --test` says what is missing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from orchestrator.adapters.slack import NotDelivered, RefusedForGood, SlackChannel
from orchestrator.adapters.slack_words import Said, alert, escaped, line, run_message
from orchestrator.app import notifying
from orchestrator.app.answer import Answer
from orchestrator.app.request import Request
from orchestrator.core.inventory import Secret, Slack, Source
from orchestrator.core.journal import Event, RunFinished, StatementFailed, VerdictGiven
from orchestrator.core.messages import Message, Topic, standing
from orchestrator.core.outcome import Refused
from orchestrator.core.run import Run, fold
from orchestrator.core.summary import Summary, summarize
from tests.journals import BEGAN, HOSTILE, began
from tests.slack_server import CHANNEL, TOKEN, Fault, SlackServer

NAMES = (*HOSTILE, "*bold* _it_ ~no~", "<!here> <@U1> <#C1>", ":tada:", "<https://evil.example|click>", "@channel")


@pytest.fixture(scope="module")
def workspace() -> Iterator[SlackServer]:
    """One workspace for all tests."""
    with SlackServer() as server:
        yield server


@pytest.fixture
def slack(workspace: SlackServer) -> SlackServer:
    """The workspace, empty again."""
    for each in (workspace.messages, workspace.calls, workspace.faults, workspace.revoked):
        each.clear()
    workspace.scopes = "chat:write,files:write,channels:read,channels:history"
    return workspace


def channel(slack: SlackServer, *, token: str = TOKEN, name: str = "#releases") -> SlackChannel:
    """The channel as a run has it."""
    settings = Slack(channel=name, token=Source(env="X"), base_url=slack.base_url)
    return SlackChannel(settings=settings, token=Secret(token))


def told(event: Event, topic: Topic) -> Message:
    """A message for an event."""
    return Message(id="r1/2/abc/line", part="line", topic=topic, event=event, at=BEGAN, seq=2)


def a_run(*events: Event) -> tuple[Run, Summary]:
    """A run and its view."""
    run = fold("r1", ((each, BEGAN + timedelta(seconds=n)) for n, each in enumerate((began(), *events))))
    return run, summarize(run)


def literal(said: Said) -> str:
    """What is shown as it is: the texts within rich text, where nothing means anything."""
    blocks = [each.to_dict() for each in said.blocks]
    return "".join(
        part["text"]
        for block in blocks
        if block["type"] == "rich_text"
        for section in block["elements"]
        for part in section["elements"]
        if part["type"] == "text"
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_name_shows_up_as_it_is(name: str) -> None:
    """In each kind of message; the fallback text holds it with Slack's control characters escaped."""
    run, summary = a_run(RunFinished(state="failed", reason=f"because of {name}"))
    failed = StatementFailed(id=name, relation="r", sqlstate="1", message=name, because_of_orphans=False)
    said = (
        run_message(summary, standing(run, BEGAN), report=""),
        line(told(failed, "failed"), summary),
        line(told(VerdictGiven(gate="g", word="NO-GO", reasons=(name,)), "gate"), summary),
        alert(told(RunFinished(state="failed", reason=name), "finished"), summary, link="https://x.example/1"),
    )
    for each in said:
        assert name in literal(each)
        assert escaped(name) in each.text
        mentions = [block for block in each.blocks if block.to_dict()["type"] != "rich_text"]
        assert name not in json.dumps([block.to_dict() for block in mentions])
    assert "<!here>" not in "".join(each.text for each in said[:3])
    assert said[3].text.count("<!here>") == 1


def test_a_long_message_is_cut_where_slack_would_refuse_it() -> None:
    """A reason of 10 000 characters."""
    run, summary = a_run(RunFinished(state="failed", reason="x" * 10_000))
    assert len(run_message(summary, standing(run, BEGAN), report="").text) < 3000


def test_many_reasons_are_counted_not_dropped_in_silence() -> None:
    """Of 40 reasons some are shown, and the rest is a number."""
    _, summary = a_run()
    reasons = tuple(f"reason {number}" for number in range(40))
    shown = literal(line(told(VerdictGiven(gate="g", word="NO-GO", reasons=reasons), "gate"), summary))
    assert "and 35 more, in the report" in shown


@pytest.mark.parametrize(
    ("fault", "uncertain", "retry_after_s"),
    [
        (Fault(status=429, retry_after=7), False, 7.0),
        (Fault(status=500), True, None),
        (Fault(status=503, taken=True), True, None),
        (Fault(drop=True), True, None),
        (Fault(error="internal_error"), True, None),
        (Fault(error="service_unavailable"), True, None),
    ],
)
def test_trouble_that_passes(slack: SlackServer, fault: Fault, uncertain: bool, retry_after_s: float | None) -> None:
    """What is known to have changed nothing is told from what may have."""
    slack.fail("chat.postMessage", fault)
    with pytest.raises(NotDelivered) as raised:
        channel(slack).post(Said(text="x", blocks=[]), name="n", run="r")
    assert (raised.value.uncertain, raised.value.retry_after_s) == (uncertain, retry_after_s)


@pytest.mark.parametrize(
    ("error", "whole"),
    [("invalid_auth", True), ("missing_scope", True), ("no_such_word", True), ("msg_too_long", False)],
)
def test_trouble_that_stays(slack: SlackServer, error: str, whole: bool) -> None:
    """Slack's word is kept, and whether it means everything or this message alone."""
    slack.fail("chat.postMessage", Fault(error=error))
    with pytest.raises(RefusedForGood) as raised:
        channel(slack).post(Said(text="x", blocks=[]), name="n", run="r")
    assert (raised.value.error, raised.value.whole) == (error, whole)


def test_nobody_listens() -> None:
    """Nothing was sent, and nobody is there."""
    with SlackServer() as gone:
        here = channel(gone)
    with pytest.raises(NotDelivered) as raised:
        here.post(Said(text="x", blocks=[]), name="n", run="r")
    assert (raised.value.uncertain, raised.value.away) == (False, True)


def test_a_token_that_cannot_be_a_header_is_never_quoted(slack: SlackServer) -> None:
    """The library would quote the whole header, token and all."""
    with pytest.raises(RefusedForGood) as raised:
        channel(slack, token="xoxb-one\nxoxb-two").scopes()
    assert "xoxb" not in str(raised.value)


def test_the_channel_is_found_by_its_name_and_read_page_by_page(slack: SlackServer) -> None:
    """Also what stands some pages back, and before the first answer told the channel's id."""
    for number in range(12):
        channel(slack).post(Said(text="x", blocks=[]), name=f"n{number}", run="r")
    found = channel(slack).beside(BEGAN)
    assert {f"n{number}" for number in range(12)} <= found.keys()
    assert {each.channel for each in found.values()} == {CHANNEL}


def tried(tmp_path: Any, slack: SlackServer, **more: str) -> Answer:
    """`invoke notify --test`."""
    settings = {"channel": "#releases", "base_url": slack.base_url} | more
    lines = "\n".join(f'{key} = "{value}"' for key, value in settings.items())
    (tmp_path / "staging.toml").write_text(
        '[environment]\nname = "staging"\nkind = "staging"\n[database]\nurl = "postgresql://localhost/x"\n'
        f'[slack]\n{lines}\ntoken = {{ env = "THE_TOKEN" }}\n',
        encoding="utf-8",
    )
    request = Request(env="staging", inventory=tmp_path, runs=tmp_path / "runs")
    return notifying.notify(request, test=True, flush=False)


def test_notify_test_sends_a_message(tmp_path: Any, slack: SlackServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """With everything there, nothing is missing; the token is told nowhere."""
    monkeypatch.setenv("THE_TOKEN", TOKEN)
    answer = tried(tmp_path, slack)
    assert (answer.exit_code, answer.document["missing"], answer.document["channel_id"]) == (0, [], CHANNEL)
    assert len(slack.messages) == 1
    assert TOKEN not in json.dumps(answer.document)


@pytest.mark.parametrize(
    ("token", "scopes", "more", "told"),
    [
        (None, None, {}, "THE_TOKEN"),
        ("xoxb-other", None, {}, "invalid_auth"),
        (TOKEN, "files:write,channels:history", {}, "missing_scope"),
        (TOKEN, None, {"channel": "#nowhere"}, "channel_not_found"),
    ],
)
def test_notify_test_says_what_is_missing(
    tmp_path: Any,
    slack: SlackServer,
    monkeypatch: pytest.MonkeyPatch,
    token: str | None,
    scopes: str | None,
    more: dict[str, str],
    told: str,
) -> None:
    """Token, scope or channel: exit 1 and one line."""
    monkeypatch.delenv("THE_TOKEN", raising=False)
    if token:
        monkeypatch.setenv("THE_TOKEN", token)
    slack.scopes = scopes or slack.scopes
    answer = tried(tmp_path, slack, **more)
    assert answer.exit_code == 1
    assert told in answer.document["problem"]


def test_notify_test_warns_of_at_least_once(tmp_path: Any, slack: SlackServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that may not read the channel delivers, and a lost answer may bring a message twice."""
    monkeypatch.setenv("THE_TOKEN", TOKEN)
    slack.scopes = "chat:write"
    answer = tried(tmp_path, slack)
    assert answer.exit_code == 0
    assert "at least once" in " ".join(answer.document["missing"])
    assert "files:write" in " ".join(answer.document["missing"])


def test_notify_wants_one_thing_and_somebody_to_tell(tmp_path: Any, slack: SlackServer) -> None:
    """Neither, both, or an environment without `[slack]` is refused in one line."""
    request = Request(env="staging", inventory=tmp_path)
    for both in (True, False):
        with pytest.raises(Refused, match="give one of them"):
            notifying.notify(request, test=both, flush=both)
    (tmp_path / "staging.toml").write_text(
        '[environment]\nname = "staging"\nkind = "staging"\n[database]\nurl = "postgresql://localhost/x"\n', "utf-8"
    )
    with pytest.raises(Refused, match="no \\[slack\\]"):
        notifying.notify(request, test=True, flush=False)
