"""Who may say what to a run: persons proved by database role or Slack id, and approvals of a plan on a database."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from orchestrator.core.catalog import digest
from orchestrator.core.host_approval import apart, commands_in, with_commands
from orchestrator.core.inventory import Person
from orchestrator.core.journal import AnswerHeard, CatalogRecorded, VerdictGiven
from orchestrator.core.outcome import Refused
from orchestrator.core.run import Run
from orchestrator.core.verdict import judge

Word = Literal["approve", "deny", "accept", "confirm"]
People = Mapping[str, Person]

SHOWN = 12
"""Digits of a digest in a sentence."""

UNPROVED = "(not proved)"
"""After the name of somebody whose role proves nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a person said, as the ledger keeps it. Only `actor`, `target` and `at` were written by the server.

    `slack` is the Slack id of who clicked, `click` the key of that click: the ledger takes both from a listener alone.
    `run` is empty for an approval that was given before any run; `subject` is the gate of a HOLD, or a manual item, and
    `reasons` are those of the HOLD.
    """

    id: int
    answer: Word
    run: str
    runbook: str
    digest: str
    fingerprint: str
    target: str
    subject: str
    reasons: tuple[str, ...]
    person: str
    proof: str
    note: str
    os_user: str
    host: str
    actor: str
    at: datetime
    slack: str = ""
    click: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What has to be approved: this plan, on this database, with its tables as they were found."""

    run: str
    digest: str
    fingerprint: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """What the answers come to. `void` tells of each approval that does not count, and why."""

    approved: tuple[tuple[str, Said], ...]
    denied: tuple[str, Said] | None
    void: tuple[str, ...]


def persons(role: str, people: People, slack: str = "") -> tuple[str, ...]:
    """Everybody of `[people]` who may be behind a role, or a Slack id: one is a proof, several share it."""
    if slack:
        return tuple(name for name, person in people.items() if person.slack == slack)
    return tuple(name for name, person in people.items() if role in person.roles)


def person_of(role: str, people: People, slack: str = "") -> str:
    """The one person that a role proves, or a click that a listener of that role wrote; empty when there is none."""
    return "" if unproved(role, people, slack) else persons(role, people, slack)[0]


def unproved(role: str, people: People, slack: str = "") -> str | None:
    """Why a role, or a click, proves nobody; None when it proves one person."""
    owners = persons(role, people) if slack else ()
    if owners:
        # Whoever logs in under the listener's role can write a click of anybody.
        return f"the click was written under role {role} of {' and '.join(owners)}: it proves nobody"
    found = persons(role, people, slack)
    who = f"Slack id {slack}" if slack else f"role {role}"
    if len(found) > 1:
        return f"{who} is shared by {' and '.join(found)}: it proves nobody"
    return None if found else f"{who} is nobody of [people]"


def speaks(said: Said, people: People) -> str:
    """The one person that an answer is proved to be of, empty when there is none."""
    return person_of(said.actor, people, said.slack)


def proof_of(said: Said) -> str:
    """What proves who spoke, from what the server let in."""
    return f"slack {said.slack}, written by role {said.actor}" if said.slack else f"role {said.actor}"


def touched(run: Run) -> str:
    """The fingerprint of the tables of the plan, as the run found them, and of the gates that it passed on purpose.

    The commands on hosts that it began with have a digest beside it. Empty before it has looked. Who approved before a
    gate was overridden has not approved that.
    """
    before = run.catalogs.get("before")
    passed = {gate for each in run.overridden for gate in each.gates}
    commands = commands_in(run.started.definition if run.started else ())
    return with_commands(fingerprint_of(before, passed), commands) if before else ""


def fingerprint_of(catalog: CatalogRecorded, overridden: Collection[str] = ()) -> str:
    """The fingerprint over the lines of the tables of the contract, whose digest it is, and over overridden gates."""
    return digest((*catalog.lines, *(f"overridden: {gate}" for gate in sorted(overridden))))


def objection(said: Word, role: str, people: People, *, initiator: str, slack: str = "") -> str | None:
    """Why somebody's answer does not count where approvals are required; `initiator` is the person who began."""
    problem = unproved(role, people, slack)
    if problem:
        return problem
    person = person_of(role, people, slack)
    if not people[person].approver:
        return f"{person} is no approver"
    return f"{person} began the run" if person == initiator and said != "deny" else None


def may_count(said: Said, people: People, *, initiator: str) -> str | None:
    """The objection to an answer that was given."""
    return objection(said.answer, said.actor, people, initiator=initiator, slack=said.slack)


def drifted(said: Said, asked: Asked) -> str | None:
    """Why an approval is void: it was given to another database, another plan, or other tables."""
    if said.target != asked.target:
        return "was given for another database"
    if said.digest != asked.digest:
        return f"was given for another plan ({said.digest[:SHOWN]})"
    (tables, commands), (these, those) = apart(said.fingerprint), apart(asked.fingerprint)
    if tables != these:
        return "was given before a table of the plan changed or a gate was overridden"
    if commands == those:
        return None
    if not commands:
        return "does not cover the commands on hosts: it was given before there were any, or by an older program"
    return "was given for other commands on hosts"


def weigh(answers: Iterable[Said], asked: Asked, people: People, *, initiator: str) -> Weighed:
    """What people said to this run, or to its plan before it. Of several good answers of one person the last counts."""
    last: dict[str, tuple[Said, str | None]] = {}
    for said in answers:
        if said.answer in {"approve", "deny"} and said.run in {"", asked.run}:
            problem = may_count(said, people, initiator=initiator)
            problem = problem or (drifted(said, asked) if said.answer == "approve" else None)
            who = speaks(said, people) or proof_of(said)
            # What does not count takes nothing back.
            if not problem or who not in last or last[who][1]:
                last[who] = (said, problem)
    good = [(name, said) for name, (said, problem) in last.items() if not problem]
    return Weighed(
        approved=tuple(each for each in good if each[1].answer == "approve"),
        denied=next((each for each in good if each[1].answer == "deny"), None),
        void=tuple(f"that of {who} ({problem})" for who, (_, problem) in last.items() if problem),
    )


def named(said: Said, people: People) -> str:
    """Who spoke: the person that the role proves, else what the row says of it, told as that."""
    claimed = said.person.removesuffix(UNPROVED).strip() or said.os_user
    return speaks(said, people) or f"{claimed} {UNPROVED}"


def heard(person: str, said: Said) -> AnswerHeard:
    """An answer as the run takes it into its record: the person is the one that the role proves now."""
    return AnswerHeard(
        answer=said.answer,
        person=person,
        proof=proof_of(said),
        actor=said.actor,
        os_user=said.os_user,
        note=said.note,
        digest=said.digest,
        target=said.target,
        subject=said.subject,
        id=said.id,
        at=f"{said.at:%Y-%m-%d %H:%M:%S} UTC",
    )


def open_hold(run: Run) -> VerdictGiven | None:
    """The HOLD at which a run stands and that somebody may accept: one of findings, by the rules."""
    last = run.verdicts[-1] if run.verdicts else None
    if last is None or last.word != "HOLD":
        return None
    verdict = judge(run.findings.get(last.gate, ()))
    return last if verdict.word == "HOLD" and verdict.reasons == last.reasons else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a run waits to hear: an approval, or the acceptance of a HOLD at gate `subject`."""

    answer: Word
    subject: str = ""
    reasons: tuple[str, ...] = ()


def question(run: Run, *, approvals: int, deny: bool) -> Question:
    """What an answer to this run means. Raises Refused when it waits for none."""
    last = run.verdicts[-1] if run.verdicts else None
    held = run.finished is not None and run.finished.state == "held"
    hold = open_hold(run) if held else None
    if run.started is None or run.started.rolls_back is not None:
        _refuse(f"run {run.id} is a rollback, which needs no approval")
    if deny:
        if run.changed:
            _refuse(f"run {run.id} has changed the target already: invoke rollback walks it back")
        if not held and not approvals:
            _refuse(f"run {run.id} is at work and asks nobody: invoke hold stops it")
        return Question(answer="deny")
    if hold is not None:
        return Question(answer="accept", subject=hold.gate, reasons=hold.reasons)
    if held and last is not None and last.word == "NO-GO":
        _refuse(f"run {run.id}: a NO-GO at {last.gate} cannot be accepted, only mended: {'; '.join(last.reasons)}")
    if not approvals or run.changed:
        _refuse(f"run {run.id} waits for nobody's approval; invoke status tells how it stands")
    if run.plan is None or not touched(run):
        _refuse(f"run {run.id} has no plan yet that could be approved")
    return Question(answer="approve")


def _refuse(message: str) -> None:
    raise Refused(message)


def speaker(said: Word, role: str, people: People, *, approvals: int, initiator: str, os_user: str) -> tuple[str, str]:
    """The person who speaks and the proof of it. Raises Refused for somebody who may not.

    Where no approval is required anybody may accept or deny, and a role that proves nobody is told as what it is.
    """
    if approvals:
        problem = objection(said, role, people, initiator=initiator)
        if problem:
            _refuse(f"{problem}: this answer would not count")
    person = person_of(role, people)
    return (person, f"role {role}") if person else (f"{os_user} {UNPROVED}", f"role {role}")


def may_accept(said: Said, people: People, *, approvals: int, initiator: str) -> str | None:
    """Why the acceptance or denial of a person does not count; None when it does."""
    return may_count(said, people, initiator=initiator) if approvals else None


def accepted(
    answers: Sequence[Said], run: Run, gate: str, reasons: tuple[str, ...], people: People, *, approvals: int
) -> AnswerHeard | None:
    """The acceptance of exactly this HOLD of this run, the last one that counts."""
    for said in reversed(answers):
        fits = said.answer == "accept" and (said.run, said.subject, said.reasons) == (run.id, gate, reasons)
        if fits and may_accept(said, people, approvals=approvals, initiator=initiator_of(run, people)) is None:
            return heard(named(said, people), said)
    return None


def denied(answers: Sequence[Said], run: Run, people: People, *, approvals: int) -> AnswerHeard | None:
    """The denial that ends a run: somebody's last word to it."""
    last: dict[str, Said] = {}
    for said in answers:
        if said.run == run.id and said.answer in {"approve", "deny"}:
            last[speaks(said, people) or said.slack or said.actor] = said
    for said in last.values():
        counts = may_accept(said, people, approvals=approvals, initiator=initiator_of(run, people)) is None
        if said.answer == "deny" and counts:
            return heard(named(said, people), said)
    return None


def initiator_of(run: Run, people: People) -> str:
    """The person who began a run, proved by the role that it began under; empty when the role proves nobody."""
    return person_of(run.started.target.role, people) if run.started else ""


def told(heard: Iterable[AnswerHeard]) -> Iterator[str]:
    """Who said what, when and why, a line each."""
    words = {"approve": "approved", "deny": "denied", "accept": "accepted the HOLD of", "confirm": "confirmed"}
    for each in heard:
        what = f"{words[each.answer]} {each.subject}".strip()
        when = f" at {each.at}" if each.at else ""
        yield f"{what} by {each.person} ({each.proof}){when}: {each.note}"
