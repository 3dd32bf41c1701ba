"""Who may say what: persons by role, approvals of one plan on one database, and what voids them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from orchestrator.core import approval
from orchestrator.core.approval import Asked, Said, Word, fingerprint_of, touched
from orchestrator.core.checks import Finding
from orchestrator.core.grants import approver_grants
from orchestrator.core.inventory import Person
from orchestrator.core.journal import CatalogRecorded, FindingsRecorded, GatesOverridden, RunFinished, VerdictGiven
from orchestrator.core.outcome import Refused, RunState
from orchestrator.core.run import Run, fold
from orchestrator.core.verdict import judge
from tests.journals import began

PEOPLE = {
    "Ayu": Person(roles=("ayu",), approver=True),
    "Budi": Person(roles=("budi", "budi_admin", "team"), approver=True),
    "Citra": Person(roles=("citra", "team"), approver=True),
    "Dewi": Person(roles=("dewi",)),
}
ASKED = Asked(run="r1", digest="d" * 64, fingerprint="f" * 64, target="7/app/16384")
NOW = datetime(2026, 3, 3, tzinfo=UTC)


def said(number: int, actor: str, answer: Word = "approve", **rest: str) -> Said:
    """An answer to run r1."""
    return Said(
        id=number,
        answer=answer,
        run=rest.get("run", "r1"),
        runbook="shop",
        digest=rest.get("digest", ASKED.digest),
        fingerprint=rest.get("fingerprint", ASKED.fingerprint),
        target=rest.get("target", ASKED.target),
        subject=rest.get("subject", ""),
        reasons=tuple(filter(None, (rest.get("reasons", ""),))),
        person="as told",
        proof="",
        note="looked at it",
        os_user="somebody",
        host="h",
        actor=actor,
        at=NOW,
    )


def approvers(*answers: Said) -> list[str]:
    """Who has approved, Ayu being the initiator."""
    weighed = approval.weigh(answers, ASKED, PEOPLE, initiator="Ayu")
    return [person for person, _ in weighed.approved]


def test_people_are_proved_by_the_role_and_counted_once() -> None:
    """Two roles of Budi are one person; what the row calls the person is not asked."""
    assert approvers(said(1, "budi"), said(2, "budi_admin"), said(3, "citra")) == ["Budi", "Citra"]


@pytest.mark.parametrize(
    ("actor", "why"),
    [
        ("ayu", "Ayu began the run"),
        ("team", "shared by Budi and Citra"),
        ("dewi", "Dewi is no approver"),
        ("app_owner", "nobody of \\[people\\]"),
    ],
)
def test_who_cannot_approve(actor: str, why: str) -> None:
    """The initiator, a shared role, somebody who is no approver, and a role that is nobody's."""
    weighed = approval.weigh([said(1, actor)], ASKED, PEOPLE, initiator="Ayu")
    assert weighed.approved == ()
    with pytest.raises(Refused, match=why):
        approval.speaker("approve", actor, PEOPLE, approvals=1, initiator="Ayu", os_user="x")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (said(1, "budi", digest="d" * 63 + "e"), "another plan"),
        (said(1, "budi", fingerprint="f" * 63 + "e"), "a table of the plan changed"),
        (said(1, "budi", fingerprint=f"{'f' * 64}.{'a' * 16}"), "other commands on hosts"),
        (said(1, "budi", target="7/app/16385"), "another database"),
    ],
)
def test_any_drift_voids_an_approval(answer: Said, why: str) -> None:
    """One character of the plan, of the tables, or another database; the reason is told."""
    weighed = approval.weigh([answer], ASKED, PEOPLE, initiator="Ayu")
    assert weighed.approved == ()
    assert why in weighed.void[0]


def test_the_last_good_word_of_a_person_counts() -> None:
    """A denial takes an approval back and the other way round; what is void takes nothing back."""
    assert approvers(said(1, "budi"), said(2, "budi", "deny")) == []
    assert approvers(said(1, "budi", "deny"), said(2, "budi")) == ["Budi"]
    assert approvers(said(1, "budi"), said(2, "budi", digest="x", run="")) == ["Budi"]
    weighed = approval.weigh([said(1, "budi"), said(2, "citra", "deny")], ASKED, PEOPLE, initiator="Ayu")
    assert weighed.denied is not None
    assert weighed.denied[0] == "Citra"


def test_an_approval_for_another_run_is_no_answer_to_this_one() -> None:
    """One given before any run is."""
    assert approvers(said(1, "budi", run="r0")) == []
    assert approvers(said(1, "budi", run="")) == ["Budi"]


def held(*findings: Finding, state: RunState = "held") -> Run:
    """A run that stopped at preflight with these findings."""
    verdict = judge(findings)
    events = (
        began(),
        FindingsRecorded(step="preflight", findings=findings),
        VerdictGiven(gate="preflight", word=verdict.word, reasons=verdict.reasons),
        RunFinished(state=state),
    )
    return fold("r1", ((each, NOW) for each in events))


def important(name: str) -> Finding:
    """An important failure."""
    return Finding(
        id=name, title=name, severity="important", status="fail", observed="seen", expected="", remedy="mend it"
    )


def test_a_hold_is_accepted_for_exactly_its_reasons() -> None:
    """The same gate with one more reason is another question."""
    run = held(important("a"))
    asked = approval.question(run, approvals=0, deny=False)
    assert (asked.answer, asked.subject, asked.reasons) == ("accept", "preflight", ("a (important): seen",))
    answer = said(1, "anybody", "accept", subject="preflight", reasons="a (important): seen")
    took = approval.accepted([answer], run, "preflight", asked.reasons, {}, approvals=0)
    assert took is not None
    assert took.subject == "preflight"
    more = (*asked.reasons, "b (important): seen")
    assert approval.accepted([answer], run, "preflight", more, {}, approvals=0) is None
    assert approval.accepted([replace(answer, run="r2")], run, "preflight", asked.reasons, {}, approvals=0) is None


def test_a_no_go_cannot_be_accepted() -> None:
    """It can only be mended."""
    run = held(important("a"), important("b"), important("c"))
    with pytest.raises(Refused, match="NO-GO at preflight cannot be accepted"):
        approval.question(run, approvals=0, deny=False)


def test_where_nobody_has_to_approve_an_unproved_role_is_told_as_such() -> None:
    """The operating-system user is recorded and not trusted."""
    found = approval.speaker("accept", "app", {}, approvals=0, initiator="", os_user="ayu")
    assert found == ("ayu (not proved)", "role app")


def test_the_grants_for_approvers_name_their_roles_only() -> None:
    """Dewi is no approver; without approvers nothing is printed."""
    lines = "\n".join(approver_grants(PEOPLE, exists=False))
    assert "CREATE ROLE orchestrator_approver NOLOGIN;" in lines
    assert 'GRANT orchestrator_approver TO "budi";' in lines
    assert "dewi" not in lines
    assert "CREATE" not in "\n".join(approver_grants(PEOPLE, exists=True))
    assert list(approver_grants({}, exists=False)) == []


def test_an_approval_does_not_cover_a_gate_that_is_overridden_afterwards() -> None:
    """What was approved are these tables and these gates; the same gates overridden again change nothing."""
    run = Run("r1")
    run.catalogs["before"] = CatalogRecorded(moment="before", fingerprint="f", tables={}, lines=("a: column id text",))
    before = touched(run)
    assert before == fingerprint_of(run.catalogs["before"])
    for _ in range(2):
        run.overridden.append(GatesOverridden(gates=("window",), reason="urgent", by="ayu"))
        assert touched(run) == fingerprint_of(run.catalogs["before"], ["window"]) != before


def test_an_approval_of_an_older_program_says_why_it_does_not_count() -> None:
    """It knows no commands: whoever approved a moment ago has to hear that no command was changed since."""
    asked = replace(ASKED, fingerprint=f"{ASKED.fingerprint}.{'a' * 16}")
    (void,) = approval.weigh((said(1, "budi"),), asked, PEOPLE, initiator="Ayu").void
    assert "does not cover the commands on hosts" in void
