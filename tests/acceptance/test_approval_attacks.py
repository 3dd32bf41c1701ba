"""What hostile or careless people try at the approvals, past the commands, with real login roles."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from orchestrator.adapters.journals import in_ledger
from orchestrator.app import approving
from orchestrator.core.outcome import EXIT_DONE, EXIT_HELD, Refused
from tests.acceptance.conftest import Stop, Stopped
from tests.acceptance.desk import Desk, contract_lines, execute, rows
from tests.acceptance.test_approvals import Office, forge, held, hold_findings, role, staffed
from tests.conftest import MATRIX


@pytest.fixture
def office(desk: Desk, master: str) -> Iterator[Office]:
    """Real login roles on the base migration's database, and few of the contract's keys."""
    desk.book = desk.runbook("".join(contract_lines("punchlists", "punchlist_items")), "master_tables")
    with staffed(desk, master) as made:
        yield made


def by_hand(office: Office, who: str, **told: str) -> None:
    """An answer through the function, with whatever somebody writes into it."""
    given = {"answer": "approve", "run": "", "runbook": "master_tables", "digest": "", "fingerprint": "", "subject": ""}
    given |= {"reasons": "[]", "person": "Budi", "proof": "role budi", "note": "n", "os_user": "o", "host": "h"} | told
    with psycopg.connect(office.url(who), autocommit=True) as connection:
        values: tuple[Any, ...] = tuple(given.values())
        connection.execute(f"select orchestrator.give_answer({', '.join(['%s'] * len(values))})".encode(), values)


@pytest.mark.parametrize(
    "reasons",
    [
        "[" * 100_000,
        pytest.param("[" * 3000 + "]" * 3000, marks=MATRIX),
        pytest.param("[" + "9" * 6000 + "]", marks=MATRIX),
        '["\\ud800"]',
        pytest.param("{}", marks=MATRIX),
    ],
)
def test_odd_reasons_stop_no_run(office: Office, reasons: str) -> None:
    """The table keeps what was said for good: a row that breaks its reader would break every later resume."""
    run = held(office)
    by_hand(office, "dewi", answer="accept", run=run, reasons=reasons)
    office.says("budi", run=run)
    assert office.resume().exit_code == EXIT_DONE


def test_what_is_shown_of_an_answer_is_printable(office: Office) -> None:
    """Not only the note: each text of it may be told on the operator's terminal, or stands in a report."""
    run = held(office)
    clear = "\x1b[2J\x1b[H"
    by_hand(office, "budi", run=run, digest=clear, person=clear, os_user=clear, host=clear, proof=clear)
    office.sits("ayu")
    said = office.desk.typed("resume", "--env", "staging", "--yes")
    assert said.returncode == EXIT_HELD
    assert "another plan" in said.stdout + said.stderr
    assert "\x1b" not in said.stdout + said.stderr


def test_an_answer_is_bounded(office: Office) -> None:
    """Rows stay for good and every step reads them, so that one role can neither write much nor often."""
    run = held(office)
    for told in ({"note": "n" * 2001}, {"reasons": "x" * 100_001}, {"host": "h" * 501}):
        with pytest.raises(psycopg.errors.CheckViolation):
            by_hand(office, "dewi", run=run, **told)
    with pytest.raises(Refused, match="at most 2000 are kept"):
        approving.approve(office.desk.request(), run=run, deny=False, plan=None, note="n" * 2001)
    with psycopg.connect(office.url("dewi")) as connection:
        again = "select orchestrator.give_answer('deny', %s, 'x', '', '', '', '', 'x', '', 'n', 'o', 'h')"
        for _ in range(100):
            connection.execute(again, (run,))
        with pytest.raises(psycopg.Error, match="100 answers within a day") as refused:
            connection.execute(again, (run,))
        assert refused.value.sqlstate == "OR003"


def test_the_role_that_logged_in_has_spoken(office: Office) -> None:
    """Of a superuser, too: neither SET SESSION AUTHORIZATION nor a session without triggers makes another of it."""
    run = held(office)
    budi, ayu = role(office.admin, "budi"), role(office.admin, "ayu")
    execute(office.admin, f'alter role "{ayu}" superuser')
    with psycopg.connect(office.url("ayu"), autocommit=True) as connection:
        connection.execute(sql.SQL("set session authorization {}").format(sql.Identifier(budi)))
        forge(connection, run)
        connection.execute("reset session authorization")
        connection.execute("set session_replication_role = replica")
        connection.execute(
            "insert into orchestrator.answer (answer, run, target, person, proof, note, os_user, host, actor)"
            " values ('approve', %s, 'x', 'Budi', '', 'n', 'o', 'h', %s)",
            (run, budi),
        )
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
            connection.execute("update orchestrator.answer set actor = %s", (budi,))
    execute(office.admin, f'alter role "{ayu}" nosuperuser')
    assert rows(office.admin, "select distinct actor from orchestrator.answer") == [(ayu,)]
    assert office.resume().exit_code == EXIT_HELD


def test_a_name_that_no_role_proves_is_told_as_that(office: Office) -> None:
    """Where nobody has to approve anybody may accept, but not in the name of somebody else."""
    office.opens(approvals=0)
    hold_findings(office, 1)
    answer = office.deploy()
    run, reasons = answer.document["run"], office.desk.events(answer, "verdict_given")[-1]["reasons"]
    by_hand(office, "team", answer="accept", run=run, subject="preflight", reasons=json.dumps(reasons), person="Ayu")
    (heard, *_) = office.resume().document["answers"]
    assert (heard["person"], heard["proof"]) == ("Ayu (not proved)", f"role {role(office.admin, 'team')}")


def test_a_confirmation_names_the_role_that_gave_it(office: Office) -> None:
    """Whatever a row by hand says of its person and its proof."""
    office.deploy(until="plan")
    by_hand(office, "dewi", answer="confirm", subject="performance", person="Ayu", proof="role ayu")
    with psycopg.connect(office.admin, row_factory=dict_row) as connection:
        (said,) = in_ledger(connection, runbook="master_tables", environments=["staging"]).confirmations
    assert (said.person, said.proof) == ("Ayu", f"role {role(office.admin, 'dewi')}")


def test_a_denial_that_may_come_too_late_is_told(office: Office, stop_at: Stop) -> None:
    """A run that has begun to apply asks nobody any more; what it has put on record as begun is its first change."""
    run = held(office)
    office.says("budi", run=run)
    stop_at("effect:begin", 1)
    with pytest.raises(Stopped):
        office.resume()
    office.sits("citra")
    said = office.desk.typed("approve", "--env", "staging", "--run", run, "--deny", "--note", "stop")
    assert (said.returncode, "has begun to apply" in said.stdout) == (EXIT_DONE, True)
    office.sits("ayu")
    ended = office.resume()
    assert (ended.document["state"], "denied by Citra" in ended.document["reason"]) == ("refused", True)


def append(office: Office, run: str, kind: str, data: Any) -> None:
    """An event as a run at work writes it."""
    query = "select orchestrator.append(%s, %s, %s, token) from orchestrator.lease"
    with psycopg.connect(office.admin) as connection:
        connection.execute(query, (run, kind, json.dumps(data)))


def test_an_index_that_was_begun_is_a_change(office: Office) -> None:
    """Also to an approver, who otherwise would deny a run that does not listen any more."""
    run = held(office)
    append(office, run, "statement_intended", {"id": "index:x", "relation": "x", "sql": "create index x"})
    with pytest.raises(Refused, match="has changed the target already"):
        office.says("citra", run=run, deny=True)


def test_overridden_gates_are_shown_to_who_approves(office: Office) -> None:
    """The events that an approver may read tell of them."""
    run = held(office)
    append(office, run, "gates_overridden", {"gates": ["gate.window"], "reason": "a hotfix", "by": "ayu"})
    office.sits("budi")
    said = office.desk.typed("approve", "--env", "staging", "--run", run, "--note", "fine")
    assert (said.returncode, "passed gate.window, says ayu: a hotfix" in said.stdout) == (EXIT_DONE, True)
