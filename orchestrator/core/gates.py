"""The gates of production: each is a record that the run demands, what was found, and what resolves it.

A gate that may be overridden is one about which people may know better than a record does: evidence and the hour. None
of the others is: an hour's work resolves a decision or a marker, and no reason makes staging production.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.core.checks import Finding, FindingStatus
from orchestrator.core.drift_lines import differences, without_keys
from orchestrator.core.evidence import Evidence
from orchestrator.core.gate_facts import Facts, expected_ms

SHOWN = 5
"""How many differences of a catalog a finding names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What a gate makes of the facts."""

    status: FindingStatus
    observed: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One gate. `timed` gates may close while a run is at work, and are asked before every later step."""

    name: str
    title: str
    expected: str
    judge: Callable[[Facts], Judged]
    overridable: bool = False
    timed: bool = False

    @property
    def id(self) -> str:
        """The id of its finding."""
        return f"gate.{self.name}"

    def find(self, facts: Facts) -> Finding:
        """The finding; all gates are critical, so that what stays unknown is closed."""
        judged = self.judge(facts)
        remedy = "" if judged.status == "pass" else self._remedy(judged.remedy, facts)
        return Finding(
            id=self.id,
            title=self.title,
            severity="critical",
            status=judged.status,
            observed=judged.observed,
            expected=self.expected,
            remedy=remedy,
        )

    def _remedy(self, remedy: str, facts: Facts) -> str:
        if not self.overridable:
            return remedy
        return f'{remedy}; or invoke {facts.task} {facts.options} --override {self.name} --override-reason "why"'


def _pass(observed: str) -> Judged:
    return Judged(status="pass", observed=observed)


def _fail(observed: str, remedy: str) -> Judged:
    return Judged(status="fail", observed=observed, remedy=remedy)


def judge_decision(facts: Facts) -> Judged:
    """A runbook with several roads needs one decided for, and one that leads to applying the keys."""
    decision = facts.decision
    name = facts.where if "--runbook" in facts.where else ""
    remedy = f'invoke decide --option A --rationale "why" --by NAME{name}'
    if not facts.runbook.needs_decision:
        return _pass("a contract of one road, nothing to decide")
    if decision is None:
        return _fail("no decision is recorded for this runbook: risk medium (undecided)", remedy)
    road = facts.runbook.roads.get(decision.option)
    if road is None:
        known = ", ".join(facts.runbook.roads)
        return _fail(f"decided for option {decision.option}, which this runbook does not have ({known})", remedy)
    text = f"option {decision.option} ({road.title}) by {decision.by} on {decision.at:%Y-%m-%d}"
    if not any(item.step == "apply" for phase in road.phases for item in phase.items):
        return _fail(f"{text}: this road adds no keys", remedy)
    return _pass(text)


def _rehearse(facts: Facts) -> str:
    source = facts.rehearsed.environment if facts.rehearsed else "staging"
    return f"invoke rehearse --env {source} --like {facts.environment.name}{facts.where}"


def _no_source(facts: Facts) -> Judged | None:
    """What is said where no environment shows evidence, or it could not be read."""
    rehearsed = facts.rehearsed
    if rehearsed is None:
        remedy = (
            f'set evidence_from = "staging" under [environment] in {facts.environment.name}.toml, or give --evidence'
            " FILE"
        )
        return Judged(status="unknown", observed="the inventory names no environment.evidence_from", remedy=remedy)
    return None


def judge_rehearsal(facts: Facts) -> Judged:
    """Evidence for this very plan: GO, young enough, every way back proved."""
    rehearsed = facts.rehearsed
    if rehearsed is None:
        return _no_source(facts) or _pass("")
    evidence, digest = facts.evidence, facts.plan.digest[:12]
    if evidence is not None:
        against = "; ".join(_against(facts, evidence))
        text = f"run {evidence.run} for plan {digest}, {facts.hours_old(evidence):.1f} h old, {evidence.verdict}"
        return _fail(f"{text}: {against}", _rehearse(facts)) if against else _pass(text)
    if rehearsed.evidence:
        last = max(rehearsed.evidence, key=lambda each: each.finished)
        text = f"evidence of run {last.run} is for another plan ({last.digest[:12]}), this plan is {digest}"
        return _fail(text, _rehearse(facts))
    if rehearsed.problem:
        text = f"the ledger of {rehearsed.environment} could not be read: {rehearsed.problem}"
        return Judged(status="unknown", observed=text, remedy=f"make {rehearsed.environment} reachable from here")
    return _fail(f"no rehearsal of {facts.runbook.name} is on record in {rehearsed.environment}", _rehearse(facts))


def _against(facts: Facts, evidence: Evidence) -> list[str]:
    """What speaks against evidence for the right plan."""
    limit, found = facts.environment.policy.evidence_max_age_hours, []
    flaw = facts.rehearsed.flaws.get(evidence.run) if facts.rehearsed else None
    if flaw:
        found.append(f"its chain in the ledger is not whole ({flaw})")
    if facts.hours_old(evidence) > limit:
        found.append(f"too old, policy.evidence_max_age_hours is {limit}")
    if evidence.verdict != "GO":
        found.append(f"its verdict is {evidence.verdict} ({', '.join(evidence.reasons) or 'no reason on record'})")
    unproved = [each.boundary for each in evidence.ways_back if not each.proved]
    if unproved:
        found.append(f"the way back is not proved after {', '.join(unproved)}")
    if facts.plan.statements and not evidence.ways_back:
        found.append("no way back was walked")
    return found


def judge_staging_run(facts: Facts) -> Judged:
    """A GO deployment of this plan; it does not age, because its evidence is renewed by a rehearsal."""
    rehearsed = facts.rehearsed
    if rehearsed is None:
        return _no_source(facts) or _pass("")
    found, digest = facts.go_run, facts.plan.digest[:12]
    flaw = rehearsed.flaws.get(found.run) if found else None
    if found is not None and flaw is not None:
        remedy = f"invoke verify --env {rehearsed.environment}{facts.where} --run {found.run}"
        return _fail(f"the chain of run {found.run} of {rehearsed.environment} is not whole: {flaw}", remedy)
    if found is not None:
        return _pass(f"run {found.run} of {rehearsed.environment} carried plan {digest} out, GO")
    remedy = f"invoke deploy --env {rehearsed.environment}{facts.where}"
    if rehearsed.problem:
        text = f"the ledger of {rehearsed.environment} could not be read: {rehearsed.problem}"
        return Judged(status="unknown", observed=text, remedy=f"make {rehearsed.environment} reachable from here")
    others = f"; the last GO run there ({rehearsed.runs[-1].run}) carried another plan out" if rehearsed.runs else ""
    return _fail(f"no GO run of {rehearsed.environment} for plan {digest}{others}", remedy)


def judge_same_version(facts: Facts) -> Judged:
    """Rehearsed and tried on the major version that production has."""
    if facts.rehearsed is None:
        return _no_source(facts) or _pass("")
    mine, evidence, run = _major(facts.server_version), facts.evidence, facts.go_run
    seen = {f"rehearsal {evidence.run}": _major(evidence.scratch_version)} if evidence else {}
    seen |= {f"run {run.run}": _major(run.server_version)} if run else {}
    if not seen:
        return _pass("no evidence to compare with (other gates say so)")
    other = [f"{what} was on PostgreSQL {major}" for what, major in seen.items() if major != mine]
    if other:
        return _fail(
            f"{'; '.join(other)}; this is {mine}", f"{_rehearse(facts)} with a scratch server of version {mine}"
        )
    return _pass(f"PostgreSQL {mine} everywhere")


def _major(version: int) -> int:
    """`160003` and `16` are 16."""
    return version // 10000 if version >= 10000 else version  # noqa: PLR2004  as PostgreSQL numbers its versions


def judge_same_tables(facts: Facts) -> Judged:
    """What the plan touches is in production as in staging, but for the keys themselves."""
    rehearsed = facts.rehearsed
    if rehearsed is None:
        return _no_source(facts) or _pass("")
    theirs, there = rehearsed.lines, rehearsed.environment
    brought = facts.go_run.brought if facts.go_run else frozenset()
    if theirs is None and rehearsed.file and facts.evidence is not None:
        theirs, there = without_keys(facts.evidence.lines, facts.plan), f"the rehearsal in {rehearsed.file}"
    if theirs is None:
        text = f"the catalog of {rehearsed.environment} could not be read: {rehearsed.problem}"
        return Judged(status="unknown", observed=text, remedy=f"make {rehearsed.environment} reachable from here")
    mine = (line for line in facts.mine if line not in brought)
    others = (line for line in theirs if line not in brought)
    found = differences(mine, others, here=facts.environment.name, there=there)
    if not found:
        return _pass(f"{len(facts.mine)} lines of the touched tables, as in {there}")
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    remedy = f"bring both to the same state (invoke drift {facts.options} --against {rehearsed.environment} shows all)"
    return _fail(f"{len(found)} differences: {'; '.join(found[:SHOWN])}{more}", remedy)


def judge_identity(facts: Facts) -> Judged:
    """Law 8: production is not staging."""
    rehearsed = facts.rehearsed
    if rehearsed is None:
        return _no_source(facts) or _pass("")
    here, there = facts.environment.name, rehearsed.environment
    remedy = f"give {here} and {there} databases of their own in the inventory"
    if rehearsed.kinship == "same":
        return _fail(f"{here} and {there} are one database (proved by an advisory lock)", remedy)
    if rehearsed.kinship is not None:
        told = {"copy": "is a physical copy", "same server": "is another database of this server"}
        return _pass(f"{there} {told.get(rehearsed.kinship, 'is different')}")
    evidence = facts.evidence
    theirs = evidence.target.system_identifier if evidence else ""
    if theirs and facts.here.system_identifier and theirs != facts.here.system_identifier:
        return _pass(f"{there} has another system identifier, says its evidence")
    text = f"{there} could not be compared: {rehearsed.problem}"
    return Judged(status="unknown", observed=text, remedy=f"make {there} reachable from here")


def judge_standby(facts: Facts) -> Judged:
    """A standby cannot be written to, and may become a primary under our hands."""
    if facts.recovering:
        return _fail("the server is in recovery: a standby", f"point {facts.environment.name} at the primary")
    return _pass("a primary")


def judge_marker(facts: Facts) -> Judged:
    """The database carries the marker that it got at this environment's first run."""
    if facts.marker is None:
        return _pass("no marker yet: the first run writes it")
    strange = facts.marker.strange(facts.here)
    if strange:
        return _fail(
            strange, f'if this copy is {facts.environment.name} now: invoke adopt {facts.options} --reason "why"'
        )
    return _pass(f"marked as {facts.marker.environment}")


def judge_window(facts: Facts) -> Judged:
    """Inside the window of the policy."""
    window, opening = facts.environment.policy.window, facts.opening
    if window is None:
        return _pass("no policy.window")
    text = f"{', '.join(window.days)} {window.start}-{window.end} {window.timezone}, now {facts.told(facts.now)}"
    if opening.inside:
        return _pass(text)
    begins = facts.told(opening.next) if opening.next else "not within two years"
    return _fail(f"outside the window: {text}", f"wait until the next window: {begins}")


def judge_freeze(facts: Facts) -> Judged:
    """Outside every freeze."""
    frozen = facts.opening.frozen
    if frozen is None:
        return _pass(
            f"now {facts.told(facts.now)}, no freeze" if facts.environment.policy.freeze else "no policy.freeze"
        )
    begins = facts.told(facts.opening.next) if facts.opening.next else "not within two years"
    text = f"frozen from {frozen.start} to {frozen.end} ({frozen.reason}), now {facts.told(facts.now)}"
    return _fail(text, f"wait until it is over: {begins}")


def judge_time_left(facts: Facts) -> Judged:
    """The turn-back time: what is left to do, and the whole way back after it, fit before the window ends."""
    ends = facts.opening.ends
    if ends is None:
        return _pass("nothing ends soon" if facts.opening.open else "closed already (other gates say so)")
    expected, evidence = expected_ms(facts), facts.evidence
    if expected is None:
        text = f"the window ends {facts.told(ends)}, and nothing was measured that tells how long this takes"
        return Judged(status="unknown", observed=text, remedy=_rehearse(facts))
    back = evidence.way_back_ms if evidence else 0.0
    left = (ends - facts.now).total_seconds()
    needed = (expected + back) / 1000
    cause = f" (freeze: {facts.opening.ends_by.reason})" if facts.opening.ends_by else ""
    text = (
        f"{left:.0f} s are left until {facts.told(ends)}{cause}; {expected / 1000:.1f} s for {', '.join(facts.steps)}"
        f" and {back / 1000:.1f} s for the way back are needed"
    )
    return _pass(text) if needed <= left else _fail(text, "wait for the next window")


def judge_drift(facts: Facts) -> Judged:
    """Nobody else changed the tables since the plan was made."""
    if not facts.strangers:
        return _pass("as the plan found them, but for what this run did")
    more = f"; and {len(facts.strangers) - SHOWN} more" if len(facts.strangers) > SHOWN else ""
    remedy = f"put it right and invoke resume {facts.options}"
    return _fail(f"changed by others: {'; '.join(facts.strangers[:SHOWN])}{more}", remedy)
