"""Approval from Slack: buttons of held runs, served against a Slack that speaks Socket Mode and a real ledger."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from orchestrator.adapters import slack_socket
from orchestrator.adapters.ledger_answers import open_runs
from orchestrator.app import listening
from orchestrator.core.clicks import Button, button_of
from orchestrator.core.outcome import EXIT_DONE, EXIT_HELD, EXIT_REFUSED
from tests.acceptance.desk import ROOT, Desk, execute, keys, rows
from tests.acceptance.test_approvals import Office, held, hold_findings, role, staffed
from tests.slack_socket import SocketSlack, socket_slack

LISTENER = "orchestrator_listener"


@pytest.fixture(scope="module")
def slack() -> Iterator[SocketSlack]:
    """One Slack for all; each listener connects anew."""
    with socket_slack() as made:
        yield made


@pytest.fixture
def office(desk: Desk, master: str, slack: SocketSlack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    """The office with Slack ids and a login role for the listener, which is nobody of [people]."""
    monkeypatch.setattr(slack_socket, "LOOK_EVERY_S", 0.2)
    desk.variable("SLACK_BOT", "xoxb-known")
    desk.variable("SLACK_APP", "xapp-known")
    slack.told.clear()
    with psycopg.connect(master, autocommit=True) as connection:
        connection.execute(
            "do $$ begin if to_regrole('orchestrator_listener') is null then"
            " create role orchestrator_listener nologin; end if; end $$"
        )
        name = sql.Identifier(role(master, "listener"))
        connection.execute(sql.SQL("create role {} login password 'rolesecret'").format(name))
        connection.execute(sql.SQL("grant {} to {}").format(sql.Identifier(LISTENER), name))
    with staffed(desk, master) as made:
        talks(made, slack)
        yield made
    execute(master, f'drop role "{role(master, "listener")}"')


def talks(office: Office, slack: SocketSlack, *, approvals: int = 1) -> None:
    """Write [slack], and everybody's Slack id, into the inventory."""
    office.opens(approvals=approvals)
    path = office.desk.inventory / "staging.toml"
    text = path.read_text("utf-8")
    for name in ("Ayu", "Budi", "Citra", "Dewi"):
        text = text.replace(f"{name} = {{ roles", f'{name} = {{ slack = "U{name.upper()}", roles')
    lines = ('token = { env = "SLACK_BOT" }', 'app_token = { env = "SLACK_APP" }', f'base_url = "{slack.api}"')
    path.write_text("\n".join((text, "[slack]", 'channel = "#releases"', *lines)), "utf-8")


@contextmanager
def listening_to(office: Office, slack: SocketSlack) -> Iterator[dict[str, Any]]:
    """A listener in a thread for a block; its document afterwards."""
    office.sits("listener")
    stop, before = threading.Event(), slack.opened
    found: dict[str, Any] = {}
    answers: list[Any] = []
    request = office.desk.request()
    thread = threading.Thread(target=lambda: answers.append(listening.listen(request, stop=stop)))
    thread.start()
    slack.connected(before + 1)
    office.sits("ayu")
    try:
        yield found
    finally:
        stop.set()
        thread.join(20)
    found |= answers[0].document


def button(office: Office, run: str, *, approvals: int = 1) -> Button:
    """The button of what a run asks now."""
    with psycopg.connect(office.admin, autocommit=True, row_factory=dict_row) as connection:
        (found,) = (each for each in open_runs(connection, "staging") if each.id == run)
    made = button_of("staging", found, approvals=approvals)
    assert made is not None
    return made


def answers(office: Office) -> list[Any]:
    """Who clicked what, as the ledger has it."""
    return rows(office.admin, "select answer, slack, proof from orchestrator.answer order by id")


def test_a_click_of_an_approver_counts_once(office: Office, slack: SocketSlack) -> None:
    """Strangers, the initiator and those who may not are told so; what counts is counted once, and resume goes on."""
    run = held(office)
    asked = button(office, run)
    with listening_to(office, slack) as found:
        for who, why in (
            ("USTRANGER", "nobody of [people]"),
            ("UAYU", "Ayu began the run"),
            ("UDEWI", "Dewi is no approver"),
        ):
            slack.answered(slack.click(who, asked))
            slack.heard(who, why)
        other = Button(environment="staging", run=run, digest=asked.digest, fingerprint="other", hold="")
        slack.answered(slack.click("UBUDI", other))
        slack.heard("UBUDI", "has changed since this message")
        slack.answered(slack.click("UBUDI", Button(environment="prod", run=run, digest="", fingerprint="", hold="")))
        slack.heard("UBUDI", "a Slack app of its own")
        slack.answered(slack.interactive({"type": "block_actions", "actions": [{"action_id": "x", "value": "{"}]}))
        assert answers(office) == []
        envelope = slack.click("UBUDI", asked)
        slack.answered(envelope)
        assert answers(office) == [("approve", "UBUDI", "slack UBUDI")]
        slack.send(envelope)
        slack.answered(envelope, 2)
        slack.answered(slack.click("UBUDI", asked))
        assert answers(office) == [("approve", "UBUDI", "slack UBUDI")]
        done = office.resume()
        assert (done.exit_code, len(keys(office.admin))) == (EXIT_DONE, 45)
        slack.send(envelope)
        slack.answered(envelope, 3)
        slack.answered(slack.click("UCITRA", asked))
        slack.heard("UCITRA", "is not open any more")
    assert (found["counted"], found["declined"]) == (1, 6)
    (heard,) = done.document["answers"]
    listener = role(office.admin, "listener")
    assert (heard["person"], heard["proof"]) == ("Budi", f"slack UBUDI, written by role {listener}")


def test_a_denial_and_a_change_of_mind(office: Office, slack: SocketSlack) -> None:
    """The last word of a person counts, by whatever way it came; a denial ends the run."""
    run = held(office)
    asked = button(office, run)
    with listening_to(office, slack):
        slack.answered(slack.click("UBUDI", asked))
        office.says("budi", run=run, deny=True)
        slack.answered(slack.click("UBUDI", asked))
        assert [each[0] for each in answers(office)] == ["approve", "deny", "approve"]
        slack.answered(slack.click("UBUDI", asked, deny=True))
    ended = office.resume()
    assert (ended.document["state"], "denied by Budi" in ended.document["reason"]) == ("refused", True)


def test_a_hold_is_accepted_for_its_reasons(office: Office, slack: SocketSlack) -> None:
    """The button of a HOLD names it; without required approvals an approver's click is needed all the same."""
    talks(office, slack, approvals=0)
    hold_findings(office, 1)
    run = office.deploy().document["run"]
    with listening_to(office, slack):
        slack.answered(slack.click("UDEWI", button(office, run, approvals=0)))
        slack.heard("UDEWI", "no approver")
        slack.answered(slack.click("UBUDI", button(office, run, approvals=0)))
    (heard, *_) = office.resume().document["answers"]
    assert (heard["answer"], heard["person"], heard["subject"]) == ("accept", "Budi", "preflight")


KILLED = """
import os, sys
from orchestrator.adapters import points
points.visit(lambda point: os.kill(os.getpid(), 9) if point == "click:journalled" else None)
from invoke.main import program
program.run(sys.argv[1:])
"""


def test_killed_before_the_acknowledgement(office: Office, slack: SocketSlack) -> None:
    """What was journalled and not acknowledged comes again and counts once; SIGTERM ends a listener with 0."""
    run = held(office)
    asked = button(office, run)
    office.sits("listener")
    words = ["invoke", "--search-root", str(ROOT), "approve", "--env", "staging", "--listen"]
    words += ["--inventory", str(office.desk.inventory), "--runs", str(office.desk.runs)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    opened = slack.opened
    with subprocess.Popen([sys.executable, "-c", KILLED, *words], env=environment) as first:
        slack.connected(opened + 1)
        envelope = slack.click("UBUDI", asked)
        assert first.wait(20) == -signal.SIGKILL
    assert len(answers(office)) == 1
    assert envelope["envelope_id"] not in slack.acknowledged
    slack.until(lambda: not slack.lines)
    start = "import sys; from invoke.main import program; program.run(sys.argv[1:])"
    with subprocess.Popen([sys.executable, "-c", start, *words], env=environment, stdout=subprocess.PIPE) as second:
        slack.connected(opened + 2)
        slack.send(envelope)
        slack.answered(envelope)
        second.terminate()
        said, _ = second.communicate(timeout=20)
    assert (second.returncode, b"0 clicks counted" in said, b"again" in said) == (EXIT_DONE, True, True)
    assert len(answers(office)) == 1
    assert office.resume().exit_code == EXIT_DONE


def test_connections_that_end_are_made_anew(
    office: Office, slack: SocketSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slack asks to come again, Slack closes, and the database lets nobody in for a while: every click counts."""
    run = held(office)
    asked = button(office, run)
    name = role(office.admin, "listener")

    def delays(**_: Any) -> Iterator[float]:
        execute(office.admin, f'alter role "{name}" login')
        while True:
            yield 1.0

    monkeypatch.setattr(listening, "full_jitter", delays)
    before = slack.opened
    with listening_to(office, slack) as found:
        slack.send({"type": "disconnect", "reason": "refresh_requested"})
        slack.connected(before + 2)
        slack.answered(slack.click("UBUDI", asked))
        slack.lines[-1].socket.close()
        slack.connected(before + 3)
        execute(office.admin, f'alter role "{name}" nologin')
        slack.answered(slack.click("UCITRA", asked))
    assert found["counted"] == 2
    assert [each[1] for each in answers(office)] == ["UBUDI", "UCITRA"]


def forged(url: str, run: str, *, by: str = "give_click") -> None:
    """A click by hand, of somebody who never clicked."""
    with psycopg.connect(url, autocommit=True) as connection:
        if by == "give_click":
            call = (
                "select orchestrator.give_click('approve', %s, 'x', '', '', '', '[]', 'Budi', 'n', 'h', 'UBUDI', 'k')"
            )
            connection.execute(call, (run,))
            return
        connection.execute(
            "insert into orchestrator.answer (answer, run, target, person, proof, note, os_user, host, slack, click)"
            " values ('approve', %s, 'x', 'Budi', 'slack UBUDI', 'n', 'o', 'h', 'UBUDI', 'k')",
            (run,),
        )


def test_nobody_else_writes_clicks(office: Office, slack: SocketSlack) -> None:
    """Not an approver, not the owner of the schema, not a superuser; a person's own role proves nobody."""
    run = held(office)
    for who in ("budi", "dewi", "ayu"):
        for by in ("give_click", "insert"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                forged(office.url(who), run, by=by)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="no listener"):
        forged(office.admin, run)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        forged(office.url("listener"), run, by="insert")
    with psycopg.connect(office.url("listener")) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("select orchestrator.give_answer('deny', '', '', '', '', '', '', '', '', 'n', 'o', 'h')")
    execute(office.admin, f'grant {LISTENER} to "{role(office.admin, "ayu")}"')
    forged(office.url("ayu"), run)
    waits = office.resume()
    assert (waits.exit_code, "it proves nobody" in str(waits.document["reason"])) == (EXIT_HELD, True)
    said = office.desk.typed("approve", "--env", "staging", "--listen")
    assert (said.returncode, "a login role of its own" in said.stderr) == (EXIT_REFUSED, True)


def test_a_listener_that_cannot_listen_says_why(office: Office, slack: SocketSlack) -> None:
    """No role, no ledger, no token that Slack knows, no use of it: one line each, and 2."""

    def why(*words: str) -> str:
        said = office.desk.typed("approve", "--env", "staging", "--listen", *words)
        assert said.returncode == EXIT_REFUSED
        return said.stderr

    office.sits("listener")
    assert "no ledger that takes clicks" in why()
    office.sits("budi")
    assert f"it needs {LISTENER}" in why()
    assert "--deny does not go with it" in why("--deny")
    held(office)
    office.sits("listener")
    office.desk.variable("SLACK_APP", "xapp-gone")
    assert "invalid_auth" in why()
    office.opens()
    office.sits("listener")
    assert "buttons need [slack]" in why()
