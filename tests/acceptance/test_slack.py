"""A deployment told in Slack: one message, one thread, each event once and in order, whatever Slack does meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from orchestrator.adapters import delivery, points, sending
from orchestrator.adapters.slack_buttons import read_button
from orchestrator.app import notifying, resuming
from orchestrator.app.answer import Answer
from tests.acceptance.desk import ORPHANS, ROOT, Desk, contract_lines, execute, insert_base_rows
from tests.slack_server import CHANNEL, TOKEN, Fault, Message, SlackServer

CHILD = """
import os, signal, sys, threading
from orchestrator.adapters import points, sending
sending.EVERY_S = 0.05
seen = 0
def visit(point):
    global seen
    seen += point == "slack:sent"
    if seen == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
    if point == "effect:committed":
        threading.Event().wait(60)
points.visit(visit)
from invoke.main import program
program.run(["invoke", *sys.argv[2:]])
"""
"""A deployment that dies when its n-th message stands in Slack, before it can say so, and after its first statement."""

GUILTY = ("punchlist_items", "workflow_stage_actions")
"""The tables of the small contract: one relation of each is what ORPHANS breaks."""


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    """A workspace of Slack."""
    with SlackServer() as server:
        yield server


@pytest.fixture
def told(desk: Desk, master: str, slack: SlackServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of staging, whose deployments are told in that workspace; trouble is tried again soon."""
    monkeypatch.setattr(delivery, "FIRST_S", 0.02)
    monkeypatch.setattr(sending, "EVERY_S", 0.05)
    monkeypatch.setattr(notifying, "TRIES_S", 0.02)
    desk.environment("staging", master, more=settings(slack))
    desk.variable("SLACK_BOT_TOKEN", TOKEN)
    return master


def runbook(desk: Desk) -> str:
    """A small contract, so that a deployment takes a moment."""
    found = [each for each in contract_lines() if any(f'table = "{name}"' in each for name in GUILTY)]
    return desk.runbook("\n".join(each for each in found if "deferred" not in each))


def deploy(desk: Desk, **options: Any) -> Answer:
    """`invoke deploy` of the small contract."""
    return desk.deploy(runbook=runbook(desk), **options)


def resume(desk: Desk) -> Answer:
    """`invoke resume` of the small contract."""
    return desk.resume(runbook=runbook(desk))


def settings(slack: SlackServer) -> str:
    """The inventory's part for it."""
    return f"""
    [slack]
    channel = "#releases"
    token = {{ env = "SLACK_BOT_TOKEN" }}
    base_url = "{slack.base_url}"
    """


def words(message: Message) -> str:
    """What a message shows: the texts of its blocks."""
    return "".join(_texts(message["blocks"]))


def _texts(part: Any) -> Iterator[str]:
    if isinstance(part, list):
        for each in part:
            yield from _texts(each)
    elif isinstance(part, dict):
        if isinstance(part.get("text"), str):
            yield part["text"]
        else:
            yield from _texts(part.get("text") or part.get("elements"))


def names(messages: list[Message]) -> list[str]:
    """The names that the messages have in their metadata; a file has none."""
    return [each["metadata"]["event_payload"]["id"] for each in messages if each["metadata"]]


def _threads() -> Iterator[threading.Thread]:
    yield from (each for each in threading.enumerate() if each.is_alive())


def _child(desk: Desk, at: int, *line: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, which dies when its message number `at` stands in Slack."""
    own = ("--inventory", str(desk.inventory), "--runs", str(desk.runs))
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-c", CHILD, str(at), *line, *own],
        cwd=ROOT,
        env={**kept, "HOME": str(desk.folder), **desk.variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def in_order(slack: SlackServer) -> Message:
    """The one message of the run; its thread has each name once, in the order of the events."""
    head = slack.tops()[0]
    found = names(slack.thread(head["ts"]))
    numbers = [int(each.split("/")[1]) for each in found]
    assert numbers == sorted(numbers)
    assert len(set(found)) == len(found)
    assert [each.split("/")[0] for each in found] == [found[0].split("/")[0]] * len(found)
    return head


def flushed(desk: Desk) -> Answer:
    """`invoke notify --flush`."""
    return notifying.notify(desk.request(), test=False, flush=True)


def expected(desk: Desk, answer: Answer) -> list[str]:
    """What the thread must tell: each gate of the journal, and the end."""
    kinds = {"verdict_given", "run_finished", "notification_queued", "run_resumed", "statement_failed"}
    told = [each for each in desk.entries(answer) if each.kind in kinds]
    topics = [(each, json.loads(each.data).get("topic")) for each in told]
    return [
        f"{each.run}/{each.seq}/{each.hash[:12]}/line"
        for each, topic in topics
        if topic in {None, "blocked", "orphans", "rollback"}
    ]


def test_a_deployment_is_one_message_with_its_thread_and_its_report(desk: Desk, told: str, slack: SlackServer) -> None:
    """The message ends as the run ended; the record of it is in the journal; nothing is left waiting."""
    answer = deploy(desk)
    assert answer.document["state"] == "done"
    head = in_order(slack)
    assert slack.tops() == [head]
    assert words(head).startswith("GO: deploy custom on staging")
    assert " promised keys stand" in words(head)
    thread = slack.thread(head["ts"])
    assert names(thread) == expected(desk, answer)
    (report,) = [each for each in thread if each["files"]]
    assert slack.uploads[report["files"][0]["id"]].decode() == desk.file(answer, "report.html")
    (first, *_) = desk.events(answer, "message_delivered")
    assert (first["part"], first["channel"], first["ts"]) == ("run", CHANNEL, head["ts"])
    assert not list(desk.runs.glob("*/slack.waiting"))
    assert TOKEN not in desk.written()
    assert flushed(desk).document["runs"] == []


def whole(desk: Desk, answer: Answer, slack: SlackServer) -> Message:
    """Everything has arrived: the run's message in its last state, the thread once and in order, and one report."""
    head = in_order(slack)
    thread = slack.thread(head["ts"])
    assert names(thread) == expected(desk, answer)
    assert len([each for each in thread if each["files"]]) == 1
    assert "elapsed" in words(head)
    assert not list(desk.runs.glob("*/slack.waiting"))
    return head


def test_bursts_of_trouble_change_nothing(desk: Desk, told: str, slack: SlackServer) -> None:
    """429 is waited for, and what got no clear answer is looked up before it is sent again."""
    lost = (Fault(status=500, taken=True), Fault(drop=True, taken=True), Fault(status=503), Fault(drop=True))
    slack.fail("chat.postMessage", *(Fault(status=429, retry_after=0.05),) * 4, *lost)
    slack.fail("chat.update", Fault(status=500, taken=True), Fault(status=429, retry_after=0.05))
    slack.fail("conversations.replies", Fault(status=500))
    slack.fail("files.completeUploadExternal", Fault(drop=True, taken=True))
    answer = deploy(desk)
    assert answer.document["state"] == "done"
    whole(desk, answer, slack)
    assert slack.tops() == [in_order(slack)]


def test_without_the_right_to_read_delivery_is_at_least_once(desk: Desk, told: str, slack: SlackServer) -> None:
    """The message whose answer was lost comes a second time; everything else once."""
    slack.scopes = "chat:write,files:write"
    slack.fail("chat.postMessage", Fault(status=500, taken=True))
    answer = deploy(desk)
    assert answer.document["state"] == "done"
    first, second = slack.tops()
    assert names([first]) == names([second])
    assert names(slack.thread(second["ts"])) == expected(desk, answer)


def test_slack_away_for_half_of_the_run(desk: Desk, told: str, slack: SlackServer) -> None:
    """Nobody listens until the backup is over; then everything arrives, in order."""
    slack.close()
    points.visit(lambda point: slack.open() if point == "ledger:installed" else None)
    try:
        answer = deploy(desk)
    finally:
        points.visit(lambda _: None)
    assert answer.document["state"] == "done"
    whole(desk, answer, slack)


def test_slack_that_never_answers_gets_its_messages_with_the_next_flush(
    desk: Desk, told: str, slack: SlackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run ends without waiting for it; a message that was taken without an answer does not come twice."""
    monkeypatch.setattr(delivery, "END_WITHIN_S", 0.3)
    slack.fail("chat.postMessage", Fault(hang=True, taken=True))
    answer = deploy(desk)
    assert answer.document["state"] == "done"
    assert len(slack.messages) == 1
    hanging = next(thread for thread in _threads() if thread.name == "slack")
    slack.released.set()
    hanging.join(10)
    assert desk.status()["state"] == "done"
    assert flushed(desk).exit_code == 0
    whole(desk, answer, slack)
    assert len(slack.tops()) == 1


def test_a_revoked_token_is_told_once_and_the_rest_comes_later(
    desk: Desk, told: str, slack: SlackServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line on the terminal, one in the report, no request more; with a new token flush brings everything."""
    slack.fail("chat.postMessage", *(Fault(status=429, retry_after=0.01),))

    def revoke(point: str) -> None:
        if point == "ledger:installed":
            slack.wait_for(lambda: slack.count("chat.postMessage") > 2)
            slack.revoked.add(TOKEN)

    points.visit(revoke)
    try:
        answer = deploy(desk)
    finally:
        points.visit(lambda _: None)
    assert answer.document["state"] == "done"
    assert capsys.readouterr().out.count("token_revoked") == 1
    assert [each["reason"] for each in desk.events(answer, "delivery_given_up")] == ["Slack: token_revoked"]
    assert desk.file(answer, "report.html").count("token_revoked") == 1
    assert desk.report(answer)["not_delivered"] == ["Slack: token_revoked"]
    asked = len(slack.calls)
    assert flushed(desk).exit_code == 1
    assert len(slack.calls) == asked + 1
    slack.revoked.clear()
    assert flushed(desk).exit_code == 0
    whole(desk, answer, slack)


@pytest.mark.parametrize("where", ["the same machine", "another machine"])
def test_killed_between_message_and_record_it_goes_on_in_the_same_message(
    desk: Desk, told: str, slack: SlackServer, where: str
) -> None:
    """SIGKILL when the n-th message stands there; the resumed run sends none twice, also without the first's files."""
    killed = _child(desk, 3, "deploy", "--env", "staging", "--runbook", runbook(desk))
    assert killed.returncode == -signal.SIGKILL
    assert len(slack.messages) == 3
    if where == "another machine":
        shutil.rmtree(desk.runs)
    answer = resume(desk)
    assert answer.document["state"] == "done"
    head = whole(desk, answer, slack)
    assert slack.tops() == [head]


def held(desk: Desk) -> None:
    """A deployment that somebody asked to hold after its first statement."""
    asked: list[str] = []

    def hold(point: str) -> None:
        if point == "effect:committed" and not asked:
            asked.append(point)
            resuming.hold(desk.request(runbook=runbook(desk)), run=None, reason="load")

    points.visit(hold)
    try:
        assert deploy(desk).document["state"] == "held"
    finally:
        points.visit(lambda _: None)


def test_a_held_run_calls_somebody_and_goes_on_in_its_thread(desk: Desk, told: str, slack: SlackServer) -> None:
    """A changed message notifies nobody: the alert does, with a link to it. Resumed, the run has one message still."""
    held(desk)
    head, alert = slack.tops()
    assert "<!here>" in json.dumps(alert["blocks"])
    assert f"p{head['ts'].replace('.', '')}" in json.dumps(alert["blocks"])
    assert words(head).startswith("HOLD: deploy custom on staging")
    assert resume(desk).document["state"] == "done"
    assert slack.tops() == [head, alert]
    assert words(head).startswith("GO: deploy custom on staging")
    in_order(slack)


def test_a_run_that_is_closed_by_hand_says_so(desk: Desk, told: str, slack: SlackServer) -> None:
    """Its message must not say for ever that it can go on."""
    held(desk)
    desk.resume(runbook=runbook(desk), abandon="not today")
    head, _ = slack.tops()
    assert words(head).split("\n")[1].startswith("Abandoned")
    assert "not today" in words([each for each in slack.thread(head["ts"]) if each["blocks"]][-1])
    in_order(slack)


def test_orphans_are_told_and_a_report_keeps_their_keys_at_home(desk: Desk, told: str, slack: SlackServer) -> None:
    """The relations with their counts stand in the thread; the sampled keys leave this machine nowhere."""
    insert_base_rows(told)
    execute(told, *ORPHANS)
    answer = deploy(desk)
    assert answer.document["state"] == "refused"
    head = in_order(slack)
    lines = "\n".join(words(each) for each in slack.thread(head["ts"]) if each["blocks"])
    assert "punchlist_items(punchlist_id)" in lines
    assert "gone1" in desk.file(answer, "report.html")
    sent = json.dumps(slack.messages) + "".join(each.decode() for each in slack.uploads.values())
    assert "gone1" not in sent
    assert "punchlist_items" in sent


def test_a_dry_run_sends_nothing(desk: Desk, told: str, slack: SlackServer) -> None:
    """Not a message (law 6)."""
    assert deploy(desk, dry_run=True).document["state"] == "done"
    assert slack.calls == []


def test_a_run_without_slack_loads_none_of_it(desk: Desk) -> None:
    """Everything that deploys is loaded, and Slack's library is not."""
    code = "import sys, orchestrator.app.runs, orchestrator.app.resuming; print('slack_sdk' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"


def test_a_missing_token_is_told_and_the_run_goes_on(desk: Desk, told: str, slack: SlackServer) -> None:
    """It is no reason not to deploy; the report says that nobody was told."""
    desk.variable("SLACK_BOT_TOKEN", None)
    answer = deploy(desk)
    assert answer.document["state"] == "done"
    assert "SLACK_BOT_TOKEN" in "".join(desk.report(answer)["not_delivered"])
    assert slack.calls == []


def test_a_held_run_asks_with_buttons(desk: Desk, told: str, slack: SlackServer) -> None:
    """Where an app token is set, the alert has Approve and Deny for exactly this run; without one, only the command."""
    for app_token in ("", 'app_token = { env = "SLACK_APP_TOKEN" }'):
        people = '[people]\nAyu = { roles = ["postgres"] }\nBudi = { roles = ["budi"], approver = true }'
        desk.environment("staging", told, policy="approvals = 1", more=f"{settings(slack)}{app_token}\n{people}")
        answer = deploy(desk)
        assert answer.document["state"] == "held"
        (alert,) = (
            each for each in slack.tops() if answer.document["run"] in words(each) and "<!here>" in each["text"]
        )
        values = [each["value"] for part in alert["blocks"] if part["type"] == "actions" for each in part["elements"]]
        assert len(values) == (2 if app_token else 0)
        assert all(read_button(each).run == answer.document["run"] for each in values)
        assert desk.resume(runbook=runbook(desk), abandon="next").document["state"] == "abandoned"
