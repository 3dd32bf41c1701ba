"""`invoke approve`: what people say to a run, written under the role that proves who they are."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace

from orchestrator.adapters import ledger_answers
from orchestrator.adapters.documents import nearest
from orchestrator.adapters.postgres import Connection
from orchestrator.adapters.processes import host_name, os_user
from orchestrator.app.answer import Answer
from orchestrator.app.opening import open_site
from orchestrator.app.request import Request
from orchestrator.app.site import Site
from orchestrator.core import approval
from orchestrator.core.approval import SHOWN, Question
from orchestrator.core.checklist import item_key, manual_items
from orchestrator.core.host_approval import commands_in, names, with_commands
from orchestrator.core.outcome import EXIT_DONE, Refused
from orchestrator.core.resumption import command_lines
from orchestrator.core.run import Run
from orchestrator.core.snapshot import recorded

LONGEST_NOTE = 2000
"""In characters; the ledger takes no longer one."""

DONE = {"approve": "approved", "deny": "denied", "accept": "accepted", "confirm": "confirmed"}


def approve(request: Request, *, run: str | None, deny: bool, plan: str | None, note: str | None) -> Answer:
    """Approve or deny the run that waits, accept its HOLD, or approve a plan before any run. Raises Refused."""
    said = _note(note)
    if plan is not None and (run is not None or deny):
        message = "--plan approves a plan before any run: neither --run nor --deny goes with it"
        raise Refused(message)
    with ExitStack() as stack:
        site = _speaking(open_site(request, stack, read_only=False))
        with site.server.session("approve") as connection:
            if plan is not None:
                return _approve_plan(site, connection, plan, said)
            found = _waiting(site, connection, run)
            approvals = site.environment.policy.approvals
            asked = approval.question(found, approvals=approvals, deny=deny)
            return _answer(site, connection, found, asked, said)


def confirm(request: Request, *, item: str | None, by: str | None, note: str | None, run: str | None) -> Answer:
    """Confirm a manual item of the checklist. Raises Refused."""
    said = _note(note)
    if not (item and item.strip() and by and by.strip()):
        message = "a manual item is confirmed with --item ITEM --by NAME"
        raise Refused(message)
    with ExitStack() as stack:
        site = _speaking(open_site(request, stack, read_only=False))
        item = _known(site, item)
        people = site.environment.people
        if people and by not in people:
            message = f"--by {by}: nobody of [people]; known: {', '.join(people)}"
            raise Refused(message)
        with site.server.session("approve") as connection:
            role = _role(connection)
            proved = approval.person_of(role, people) == by
            proof = f"role {role}" if proved else f"told, not proved; role {role}"
            told = {"run": run or "", "subject": item, "person": by, "proof": proof, "note": said}
            return _give(site, connection, Question(answer="confirm", subject=item), told)


def _speaking(site: Site) -> Site:
    """Without `database.role`: an approver may not take it on, and who speaks is the role that logged in."""
    return replace(site, server=replace(site.server, role=None))


def _known(site: Site, item: str) -> str:
    """The item as the checklist knows it, by its title or its short form. Raises Refused."""
    runbook, decision = site.folder.runbook, site.folder.decision
    roads = [road for option, road in runbook.roads.items() if decision is None or option == decision.option]
    known = {key for road in roads for key in manual_items(road)}
    if item_key(item) in known:
        return item_key(item)
    hint = nearest(item_key(item), tuple(known)) if known else "its checklist has none"
    message = f"--item {item}: no manual item of runbook {runbook.name}; {hint}"
    raise Refused(message)


def _note(note: str | None) -> str:
    if note is None or not note.strip():
        message = 'an answer says why: --note "why"'
        raise Refused(message)
    if len(note.strip()) > LONGEST_NOTE:
        message = f"--note has {len(note.strip())} characters, and at most {LONGEST_NOTE} are kept"
        raise Refused(message)
    return note.strip()


def _role(connection: Connection) -> str:
    row = connection.execute("select session_user as role").fetchone() or {}
    return str(row["role"])


def _waiting(site: Site, connection: Connection, run: str | None) -> Run:
    """The open run of that name, or the one that is held. Raises Refused."""
    env = site.environment.name
    found = ledger_answers.open_runs(connection, env)
    if run is not None:
        chosen = [each for each in found if each.id == run]
        if not chosen:
            message = f"{env}: run {run} is not open, and only an open run hears an answer; a NO-GO cannot be accepted"
            raise Refused(message)
        return chosen[0]
    held = [each for each in found if each.finished is not None]
    if len(held) != 1:
        names = f"{len(held)} runs wait ({', '.join(each.id for each in held)})" if held else "no run waits"
        message = f"{env}: {names}: name one with --run ID, or a plan with --plan DIGEST before there is a run"
        raise Refused(message)
    return held[0]


def _answer(site: Site, connection: Connection, run: Run, asked: Question, note: str) -> Answer:
    people = site.environment.people
    person, proof = approval.speaker(
        asked.answer,
        _role(connection),
        people,
        approvals=site.environment.policy.approvals,
        initiator=approval.initiator_of(run, people),
        os_user=os_user(),
    )
    told = {
        "run": run.id,
        "digest": run.plan.digest if run.plan else "",
        "fingerprint": approval.touched(run),
        "subject": asked.subject,
        "person": person,
        "proof": proof,
        "note": note,
    }
    _tell_commands(site, commands_in(run.started.definition if run.started else ()), asked)
    for each in run.overridden:
        site.screen.line(f"passed {', '.join(each.gates)}, says {each.by}: {each.reason}", status="overridden")
    if asked.answer == "deny" and run.applying:
        # Nothing is asked between two statements, and a run that has changed something is not denied any more.
        warned = "the run has begun to apply: it hears this only when it stops before its first change"
        site.screen.line(f"{warned}; {site.server.command('hold')} asks it to stop", status="note")
    return _give(site, connection, asked, told)


def _approve_plan(site: Site, connection: Connection, digest: str, note: str) -> Answer:
    """Approve what `invoke plan` shows now, for the first run that carries it out. Raises Refused."""
    catalog = site.catalog("approve").catalog()
    made = site.make_plan(catalog)
    commands = command_lines(site.folder.on_hosts)
    wanted = with_commands(made.digest, commands)
    if not names(digest, wanted):
        beside = " (commands on hosts after the dot)" if commands else ""
        message = f"--plan {digest}: the plan of now has digest {wanted}{beside}, see invoke plan"
        raise Refused(message)
    people, role = site.environment.people, _role(connection)
    approvals = site.environment.policy.approvals
    if not approvals:
        message = f"{site.environment.name}: policy.approvals is 0, so no plan has to be approved"
        raise Refused(message)
    person, proof = approval.speaker("approve", role, people, approvals=approvals, initiator="", os_user=os_user())
    fingerprint = with_commands(approval.fingerprint_of(recorded(catalog, "before", site.contract)), commands)
    told = {"digest": made.digest, "fingerprint": fingerprint, "person": person, "proof": proof, "note": note}
    _tell_commands(site, commands, Question(answer="approve"))
    return _give(site, connection, Question(answer="approve"), told)


def _tell_commands(site: Site, lines: tuple[str, ...], asked: Question) -> None:
    """What an approval covers besides the plan."""
    for line in lines if asked.answer == "approve" else ():
        site.screen.line(f"  {line}")


def _give(site: Site, connection: Connection, asked: Question, told: Mapping[str, str]) -> Answer:
    runbook = site.folder.runbook.name
    written = ledger_answers.give(
        connection,
        os_user=os_user(),
        host=host_name(),
        reasons=asked.reasons,
        answer=asked.answer,
        runbook=runbook,
        **told,
    )
    document = {
        "environment": site.environment.name,
        "answer": asked.answer,
        "run": told.get("run", ""),
        "subject": asked.subject,
        "reasons": list(asked.reasons),
        "person": told["person"],
        "proof": told["proof"],
        "note": told["note"],
        "digest": told.get("digest", ""),
        **written,
    }
    what = asked.subject or (f"run {told['run']}" if told.get("run") else f"plan {told['digest'][:SHOWN]}")
    site.screen.line(f"{what} by {told['person']} ({told['proof']})", status=DONE[asked.answer])
    for reason in asked.reasons:
        site.screen.line(f"  {reason}")
    if told.get("digest"):
        site.screen.line(f"  plan {told['digest']} on {written['target']}")
    if asked.answer != "confirm" and told.get("run"):
        site.screen.line(f"  next: {site.server.resume} hears it")
    return Answer(document=document, exit_code=EXIT_DONE)
