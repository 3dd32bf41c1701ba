"""The gates in the order in which they are asked, and what may be overridden."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from orchestrator.core.checks import Finding
from orchestrator.core.evidence_gates import (
    judge_rehearsal,
    judge_same_tables,
    judge_same_version,
    judge_staging_run,
)
from orchestrator.core.gates import (
    Gate,
    judge_decision,
    judge_drift,
    judge_freeze,
    judge_identity,
    judge_marker,
    judge_standby,
    judge_time_left,
    judge_window,
)
from orchestrator.core.outcome import Refused

GATES: tuple[Gate, ...] = (
    Gate(
        name="decision",
        title="Was it decided for this road?",
        expected="a decision with rationale and name",
        judge=judge_decision,
    ),
    Gate(
        name="identity",
        title="Is production another database than the environment of the evidence?",
        expected="another one, proved by an advisory lock",
        judge=judge_identity,
    ),
    Gate(name="standby", title="Is it a primary?", expected="not in recovery", judge=judge_standby),
    Gate(
        name="marker",
        title="Does the database carry this environment's marker?",
        expected="the marker of its first run",
        judge=judge_marker,
    ),
    Gate(
        name="rehearsal",
        title="Was this very plan rehearsed?",
        expected="evidence for this plan, GO, not too old, every way back proved",
        judge=judge_rehearsal,
        of_the_work=True,
        overridable=True,
    ),
    Gate(
        name="staging_run",
        title="Was this very plan carried out in staging?",
        expected="a GO run for this plan that was not walked back",
        judge=judge_staging_run,
        of_the_work=True,
        overridable=True,
    ),
    Gate(
        name="same_version",
        title="Is the evidence from the same major version?",
        expected="the same major version of PostgreSQL",
        judge=judge_same_version,
        of_the_work=True,
        overridable=True,
    ),
    Gate(
        name="same_tables",
        title="Are the touched tables as in staging?",
        expected="no difference but the keys themselves",
        judge=judge_same_tables,
        of_the_work=True,
        overridable=True,
    ),
    Gate(
        name="window",
        title="Is it inside the window?",
        expected="a time of policy.window",
        judge=judge_window,
        overridable=True,
        timed=True,
    ),
    Gate(
        name="freeze",
        title="Is it outside every freeze?",
        expected="no day of policy.freeze",
        judge=judge_freeze,
        overridable=True,
        timed=True,
    ),
    Gate(
        name="time_left",
        title="Is there time enough, with the way back?",
        expected="expected time and way back fit before the window ends",
        judge=judge_time_left,
        of_the_work=True,
        overridable=True,
        timed=True,
    ),
)
"""What a production run asks before its first change."""

DRIFT = Gate(
    name="drift",
    title="Are the tables as this run left them?",
    expected="nothing that others changed",
    judge=judge_drift,
    timed=True,
)
"""Asked between steps only: before the first change the plan itself is compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """Gates that somebody passes on purpose, by name and with a reason."""

    names: frozenset[str] = frozenset()
    reason: str = ""

    def over(self, finding: Finding) -> Finding:
        """The finding without its weight when its gate is overridden; what was found stays to be read."""
        if finding.id.removeprefix("gate.") not in self.names or not finding.counts_against:
            return finding
        return replace(finding, severity="optional", observed=f"{finding.observed} (overridden: {self.reason})")

    def used(self, findings: Iterable[Finding]) -> tuple[str, ...]:
        """The gates that are closed among these, and overridden."""
        return tuple(
            each.id for each in findings if each.counts_against and each.id.removeprefix("gate.") in self.names
        )

    def lasting(self) -> Overrides:
        """What still counts when the run is taken up later: not what was said about an hour that is over."""
        timed = {each.name for each in GATES if each.timed}
        return replace(self, names=self.names - timed)

    def with_others(self, others: Overrides) -> Overrides:
        """Both together; each reason is told."""
        reasons = dict.fromkeys(each.reason for each in (others, self) if each.names)
        return Overrides(names=self.names | others.names, reason="; ".join(reasons))


def overrides(names: str | None, reason: str | None) -> Overrides:
    """What `--override` and `--override-reason` say. Raises Refused for what cannot be overridden."""
    words = tuple(word.strip().removeprefix("gate.") for word in (names or "").split(",") if word.strip())
    if names is not None and not words:
        message = "--override names nothing; name gates with commas, or leave it out"
        raise Refused(message)
    told = (reason or "").strip()
    if bool(words) != bool(told):
        message = '--override GATE,… and --override-reason "why" go together' + (
            "; a reason is missing" if words else "; no gate is named"
        )
        raise Refused(message)
    known = {each.name: each for each in GATES}
    may = ", ".join(each.name for each in GATES if each.overridable)
    for word in words:
        if word not in known:
            message = f"--override {word}: no such gate; findings of other steps cannot be overridden (gates: {may})"
            raise Refused(message)
        if not known[word].overridable:
            message = f"--override {word}: this gate cannot be overridden, only resolved (those that can: {may})"
            raise Refused(message)
    return Overrides(names=frozenset(words), reason=told)
