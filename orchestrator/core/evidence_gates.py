"""The gates of evidence: what a rehearsal and a run of staging prove for this very plan."""

from __future__ import annotations

from datetime import timedelta

from orchestrator.core.drift_lines import differences, without_keys
from orchestrator.core.evidence import Evidence
from orchestrator.core.gate_facts import Facts
from orchestrator.core.gates import SHOWN, Judged, is_closed, is_open, no_source, rehearse, unread
from orchestrator.core.nouns import counted

CLOCKS_DIFFER = timedelta(days=1)
"""How far the clock of another machine may be ahead; evidence of a later time would never be too old."""


def judge_rehearsal(facts: Facts) -> Judged:
    """Evidence for this very plan: GO, young enough, every way back proved."""
    rehearsed = facts.rehearsed
    if rehearsed is None:
        return no_source(facts)
    if rehearsed.file_problem:
        remedy = "bring the file as the rehearsal left it, or leave --evidence out"
        return Judged(status="unknown", observed=rehearsed.file_problem, remedy=remedy)
    evidence, digest = facts.evidence, facts.plan.digest[:12]
    if evidence is not None:
        against = "; ".join(_against(facts, evidence))
        text = f"run {evidence.run} for plan {digest}, {facts.hours_old(evidence):.1f} h old, {evidence.verdict}"
        return is_closed(f"{text}: {against}", rehearse(facts)) if against else is_open(text)
    if rehearsed.evidence:
        last = max(rehearsed.evidence, key=lambda each: each.finished)
        text = f"evidence of run {last.run} is for another plan ({last.digest[:12]}), this plan is {digest}"
        return is_closed(text, rehearse(facts))
    if rehearsed.problem:
        text = f"the ledger of {rehearsed.environment} could not be read: {rehearsed.problem}"
        return unread(facts, text)
    return is_closed(f"no rehearsal of {facts.runbook.name} is on record in {rehearsed.environment}", rehearse(facts))


def _against(facts: Facts, evidence: Evidence) -> list[str]:
    """What speaks against evidence for the right plan."""
    limit, found = facts.environment.policy.evidence_max_age_hours, []
    flaw = facts.rehearsed.flaws.get(evidence.run) if facts.rehearsed else None
    if flaw:
        found.append(f"its chain in the ledger is not whole ({flaw})")
    if evidence.finished > facts.now + CLOCKS_DIFFER:
        found.append(f"it says that it was made {facts.told(evidence.finished)}, and it is {facts.told(facts.now)}")
    if facts.hours_old(evidence) > limit:
        found.append(f"too old, policy.evidence_max_age_hours is {limit}")
    if evidence.verdict != "GO":
        found.append(f"its verdict is {evidence.verdict} ({', '.join(evidence.reasons) or 'no reason on record'})")
    unproved = [each.boundary for each in evidence.ways_back if not each.proved]
    if unproved:
        found.append(f"the way back is not proved after {', '.join(unproved)}")
    # An empty way back proves nothing of a plan that has statements: the copy never was anything but as it was.
    if facts.plan.statements and not evidence.walked:
        found.append("no way back was walked")
    return found


def judge_staging_run(facts: Facts) -> Judged:
    """A GO deployment of this plan; it does not age, because its evidence is renewed by a rehearsal."""
    rehearsed = facts.rehearsed
    if rehearsed is None:
        return no_source(facts)
    found, digest = facts.go_run, facts.plan.digest[:12]
    flaw = rehearsed.flaws.get(found.run) if found else None
    if found is not None and flaw is not None:
        remedy = f"invoke verify --env {rehearsed.environment}{facts.where} --run {found.run}"
        return is_closed(f"the chain of run {found.run} of {rehearsed.environment} is not whole: {flaw}", remedy)
    if found is not None:
        return is_open(f"run {found.run} of {rehearsed.environment} carried plan {digest} out, GO")
    remedy = f"invoke deploy --env {rehearsed.environment}{facts.narrowed}{facts.where}"
    if rehearsed.problem:
        text = f"the ledger of {rehearsed.environment} could not be read: {rehearsed.problem}"
        return unread(facts, text)
    others = f"; the last GO run there ({rehearsed.runs[-1].run}) carried another plan out" if rehearsed.runs else ""
    return is_closed(f"no GO run of {rehearsed.environment} for plan {digest}{others}", remedy)


def judge_same_version(facts: Facts) -> Judged:
    """Rehearsed and tried on the major version that production has."""
    if facts.rehearsed is None:
        return no_source(facts)
    mine, evidence, run = _major(facts.server_version), facts.evidence, facts.go_run
    seen = {f"rehearsal {evidence.run}": _major(evidence.scratch_version)} if evidence else {}
    seen |= {f"run {run.run}": _major(run.server_version)} if run else {}
    if not seen:
        return is_open("no evidence to compare with (other gates say so)")
    other = [f"{what} was on PostgreSQL {major}" for what, major in seen.items() if major != mine]
    if other:
        return is_closed(
            f"{'; '.join(other)}; this is {mine}", f"{rehearse(facts)} with a scratch server of version {mine}"
        )
    return is_open(f"PostgreSQL {mine} everywhere")


def _major(version: int) -> int:
    """`160003` and `16` are 16."""
    return version // 10000 if version >= 10000 else version  # noqa: PLR2004  as PostgreSQL numbers its versions


def judge_same_tables(facts: Facts) -> Judged:
    """What the plan touches is in production as in staging, but for the keys themselves."""
    rehearsed = facts.rehearsed
    if rehearsed is None:
        return no_source(facts)
    theirs, there = rehearsed.lines, rehearsed.environment
    brought = facts.go_run.brought if facts.go_run else frozenset()
    if theirs is None and rehearsed.file and facts.evidence is not None:
        theirs, there = without_keys(facts.evidence.lines, facts.plan), f"the rehearsal in {rehearsed.file}"
    if theirs is None:
        text = f"the catalog of {rehearsed.environment} could not be read: {rehearsed.problem}"
        return unread(facts, text)
    mine = (line for line in facts.mine if line not in brought)
    others = (line for line in theirs if line not in brought)
    found = differences(mine, others, here=facts.environment.name, there=there)
    if not found:
        return is_open(f"{counted(len(facts.mine), 'line')} of the touched tables, as in {there}")
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    remedy = f"bring both to the same state (invoke drift {facts.options} --against {rehearsed.environment} shows all)"
    return is_closed(f"{counted(len(found), 'difference')}: {'; '.join(found[:SHOWN])}{more}", remedy)
