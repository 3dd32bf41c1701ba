"""A deployment told in Slack: one message, one thread, each event once and in order, whatever Slack does meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from orchestrator.app import notifying
from orchestrator.app.answer import Answer
from tests.acceptance.desk import Desk
from tests.slack_server import CHANNEL, TOKEN, Message, SlackServer


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    """A workspace of Slack."""
    with SlackServer() as server:
        yield server


@pytest.fixture
def told(desk: Desk, master: str, slack: SlackServer) -> str:
    """The URL of staging, whose deployments are told in that workspace."""
    desk.environment("staging", master, more=settings(slack))
    desk.variable("SLACK_BOT_TOKEN", TOKEN)
    return master


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
    answer = desk.deploy()
    assert answer.document["state"] == "done"
    head = in_order(slack)
    assert slack.tops() == [head]
    assert words(head).startswith("GO: deploy master_tables on staging")
    assert "45 of 45 promised keys stand" in words(head)
    thread = slack.thread(head["ts"])
    assert names(thread) == expected(desk, answer)
    (report,) = [each for each in thread if each["files"]]
    assert slack.uploads[report["files"][0]["id"]].decode() == desk.file(answer, "report.html")
    (first, *_) = desk.events(answer, "message_delivered")
    assert (first["part"], first["channel"], first["ts"]) == ("run", CHANNEL, head["ts"])
    assert not list(desk.runs.glob("*/slack.waiting"))
    assert TOKEN not in desk.written()
    assert flushed(desk).document["runs"] == []
