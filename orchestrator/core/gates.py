"""The gates of production: each is a record that the run demands, what was found, and what resolves it.

A gate that may be overridden is one about which people may know better than a record does: evidence and the hour. None
of the others is: an hour's work resolves a decision or a marker, and no reason makes staging production.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.core.checks import Finding, FindingStatus
from orchestrator.core.gate_facts import Facts, most_ms
from orchestrator.core.timeline import Road

SHOWN = 5
"""How many differences of a catalog a finding names."""

OVERRIDE = "; or invoke "
"""Between what resolves a gate and the command that passes it on purpose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What a gate makes of the facts."""

    status: FindingStatus
    observed: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One gate. `timed` gates may close while a run is at work, and are asked before every later step.

    Gates `of_the_work` are about what the plan does: one without statements has nothing to prove, and needs no time.
    """

    name: str
    title: str
    expected: str
    judge: Callable[[Facts], Judged]
    overridable: bool = False
    timed: bool = False
    of_the_work: bool = False

    @property
    def id(self) -> str:
        """The id of its finding."""
        return f"gate.{self.name}"

    def find(self, facts: Facts) -> Finding:
        """The finding; all gates are critical, so that what stays unknown is closed."""
        moot = self.of_the_work and not facts.plan.statements
        judged = is_open("the plan has no statements: nothing to prove") if moot else self.judge(facts)
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
        narrowed = facts.narrowed if facts.task == "deploy" else ""
        command = f"{facts.task} {facts.options}{narrowed}"
        return f'{remedy}{OVERRIDE}{command} --override {self.name} --override-reason "why"'


def is_open(observed: str) -> Judged:
    """A gate that lets the run pass."""
    return Judged(status="pass", observed=observed)


def is_closed(observed: str, remedy: str) -> Judged:
    """One that does not, and what resolves it."""
    return Judged(status="fail", observed=observed, remedy=remedy)


def judge_decision(facts: Facts) -> Judged:
    """A runbook with several roads needs one decided for, and one that leads to applying the keys."""
    decision = facts.decision
    labels = "|".join(label for label, road in facts.runbook.roads.items() if _applies(road))
    remedy = f'invoke decide --option {labels} --rationale "why" --by NAME{facts.where}'
    if not facts.runbook.needs_decision:
        return is_open("a contract of one road, nothing to decide")
    if decision is None:
        return is_closed("no decision is recorded for this runbook: risk medium (undecided)", remedy)
    road = facts.runbook.roads.get(decision.option)
    if road is None:
        known = ", ".join(facts.runbook.roads)
        return is_closed(f"decided for option {decision.option}, which this runbook does not have ({known})", remedy)
    text = f"option {decision.option} ({road.title}) by {decision.by} on {decision.at:%Y-%m-%d}"
    if not _applies(road):
        return is_closed(f"{text}: this road adds no keys", remedy)
    return is_open(text)


def _applies(road: Road) -> bool:
    """Whether the road leads to adding the keys."""
    return any(item.step == "apply" for phase in road.phases for item in phase.items)


def rehearse(facts: Facts) -> str:
    """The command that makes evidence for this plan, also when staging has the keys already."""
    source = facts.rehearsed.environment if facts.rehearsed else "staging"
    return f"invoke rehearse --env {source} --like {facts.environment.name}{facts.narrowed}{facts.where}"


def no_source(facts: Facts) -> Judged:
    """What is said where nobody is named whose evidence would count."""
    remedy = (
        f'set evidence_from = "staging" under [environment] in {facts.environment.name}.toml, or give --evidence FILE'
    )
    return Judged(status="unknown", observed="the inventory names no environment.evidence_from", remedy=remedy)


def unread(facts: Facts, observed: str) -> Judged:
    """What is said where the environment of the evidence was not looked at: nobody named it, or it does not answer."""
    there = facts.rehearsed.environment if facts.rehearsed else "staging"
    named = facts.environment.environment.evidence_from is not None
    unnamed = f'set evidence_from = "{there}" under [environment] in {facts.environment.name}.toml'
    return Judged(status="unknown", observed=observed, remedy=f"make {there} reachable from here" if named else unnamed)


def judge_identity(facts: Facts) -> Judged:
    """Law 8: production is not staging."""
    rehearsed = facts.rehearsed
    if rehearsed is None:
        return no_source(facts)
    here, there = facts.environment.name, rehearsed.environment
    remedy = f"give {here} and {there} databases of their own in the inventory"
    if rehearsed.kinship == "same":
        return is_closed(f"{here} and {there} are one database (proved by an advisory lock)", remedy)
    if rehearsed.kinship is not None:
        told = {"copy": "is a physical copy", "same server": "is another database of this server"}
        return is_open(f"{there} {told.get(rehearsed.kinship, 'is different')}")
    evidence = facts.evidence
    theirs = evidence.target.system_identifier if evidence else ""
    if theirs and facts.here.system_identifier and theirs != facts.here.system_identifier:
        return is_open(f"{there} has another system identifier, says its evidence")
    return unread(facts, f"{there} could not be compared: {rehearsed.problem}")


def judge_standby(facts: Facts) -> Judged:
    """A standby cannot be written to, and may become a primary under our hands."""
    if facts.recovering:
        return is_closed("the server is in recovery: a standby", f"point {facts.environment.name} at the primary")
    return is_open("a primary")


def judge_marker(facts: Facts) -> Judged:
    """The database carries the marker that it got at this environment's first run."""
    if facts.marker is None:
        return is_open("no marker yet: the first run writes it")
    strange = facts.marker.strange(facts.here)
    if strange:
        return is_closed(
            strange, f'if this copy is {facts.environment.name} now: invoke adopt {facts.options} --reason "why"'
        )
    return is_open(f"marked as {facts.marker.environment}")


def judge_window(facts: Facts) -> Judged:
    """Inside the window of the policy."""
    window, opening = facts.environment.policy.window, facts.opening
    if window is None:
        return is_open("no policy.window")
    text = f"{', '.join(window.days)} {window.start}-{window.end} {window.timezone}, now {facts.told(facts.now)}"
    if opening.inside:
        return is_open(text)
    begins = facts.told(opening.next) if opening.next else "not within two years"
    return is_closed(f"outside the window: {text}", f"wait until the next window: {begins}")


def judge_freeze(facts: Facts) -> Judged:
    """Outside every freeze."""
    frozen = facts.opening.frozen
    if frozen is None:
        return is_open(
            f"now {facts.told(facts.now)}, no freeze" if facts.environment.policy.freeze else "no policy.freeze"
        )
    begins = facts.told(facts.opening.next) if facts.opening.next else "not within two years"
    text = f"frozen from {frozen.start} to {frozen.end} ({frozen.reason}), now {facts.told(facts.now)}"
    return is_closed(text, f"wait until it is over: {begins}")


def judge_time_left(facts: Facts) -> Judged:
    """The turn-back time: what is left to do, and the whole way back after it, fit before the window ends."""
    ends = facts.opening.ends
    if ends is None:
        return is_open("nothing ends soon" if facts.opening.open else "closed already (other gates say so)")
    most = most_ms(facts)
    if most is None:
        text = f"the window ends {facts.told(ends)}, and nothing was measured that tells how long this takes"
        return Judged(status="unknown", observed=text, remedy=rehearse(facts))
    back = (facts.prediction.way_back.most_ms if facts.prediction else 0.0) + facts.hosts_back.ms
    left = (ends - facts.now).total_seconds()
    needed = (most + back) / 1000
    cause = f" (freeze: {facts.opening.ends_by.reason})" if facts.opening.ends_by else ""
    text = (
        f"{left:.0f} s are left until {facts.told(ends)}{cause}; up to {most / 1000:.1f} s for"
        f" {', '.join(facts.steps)} and {back / 1000:.1f} s for the way back are needed{_on_hosts(facts)}"
    )
    return is_open(text) if needed <= left else is_closed(text, "wait for the next window")


def _on_hosts(facts: Facts) -> str:
    """What of it are commands on hosts, and which of them are counted by their timeout."""
    there, back = facts.hosts_there, facts.hosts_back
    if not there.ms and not back.ms:
        return ""
    guessed = f", by the timeout of {', '.join(there.guessed)}" if there.guessed else ""
    undone = f", {back.ms / 1000:.1f} s for their way back (by timeout)" if back.ms else ""
    return f"; of that {there.ms / 1000:.1f} s for commands on hosts{guessed}{undone}"


def judge_drift(facts: Facts) -> Judged:
    """Nobody else changed the tables since the plan was made."""
    if not facts.strangers:
        return is_open("as the plan found them, but for what this run did")
    more = f"; and {len(facts.strangers) - SHOWN} more" if len(facts.strangers) > SHOWN else ""
    remedy = f"put it right and invoke resume {facts.options}"
    return is_closed(f"changed by others: {'; '.join(facts.strangers[:SHOWN])}{more}", remedy)
