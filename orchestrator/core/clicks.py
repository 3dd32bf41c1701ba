"""What a click on a button in Slack means: an answer to a held run, one that was given already, or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from orchestrator.core.approval import People, Question, Said, initiator_of, objection, question, speaks, touched
from orchestrator.core.catalog import digest
from orchestrator.core.outcome import Refused
from orchestrator.core.run import Run

Pressed = Literal["approve", "deny"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """What a button asks about, as the message said it: the run, its plan's digest, and the state it was shown in.

    `fingerprint` is that of the plan's tables and overridden gates; `hold` that of the HOLD to accept, else empty.
    """

    environment: str
    run: str
    digest: str
    fingerprint: str
    hold: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Click:
    """Somebody's click, as Slack tells it: the Slack id is Slack's word, the button is ours."""

    pressed: Pressed
    button: Button
    slack: str
    channel: str
    message: str
    at: str

    @property
    def key(self) -> str:
        """The same for every delivery of one click, and for no other click."""
        return f"{self.channel}/{self.message}/{self.slack}/{self.pressed}/{self.at}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The click is an answer of this person, to be journalled."""

    person: str
    asked: Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """The person has said exactly that already: nothing is journalled."""

    person: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Declined:
    """The click counts for nothing; the reason is for the person who clicked."""

    reason: str


Meaning = Counts | Again | Declined


def button_of(environment: str, run: Run, *, approvals: int) -> Button | None:
    """The button for what a held run asks now; None when there is nothing to approve or accept."""
    try:
        asked = question(run, approvals=approvals, deny=False)
    except Refused:
        return None
    return _button(environment, run, asked)


def _button(environment: str, run: Run, asked: Question) -> Button:
    hold = digest((asked.subject, *asked.reasons)) if asked.answer == "accept" else ""
    plan = run.plan.digest if run.plan else ""
    return Button(environment=environment, run=run.id, digest=plan, fingerprint=touched(run), hold=hold)


def meaning(
    click: Click,
    *,
    environment: str,
    runs: Mapping[str, Run],
    given: Sequence[Said],
    people: People,
    approvals: int,
    listener: str,
) -> Meaning:
    """What a click means. `runs` are the open ones, `given` the answers to its run so far, `listener` our own role."""
    if click.button.environment != environment:
        return Declined(
            reason=f"this is a button of {click.button.environment}, and the listener of {environment} got it:"
            " each environment needs a Slack app of its own"
        )
    delivered = next((said for said in given if said.click == click.key), None)
    if delivered is not None:
        # Before anything else: the run may have gone on since the first delivery.
        return Again(person=speaks(delivered, people) or delivered.person)
    run = runs.get(click.button.run)
    if run is None:
        return Declined(reason=f"run {click.button.run} is not open any more, or not known in {environment}")
    problem = objection(
        click.pressed, listener, people, initiator=initiator_of(run, people), slack=click.slack
    )  # Also where no approval is required: everybody in a channel can click.
    if problem:
        return Declined(reason=f"{problem}: this click does not count")
    return _to_held(click, run, given, people, approvals=approvals)


def _to_held(click: Click, run: Run, given: Sequence[Said], people: People, *, approvals: int) -> Meaning:
    """The click of somebody who may answer."""
    if run.finished is None or run.finished.state != "held":
        return Declined(reason=f"run {run.id} is not held any more: it is at work, or was interrupted")
    try:
        asked = question(run, approvals=approvals, deny=click.pressed == "deny")
    except Refused as refused:
        return Declined(reason=str(refused))
    if asked.answer != "deny" and _button(click.button.environment, run, asked) != click.button:
        return Declined(reason=f"what run {run.id} asks has changed since this message: look at the newest one")
    (person,) = (name for name, each in people.items() if each.slack == click.slack)
    last = next((said for said in reversed(given) if speaks(said, people) == person), None)
    return Again(person=person) if last is not None and _says(last, asked, run) else Counts(person=person, asked=asked)


def _says(said: Said, asked: Question, run: Run) -> bool:
    """Whether an answer is this one, to what is asked now."""
    same = (said.answer, said.subject, said.reasons) == (asked.answer, asked.subject, asked.reasons)
    plan = run.plan.digest if run.plan else ""
    return same and (asked.answer == "deny" or (said.digest, said.fingerprint) == (plan, touched(run)))
