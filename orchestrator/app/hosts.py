"""`invoke hosts`: a look at every host of an environment, judged; needs no database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from orchestrator.adapters.hosts import HostEyes
from orchestrator.adapters.inventory import load_environment
from orchestrator.adapters.terminal import Screen
from orchestrator.app.answer import Answer
from orchestrator.app.request import Request
from orchestrator.core.answers import findings_document
from orchestrator.core.hosts import findings
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import EXIT_DONE, EXIT_FAILED, Refused
from orchestrator.core.verdict import Word, judge

EXITS: Mapping[Word, int] = {"GO": EXIT_DONE, "HOLD": EXIT_FAILED, "NO-GO": EXIT_FAILED}


def look(request: Request) -> Answer:
    """What each host is like now, and what it comes to; exit 1 when anything speaks against them. Raises Refused."""
    environment = load_environment(request.inventory, request.env)
    if not environment.host:
        message = f"{environment.name}: its inventory has no [[host]]"
        raise Refused(message)
    limits = environment.policy.hosts
    seen = HostEyes(limits=limits).look(environment.host)
    found = tuple(findings(environment.host, seen, limits))
    screen = Screen(json=request.json)
    for each in found:
        words = {"pass": "ok", "fail": "FAIL", "unknown": "UNKNOWN"}
        screen.line(f"{each.id} ({each.severity}): {each.observed}", status=f"{words[each.status]:<8}")
        if each.remedy:
            screen.line(f"         do: {each.remedy}")
    verdict = judge(found)
    screen.line(f"{counted(len(environment.host), 'host')}, {counted(len(found), 'check')}", status=verdict.word)
    document = findings_document(verdict, found) | {
        "environment": environment.name,
        "hosts": [asdict(each) for each in seen.values()],
    }
    return Answer(document=document, exit_code=EXITS[verdict.word])
