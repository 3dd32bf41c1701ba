"""`invoke notify`: whether Slack would take our messages, and the delivery of those that are waiting."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from orchestrator.adapters.inventory import load_environment
from orchestrator.adapters.outbox import RunOutbox
from orchestrator.adapters.slack import NotDelivered, RefusedForGood, SlackChannel
from orchestrator.adapters.slack_words import test_message
from orchestrator.adapters.terminal import Screen
from orchestrator.app.answer import Answer
from orchestrator.app.request import Request
from orchestrator.app.telling import left_over, sender_for, token_of
from orchestrator.core.clicks import button_of
from orchestrator.core.inventory import Environment, Slack
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import EXIT_DONE, EXIT_FAILED, Refused

if TYPE_CHECKING:
    from orchestrator.adapters.sending import Sender

FLUSH_WITHIN_S: Final = 120.0
"""How long `--flush` goes on; somebody waits for it."""

TRIES_S: Final = 2.0
"""Between attempts of `--flush` while Slack does not answer."""

SCOPES: Final[tuple[tuple[frozenset[str], str], ...]] = (
    (frozenset({"chat:write"}), "nothing can be posted"),
    (frozenset({"files:write"}), "the report is not uploaded"),
    (
        frozenset({"channels:history", "groups:history"}),
        "after a lost answer a message may come twice: delivery is at least once",
    ),
)
"""What the token should be allowed to do, any one of each, and what is missing without it."""


def notify(request: Request, *, test: bool, flush: bool) -> Answer:
    """`invoke notify`. Raises Refused."""
    if test == flush:
        message = "notify --test sends a test message, notify --flush delivers what is waiting: give one of them"
        raise Refused(message)
    environment = load_environment(request.inventory, request.env)
    if environment.slack is None:
        message = f"{environment.name}: its inventory file has no [slack], so nobody is told"
        raise Refused(message)
    screen = Screen(json=request.json)
    if test:
        return _test(environment, environment.slack, screen)
    return _flush(request, environment, environment.slack, screen)


def _test(environment: Environment, settings: Slack, screen: Screen) -> Answer:
    """Each thing that has to be there, in the order in which it is missed."""
    told: dict[str, object] = {"environment": environment.name, "channel": settings.channel, "scopes": []}
    missing: list[str] = []
    problem = ""
    try:
        channel = SlackChannel(settings=settings, token=token_of(settings))
        scopes = channel.scopes()
        told["scopes"] = sorted(scopes)
        # A token that says nothing of its scopes is found out by trying.
        missing += _lacking(scopes) if scopes else []
        place = channel.post(test_message(environment.name, missing=missing), name=f"test/{time.time_ns()}", run="")
        told |= {"channel_id": place.channel, "ts": place.ts}
        with suppress(NotDelivered):
            missing += _reads(channel, missing)
    except (Refused, RefusedForGood, NotDelivered) as error:
        problem = _explained(error, settings)
    told |= {"sent": not problem, "missing": missing, "problem": problem}
    for line in missing:
        screen.line(line, status="  note")
    screen.line(problem or f"a test message stands in {settings.channel}", status="FAIL" if problem else "done")
    return Answer(document=told, exit_code=EXIT_FAILED if problem else EXIT_DONE)


def _lacking(scopes: frozenset[str]) -> list[str]:
    return [f"no scope {' or '.join(sorted(any_of))}: {so}" for any_of, so in SCOPES if not any_of & scopes]


def _reads(channel: SlackChannel, missing: list[str]) -> list[str]:
    """Whether the channel can be found and read back as a run does it; a private one has scopes of its own."""
    fresh = SlackChannel(settings=channel.settings, token=channel.token)
    try:
        fresh.beside(datetime.now(UTC) - timedelta(minutes=1))
    except RefusedForGood as error:
        told = f"the channel cannot be read ({error}): {SCOPES[-1][1]}"
        return [] if any("history" in each for each in missing) else [told]
    if fresh.id:
        return []
    return [f'the channel is not found by its name: write channel = "{channel.id}", or {SCOPES[-1][1]}']


EXPLAINED: Final[Mapping[str, str]] = {
    "invalid_auth": "the token is not valid: copy the Bot User OAuth Token (xoxb-…) of the app",
    "not_authed": "the token is empty",
    "token_revoked": "the token was revoked: install the app again and copy its new token",
    "token_expired": "the token has expired: install the app again and copy its new token",
    "account_inactive": "the token belongs to a person or an app that is gone",
    "channel_not_found": "this app sees no such channel: check slack.channel; to a private one, invite the app",
    "not_in_channel": "the app is not in the channel: type /invite @app there",
    "is_archived": "the channel is archived",
    "missing_scope": "the token lacks a scope: add it under OAuth & Permissions, and install the app again",
}


def _explained(error: Exception, settings: Slack) -> str:
    """One line: what Slack said, and what to do about it."""
    if isinstance(error, RefusedForGood):
        return f"{settings.channel}: {error}: {EXPLAINED.get(error.error, 'Slack refuses')}"
    if isinstance(error, NotDelivered):
        return f"Slack does not answer: {error}"
    return str(error)


def _flush(request: Request, environment: Environment, settings: Slack, screen: Screen) -> Answer:
    """Deliver what waits on this machine, run after run, oldest first."""
    token, count = token_of(settings), [0]

    def told(*_: object) -> None:
        count[0] += 1

    boxes = [box for box in left_over(request.runs, environment.name) if box.claim()]
    asks = partial(button_of, environment.name, approvals=environment.policy.approvals)
    sender = sender_for(settings, token, told, runs=request.runs, asks=asks)
    problem = ""
    try:
        for box in boxes:
            box.read()
            _deliver(sender, box, until=time.monotonic() + FLUSH_WITHIN_S)
    except (RefusedForGood, NotDelivered) as error:
        problem = _explained(error, settings)
    finally:
        for box in boxes:
            box.release()
    waiting = sum(len(box.outbox.waiting) for box in boxes)
    said = f"{counted(count[0], 'message')} of {counted(len(boxes), 'run')} delivered"
    screen.line(f"{said}, {counted(waiting, 'waits', 'wait')}", status="FAIL" if problem else "done")
    if problem:
        screen.line(f"  {problem}")
    document = {"environment": environment.name, "runs": [box.run.id for box in boxes], "delivered": count[0]}
    document |= {"waiting": waiting, "problem": problem}
    return Answer(document=document, exit_code=EXIT_FAILED if problem else EXIT_DONE)


def _deliver(sender: Sender, box: RunOutbox, *, until: float) -> None:
    """All of one run. Raises RefusedForGood, and NotDelivered when Slack is away or asks for more patience."""
    while not box.done:
        try:
            pause = sender.once(box) or 0.0
        except NotDelivered as error:
            pause = TRIES_S if error.retry_after_s is None else error.retry_after_s
            if error.away or time.monotonic() + pause > until:
                raise
        time.sleep(pause)
