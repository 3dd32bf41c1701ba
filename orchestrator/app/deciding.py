"""`invoke decide`: which road a runbook takes, as a file that opens production and a record for people."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict, replace
from datetime import UTC, datetime

from orchestrator.adapters.decisions import Written, decisions, write_decisions
from orchestrator.adapters.identity import identify
from orchestrator.adapters.runbooks import RunbookFolder, load_runbook
from orchestrator.adapters.templates import render
from orchestrator.adapters.terminal import Screen
from orchestrator.app.answer import Answer
from orchestrator.app.opening import open_site
from orchestrator.app.own_templates import for_request
from orchestrator.app.request import Request
from orchestrator.app.site import RUNBOOKS
from orchestrator.core.answers import Document
from orchestrator.core.decision import Numbers, risk
from orchestrator.core.outcome import EXIT_DONE, Refused
from orchestrator.core.summary import version_text
from orchestrator.core.timeline import Option, Road, Runbook


def decide(request: Request, *, option: str | None, rationale: str | None, by: str | None) -> Answer:
    """Record the decision; a former one is kept as superseded. Raises Refused, BadDocument.

    With an environment the record also tells what its catalog has; nothing there is changed.
    """
    folder = load_runbook(request.runbook, root=RUNBOOKS, with_decision=False, with_roads=True)
    if not folder.runbook.needs_decision:
        message = f"{folder.runbook.name}: nothing to decide: its contract has no foreign key, so there is one road"
        raise Refused(message)
    label, road = chosen_road(folder.runbook, option)
    newest = Written(
        option=label,
        rationale=_said("rationale", rationale),
        by=_said("by", by),
        at=datetime.now(UTC).replace(microsecond=0),
        road=road.title,
    )
    every = (newest, *decisions(folder.path))
    numbers = _numbers(request, folder)
    with for_request(request, folder) as own:
        record = render(
            "decision.md.j2",
            runbook=folder.runbook,
            road=road,
            newest=newest,
            former=every[1:],
            numbers=numbers,
            before=_before(folder.runbook, every[1:]),
        )
    toml, markdown = write_decisions(folder.path, every, record)
    screen = Screen(json=request.json)
    screen.line(f"option {label}: {road.title}, by {newest.by}", status="done")
    screen.line(f"  risk: {road.risk}, {road.days[0]} to {road.days[1]} business days")
    screen.line(f"  {toml}")
    screen.line(f"  {markdown}")
    document = _document(folder.runbook, every, numbers) | {"decision": str(toml), "record": str(markdown)}
    document["template_errors"] = own.told
    return Answer(document=document, exit_code=EXIT_DONE)


def chosen_road(runbook: Runbook, option: str | None) -> tuple[Option, Road]:
    """The road of a label. Raises Refused with what every label means."""
    for label, road in runbook.roads.items():
        if label == option:
            return label, road
    known = ", ".join(f"{label} ({road.title})" for label, road in runbook.roads.items())
    message = f"--option {option}: known: {known}" if option else f"which road? --option {known}"
    raise Refused(message)


def _said(name: str, text: str | None) -> str:
    """Words that say something and can be kept. Raises Refused."""
    if text is None or not text.strip():
        message = f'a decision needs --{name}: --rationale "why" --by NAME'
        raise Refused(message)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        message = f"--{name}: is no text in UTF-8"
        raise Refused(message) from error
    return text.strip()


def _numbers(request: Request, folder: RunbookFolder) -> Numbers:
    """Counts of the contract, and of the environment's catalog where one is named."""
    contract = folder.contract
    promised, every = len(contract.promised), len(contract.relations)
    counts = Numbers(promised=promised, deferred=every - promised, tables=len(contract.tables))
    if not request.env:
        return counts
    with ExitStack() as stack:
        site = open_site(request, stack, read_only=True, folder=folder)
        with site.server.session("decide") as connection:
            identity = identify(connection)
        plan = site.make_plan(site.catalog("decide").catalog())
    return replace(
        counts,
        environment=site.environment.name,
        database=identity.database,
        server_version=version_text(identity.server_version),
        statuses=dict(Counter(each.status for each in plan.relations)),
    )


def _before(runbook: Runbook, former: tuple[Written, ...]) -> str:
    """The risk as it was until now; a label that meant something else then tells nothing."""
    known = former and former[0].option in runbook.roads
    return risk(runbook, former[0].decision if known else None)


def _document(runbook: Runbook, every: tuple[Written, ...], numbers: Numbers) -> Document:
    newest = every[0]
    road = runbook.roads[newest.option]
    return {
        "runbook": runbook.name,
        **{key: getattr(newest, key) for key in ("option", "rationale", "by")},
        "at": newest.at.isoformat(),
        "title": road.title,
        "risk": road.risk,
        "days": list(road.days),
        "superseded": [asdict(each) | {"at": each.at.isoformat()} for each in every[1:]],
        "context": asdict(numbers),
    }
