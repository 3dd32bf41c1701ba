"""Approvals: people proved by real login roles approve one plan on one database, and have no other right."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from orchestrator.adapters.ledger_answers import LedgerAnswers, open_runs
from orchestrator.app import approving
from orchestrator.app.answer import Answer
from orchestrator.core.approval import Said, touched
from orchestrator.core.outcome import EXIT_DONE, EXIT_HELD, EXIT_REFUSED, ConnectionLost, Refused
from orchestrator.core.run import Run
from tests import servers
from tests.acceptance.conftest import Stop, Stopped
from tests.acceptance.desk import Desk, contract_lines, execute, fingerprint, keys, rows, value
from tests.conftest import MATRIX

NAMES = ("ayu", "budi", "citra", "dewi", "team")
APPROVER = "orchestrator_approver"
MASTER = "master_tables"


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """Ayu deploys and owns the tables; Budi and Citra approve; Dewi may not; team is the role that both share."""

    desk: Desk
    admin: str

    def url(self, name: str) -> str:
        """The database as somebody's role reaches it."""
        return make_conninfo(self.admin, user=role(self.admin, name), password="rolesecret")

    def opens(self, *, approvals: int = 1, takes_on: str = "") -> None:
        """Write the inventory."""
        people = (
            ("Ayu", "ayu", (), True),
            ("Budi", "budi", ("team",), True),
            ("Citra", "citra", ("team",), True),
            ("Dewi", "dewi", (), False),
        )
        lines = [
            f"{name} = {{ roles = {json.dumps([role(self.admin, each) for each in (own, *shared)])},"
            f" approver = {json.dumps(approver)} }}"
            for name, own, shared, approver in people
        ]
        more = "\n".join(("[people]", *lines))
        self.desk.environment("staging", None, policy=f"approvals = {approvals}", more=more)
        if takes_on:
            path = self.desk.inventory / "staging.toml"
            path.write_text(path.read_text("utf-8").replace("[policy]", f'role = "{takes_on}"\n[policy]'))
        self.sits("ayu")

    def sits(self, name: str) -> None:
        """Somebody else sits down at the desk."""
        self.desk.variable("STAGING_URL", self.url(name))

    def deploy(self, name: str = "ayu", **options: Any) -> Answer:
        """`invoke deploy` under somebody's role."""
        self.sits(name)
        return self.desk.deploy(**options)

    def resume(self, name: str = "ayu") -> Answer:
        """`invoke resume` under somebody's role."""
        self.sits(name)
        return self.desk.resume()

    def says(
        self, name: str, *, run: str | None = None, deny: bool = False, plan: str | None = None, **options: Any
    ) -> Answer:
        """`invoke approve` under somebody's role."""
        self.sits(name)
        return approving.approve(
            self.desk.request(**options), run=run, deny=deny, plan=plan, note=f"{name} looked at it"
        )


def role(url: str, name: str) -> str:
    """Roles belong to the whole server, so each test has its own."""
    return f"{name}_{servers.database_name(url)}"


@pytest.fixture
def office(desk: Desk, master: str) -> Iterator[Office]:
    """Real login roles on the base migration's database, and a contract of few keys: who may say what is asked."""
    desk.book = desk.runbook("".join(contract_lines("punchlists", "punchlist_items", "workflow_stages")))
    with staffed(desk, master) as made:
        yield made


@pytest.fixture
def office_on(desk: Desk, master_on: str) -> Iterator[Office]:
    """The same on each version in turn."""
    with staffed(desk, master_on) as made:
        yield made


@contextmanager
def staffed(desk: Desk, master: str) -> Iterator[Office]:
    """Make the roles for a block; approvers are members of the role for approvers."""
    with psycopg.connect(master, autocommit=True) as connection:
        for each in NAMES:
            name = sql.Identifier(role(master, each))
            connection.execute(sql.SQL("create role {} login password 'rolesecret'").format(name))
        connection.execute(
            "do $$ begin if to_regrole('orchestrator_approver') is null then"
            " create role orchestrator_approver nologin; end if; end $$"
        )
        for each in ("budi", "citra", "dewi", "team"):
            name = sql.Identifier(role(master, each))
            connection.execute(sql.SQL("grant {} to {}").format(sql.Identifier(APPROVER), name))
        owner, database = sql.Identifier(role(master, "ayu")), sql.Identifier(servers.database_name(master))
        connection.execute(
            sql.SQL(
                "do $$ declare t regclass; begin"
                " for t in select oid from pg_class where relnamespace = 'public'::regnamespace"
                " and relkind = 'r' loop execute format('alter table %s owner to {}', t); end loop; end $$"
            ).format(owner)
        )
        connection.execute(sql.SQL("grant create on database {} to {}").format(database, owner))
    made = Office(desk=desk, admin=master)
    made.opens()
    yield made
    with psycopg.connect(master, autocommit=True) as connection:
        for each in NAMES:
            name = sql.Identifier(role(master, each))
            connection.execute(sql.SQL("reassign owned by {} to current_user").format(name))
            connection.execute(sql.SQL("drop owned by {}").format(name))
            connection.execute(sql.SQL("drop role {}").format(name))


def forge(connection: psycopg.Connection[Any], run: str, *, digest: str = "") -> None:
    """Approve by hand as Budi, past the command and all that it checks, with everything right but who it is."""
    with psycopg.connect(connection.info.dsn, password="rolesecret", autocommit=True, row_factory=dict_row) as reader:
        (found,) = (each for each in open_runs(reader, "staging") if each.id == run)
    assert found.plan is not None
    values = (run, digest or found.plan.digest, touched(found))
    connection.execute(
        "select orchestrator.give_answer('approve', %s, 'x', %s, %s, '', '', 'Budi', 'role budi', 'n', 'o', 'h')",
        values,
    )


def held(office: Office) -> str:
    """A run that waits for approvals."""
    answer = office.deploy()
    assert (answer.exit_code, answer.document["state"]) == (EXIT_HELD, "held")
    run: str = answer.document["run"]
    return run


def test_a_run_is_held_until_somebody_else_approves(office_on: Office) -> None:
    """Held with the command to type, nothing changed; approved by another person it goes on and has that on record."""
    office = office_on
    answer = office.deploy()
    run = answer.document["run"]
    assert answer.exit_code == EXIT_HELD
    assert f"--run {run} --note" in answer.document["next_steps"][0]
    assert f"--inventory {office.desk.inventory}" in answer.document["next_steps"][0]
    assert len(keys(office.admin)) == 1
    said = office.says("budi")
    assert (said.exit_code, said.document["person"], said.document["run"]) == (EXIT_DONE, "Budi", run)
    done = office.resume()
    assert (done.exit_code, done.document["run"]) == (EXIT_DONE, run)
    assert len(keys(office.admin)) == 45
    (heard,) = done.document["answers"]
    assert (heard["person"], heard["actor"]) == ("Budi", role(office.admin, "budi"))
    assert heard["digest"] == done.document["answers"][0]["digest"] == said.document["digest"]
    assert office.desk.events(done, "run_started")[0]["person"] == "Ayu"
    for name in ("report.html", "report.md"):
        assert "Budi" in office.desk.file(done, name)
    assert office.desk.verified(run) == (EXIT_DONE, "whole")


def test_the_door(office: Office) -> None:
    """The exit codes of the commands as they are typed: 3, a refusal for the initiator 2, an approval 0, and 0."""
    run = held(office)
    own = office.desk.typed("approve", "--env", "staging", "--run", run, "--note", "mine")
    assert (own.returncode, "Ayu began the run" in own.stderr) == (EXIT_REFUSED, True)
    office.sits("budi")
    silent = office.desk.typed("approve", "--env", "staging", "--run", run)
    assert (silent.returncode, "--note" in silent.stderr) == (EXIT_REFUSED, True)
    said = office.desk.typed("approve", "--env", "staging", "--run", run, "--note", "fine", "--json")
    assert (said.returncode, json.loads(said.stdout)["person"]) == (EXIT_DONE, "Budi")
    office.sits("ayu")
    assert office.desk.typed("resume", "--env", "staging").returncode == EXIT_DONE
    status = office.desk.typed("status", "--env", "staging")
    assert "approved by Budi" in status.stdout


@pytest.mark.parametrize(
    ("who", "why"),
    [("ayu", "Ayu began the run"), ("team", "shared by Budi and Citra"), ("dewi", "Dewi is no approver")],
)
def test_who_cannot_approve(office: Office, who: str, why: str) -> None:
    """The initiator, a shared role and somebody who is no approver; a row by hand does not help them either."""
    run = held(office)
    with pytest.raises(Refused, match=why):
        office.says(who, run=run)
    with psycopg.connect(office.url(who), autocommit=True) as connection:
        forge(connection, run)
    again = office.resume()
    assert (again.exit_code, why in again.document["reason"]) == (EXIT_HELD, True)
    assert again.document["answers"] == []


def test_a_run_under_a_shared_role_is_refused(office: Office) -> None:
    """Nobody knows who began it, so nobody can be another."""
    execute(office.admin, f'grant "{role(office.admin, "ayu")}" to "{role(office.admin, "team")}"')
    office.sits("team")
    answer = office.desk.deploy()
    assert (answer.exit_code, answer.document["state"]) == (EXIT_REFUSED, "refused")
    assert "shared by Budi and Citra" in answer.document["reason"]


@MATRIX
def test_the_same_person_twice_is_one(office: Office) -> None:
    """Two approvals are two people."""
    office.opens(approvals=2)
    run = held(office)
    office.says("budi", run=run)
    office.says("budi", run=run)
    again = office.resume()
    assert (again.exit_code, "1 of 2 approvals" in again.document["reason"]) == (EXIT_HELD, True)
    office.says("citra", run=run)
    done = office.resume()
    assert done.exit_code == EXIT_DONE
    assert sorted(each["person"] for each in done.document["answers"]) == ["Budi", "Citra"]


@MATRIX
def test_an_approval_does_not_survive_another_column(office: Office) -> None:
    """One added column in a touched table: the same plan, and yet it has to be looked at again."""
    run = held(office)
    digest = office.desk.status()["digest"]
    office.says("budi", run=run)
    execute(office.admin, "alter table public.punchlists add column late text")
    again = office.resume()
    assert again.exit_code == EXIT_HELD
    assert "Budi (was given before a table of the plan changed or a gate was overridden)" in again.document["reason"]
    assert office.desk.status()["digest"] == digest
    office.says("budi", run=run)
    assert office.resume().exit_code == EXIT_DONE


def test_an_approval_does_not_survive_another_character_of_the_plan(office: Office) -> None:
    """A key that somebody added meanwhile changes the digest; a digest with one other character counts for nothing."""
    run = held(office)
    digest = office.desk.status()["digest"]
    with psycopg.connect(office.url("budi"), autocommit=True) as connection:
        forge(connection, run, digest=digest[:-1] + ("0" if digest[-1] != "0" else "1"))
    again = office.resume()
    assert (again.exit_code, "Budi (was given for another plan" in again.document["reason"]) == (EXIT_HELD, True)
    office.says("budi", run=run)
    execute(
        office.admin,
        "alter table public.punchlist_items add constraint fk_punchlist_items_punchlist_id"
        " foreign key (punchlist_id) references public.punchlists (id) on delete cascade not valid",
    )
    again = office.resume()
    assert office.desk.status()["digest"] != digest
    assert (again.exit_code, "Budi (was given for another plan" in again.document["reason"]) == (EXIT_HELD, True)
    assert again.document["answers"] == []


def test_a_denial_ends_the_run_as_refused_and_walks_nothing_back(office: Office) -> None:
    """Exit 2, the target as it was, nothing undone; another deployment can begin."""
    before = fingerprint(office.admin)
    run = held(office)
    office.says("budi", run=run)
    said = office.says("citra", run=run, deny=True)
    assert (said.exit_code, said.document["answer"]) == (EXIT_DONE, "deny")
    ended = office.resume()
    assert (ended.exit_code, ended.document["state"], ended.document["run"]) == (EXIT_REFUSED, "refused", run)
    assert "denied by Citra" in ended.document["reason"]
    assert ended.document["rolled_back"] is False
    assert not any("invoke approve" in step for step in ended.document["next_steps"])
    assert office.desk.events(ended, "walk_back_began") == []
    assert fingerprint(office.admin) == before
    with pytest.raises(Refused, match="is not open"):
        office.says("budi", run=run)
    # What was said to the run that is closed is no answer to the next one.
    assert office.deploy().exit_code == EXIT_HELD


def test_a_denial_after_the_first_change_is_refused(office: Office, stop_at: Stop) -> None:
    """It would have to walk back, and that is another command."""
    run = held(office)
    office.says("budi", run=run)
    stop_at("effect:committed", 5)
    with pytest.raises(Stopped):
        office.resume()
    with pytest.raises(Refused, match="has changed the target already"):
        office.says("citra", run=run, deny=True)
    done = office.resume()
    assert done.exit_code == EXIT_DONE
    assert len(done.document["answers"]) == 1


def test_an_approval_before_the_run_is_kept_and_used_once(office: Office) -> None:
    """The plan is approved by its digest; the first run that carries it out does not wait, the next one does."""
    office.deploy(until="plan")
    office.sits("budi")
    digest = office.desk.plan().document["digest"]
    with pytest.raises(Refused, match="the plan of now has digest"):
        office.says("budi", plan=digest[:-1] + "x")
    office.says("budi", plan=digest[:16])
    done = office.deploy()
    assert done.exit_code == EXIT_DONE
    assert done.document["answers"][0]["person"] == "Budi"
    office.sits("ayu")
    assert office.desk.rollback().exit_code == EXIT_DONE
    assert office.desk.plan().document["digest"] == digest
    assert office.deploy().exit_code == EXIT_HELD


SHOP = """
[[foreign_key]]
table = "punchlists"
columns = ["workflow_instance_id"]
references = { table = "workflow_instances", columns = ["id"] }
name = "fk_shop_1"
"""


def test_an_approval_covers_the_commands_on_hosts(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    """`plan` shows what to approve; another command is not covered: neither by the plan's digest, nor on a resume."""
    office.deploy(until="plan")
    runbook = _restarting(office, "echo one")
    told = office.desk.plan(runbook=runbook).document
    assert told["approval"].startswith(f"{told['digest']}.")
    assert [each["command"] for each in told["host_commands"]] == ["echo one"]
    assert f"1 command on hosts; to approve them with the plan: --plan {told['approval']}" in capsys.readouterr().out
    with pytest.raises(Refused, match=r"has digest \w+\.\w+ \(commands on hosts after the dot\)"):
        office.says("budi", plan=told["digest"], runbook=runbook)
    office.says("budi", plan=told["approval"], runbook=runbook)
    assert "on hosts Restart (sha256 " in capsys.readouterr().out
    _restarting(office, "echo two")
    waits = office.deploy(runbook=runbook)
    assert waits.exit_code == EXIT_HELD
    assert "and 1 command on hosts; void: that of Budi (was given for other commands" in waits.document["reason"]
    office.says("budi", run=waits.document["run"], runbook=runbook)
    _restarting(office, "echo three")
    office.sits("ayu")
    with pytest.raises(Refused, match=r"was edited since run .* on hosts Restart") as refused:
        office.desk.resume(runbook=runbook)
    assert "\n" not in str(refused.value)
    _restarting(office, "echo two")
    assert office.desk.resume(runbook=runbook).exit_code == EXIT_DONE


def _restarting(office: Office, command: str) -> str:
    """The shop's runbook with a command on hosts."""
    runbook = office.desk.runbook(SHOP)
    items = f'on_any_road=(on_hosts("{command}", title="Restart"),)'
    lines = (
        "from orchestrator.core.timeline import Runbook, on_hosts",
        f'RUNBOOK = Runbook(name="custom", title="C", {items})',
    )
    text = "\n".join(lines)
    (Path(runbook) / "runbook.py").write_text(text, encoding="utf-8")
    return runbook


@pytest.mark.parametrize("change", ["the contract", "a table", "nothing"])
def test_an_approval_before_the_run_survives_no_change(office: Office, change: str) -> None:
    """One other character in the name of a key, or one added column: the run waits."""
    office.deploy(until="plan")
    runbook = office.desk.runbook(SHOP)
    digest = office.desk.plan(runbook=runbook).document["digest"]
    office.says("budi", plan=digest, runbook=runbook)
    if change == "the contract":
        office.desk.runbook(SHOP.replace("fk_shop_1", "fk_shop_2"))
    if change == "a table":
        execute(office.admin, "alter table public.workflow_instances add column late text")
    answer = office.deploy(runbook=runbook)
    assert answer.exit_code == (EXIT_DONE if change == "nothing" else EXIT_HELD)
    void = {"the contract": "another plan", "a table": "a table of the plan changed", "nothing": ""}[change]
    assert void in answer.document["reason"]


def test_the_role_of_the_environment_is_for_runs_only(office: Office) -> None:
    """Ayu logs in as herself and takes on the owner's role; Budi may not take it on, and approves all the same."""
    owner, ayu = role(office.admin, "team"), role(office.admin, "ayu")
    execute(office.admin, f'reassign owned by "{ayu}" to "{owner}"', f'grant "{owner}" to "{ayu}"')
    execute(office.admin, f'grant create on database "{servers.database_name(office.admin)}" to "{owner}"')
    office.opens(takes_on=owner)
    run = held(office)
    office.says("budi", run=run)
    done = office.resume()
    assert done.exit_code == EXIT_DONE
    assert office.desk.events(done, "run_started")[0]["target"]["role"] == ayu
    assert rows(office.admin, "select nspowner::regrole::text from pg_namespace where nspname = 'orchestrator'") == [
        (owner,)
    ]


def test_an_approval_while_the_run_is_not_there_yet_is_kept(office: Office, stop_at: Stop) -> None:
    """A run that crashed before its gate is approved meanwhile; it does not wait when it comes to it."""
    stop_at("run:begun", 1)
    with pytest.raises(Stopped):
        office.deploy()
    run = office.desk.status()["run"]
    with pytest.raises(Refused, match="has no plan yet"):
        office.says("budi", run=run)
    assert office.resume().exit_code == EXIT_HELD
    office.says("budi", run=run)
    assert office.resume().exit_code == EXIT_DONE


def test_a_person_who_is_no_approver_any_more_does_not_count(office: Office) -> None:
    """The answer is weighed against the people of the moment when the run hears it."""
    run = held(office)
    office.says("budi", run=run)
    path = office.desk.inventory / "staging.toml"
    path.write_text(
        "\n".join(
            line.replace("approver = true", "approver = false") if line.startswith("Budi") else line
            for line in path.read_text("utf-8").splitlines()
        )
    )
    again = office.resume()
    assert (again.exit_code, "Budi is no approver" in again.document["reason"]) == (EXIT_HELD, True)


@pytest.mark.parametrize(
    "attempt",
    [
        "select * from orchestrator.event",
        "select * from orchestrator.answer",
        "select * from public.punchlists",
        "insert into orchestrator.event select 'r', 1, now(), 'a', 'k', '{}', '', ''",
        "insert into orchestrator.answer (answer, target, person, proof, note, os_user, host)"
        " values ('approve', '', 'Budi', '', 'n', '', '')",
        "select orchestrator.append('r', 'k', '{}', 1)",
        "update orchestrator.run set closed = true",
        "create table orchestrator.mine (x integer)",
    ],
)
def test_an_approver_has_no_other_right(office: Office, attempt: str) -> None:
    """Neither reading tables nor writing events, nor writing an answer without the function."""
    held(office)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        execute(office.url("budi"), attempt)


def test_who_spoke_is_who_logged_in(office: Office) -> None:
    """SET ROLE changes nothing, and neither does a row by hand of the schema's owner, which cannot be edited."""
    run = held(office)
    budi, ayu = role(office.admin, "budi"), role(office.admin, "ayu")
    execute(office.admin, f'grant "{budi}" to "{ayu}"')
    with psycopg.connect(office.url("ayu"), autocommit=True) as connection:
        connection.execute(sql.SQL("set role {}").format(sql.Identifier(budi)))
        forge(connection, run)
        connection.execute("reset role")
        connection.execute(
            "insert into orchestrator.answer (answer, run, target, person, proof, note, os_user, host, actor)"
            " values ('approve', %s, 'x', 'Budi', '', 'n', 'o', 'h', %s)",
            (run, budi),
        )
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
            connection.execute("update orchestrator.answer set actor = %s", (budi,))
    assert rows(office.admin, "select distinct actor from orchestrator.answer") == [(ayu,)]
    assert office.resume().exit_code == EXIT_HELD


def test_without_the_right_to_answer_the_way_to_it_is_told(office: Office) -> None:
    """One line that names the role and the command."""
    run = held(office)
    execute(office.admin, f'revoke {APPROVER} from "{role(office.admin, "budi")}"')
    with pytest.raises(Refused, match="may not answer: it needs orchestrator_approver, as invoke preflight --grants"):
        office.says("budi", run=run)


def test_the_printed_grants_are_enough(office: Office) -> None:
    """A server that had no role for approvers when its ledger was made."""
    run = held(office)
    budi = role(office.admin, "budi")
    execute(
        office.admin,
        f'revoke {APPROVER} from "{budi}"',
        f"revoke all on schema orchestrator from {APPROVER}",
        f"revoke all on all functions in schema orchestrator from {APPROVER}",
    )
    printed = office.desk.typed("preflight", "--env", "staging", "--grants").stdout.splitlines()
    execute(office.admin, *(line for line in printed if APPROVER in line and not line.startswith("--")))
    office.says("budi", run=run)
    assert office.resume().exit_code == EXIT_DONE


def test_a_dry_run_waits_for_nobody(office: Office) -> None:
    """It shows that approvals will be needed."""
    said = office.desk.typed("deploy", "--env", "staging", "--dry-run")
    assert said.returncode == EXIT_DONE
    assert "wait for 1 approval of plan" in said.stdout


def hold_findings(office: Office, number: int) -> None:
    """Important findings at preflight: invalid indexes on tables of the contract."""
    for table in ("punchlists", "punchlist_items", "users")[:number]:
        execute(office.admin, f"create index broken_{table} on public.{table} (id)")
        execute(
            office.admin,
            f"update pg_index set indisvalid = false where indexrelid = 'public.broken_{table}'::regclass",
        )


def test_a_hold_is_accepted_by_name_and_reason(office: Office) -> None:
    """Without required approvals by the initiator too; the run goes on, and reports tell who accepted what."""
    office.opens(approvals=0)
    office.desk.book = MASTER  # the checks at validation are its own
    hold_findings(office, 1)
    answer = office.deploy()
    run = answer.document["run"]
    assert (answer.exit_code, answer.document["verdict"]) == (EXIT_HELD, "HOLD")
    assert any("to accept the HOLD: invoke approve" in step for step in answer.document["next_steps"])
    assert office.resume().exit_code == EXIT_HELD
    said = office.desk.typed("approve", "--env", "staging", "--run", run, "--note", "rebuilt tonight", "--json")
    assert (said.returncode, json.loads(said.stdout)["answer"]) == (EXIT_DONE, "accept")
    # Validation finds the same index, and that is a question of its own: everything stands, and the run waits again.
    again = office.resume()
    assert (again.exit_code, len(keys(office.admin))) == (EXIT_HELD, 45)
    office.says("ayu", run=run)
    done = office.resume()
    assert (done.exit_code, done.document["run"]) == (EXIT_DONE, run)
    heard = [(each["answer"], each["subject"], each["person"]) for each in done.document["answers"]]
    assert heard == [("accept", "preflight", "Ayu"), ("accept", "validate", "Ayu")]
    given = [each for each in office.desk.events(done, "verdict_given") if each["gate"] == "validate"]
    assert [each["word"] for each in given] == ["HOLD", "HOLD", "GO"]
    assert "HOLD accepted by Ayu" in given[-1]["reasons"][0]
    assert "rebuilt tonight" in office.desk.file(done, "report.md")


def test_an_accepted_hold_with_one_more_finding_is_another_one(office: Office) -> None:
    """What was accepted were those reasons."""
    office.opens(approvals=0)
    hold_findings(office, 1)
    office.deploy()
    office.says("ayu")
    execute(
        office.admin,
        "create index broken_late on public.users (id)",
        "update pg_index set indisvalid = false where indexrelid = 'public.broken_late'::regclass",
    )
    assert office.resume().exit_code == EXIT_HELD


def test_a_hold_is_denied(office: Office) -> None:
    """Where nobody has to approve a held run can be denied, too; it ends before its first step."""
    office.opens(approvals=0)
    hold_findings(office, 1)
    run = office.deploy().document["run"]
    office.says("budi", run=run, deny=True)
    ended = office.resume()
    assert (ended.exit_code, ended.document["state"]) == (EXIT_REFUSED, "refused")
    assert "denied by Budi" in ended.document["reason"]
    assert len(keys(office.admin)) == 1


def test_a_denial_is_heard_over_a_connection_that_breaks(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever could not ask asks again, and begins nothing before there is an answer."""
    office.opens(approvals=0)
    hold_findings(office, 1)
    run = office.deploy().document["run"]
    office.says("budi", run=run, deny=True)
    asked, said = count(), LedgerAnswers.said

    def breaking(self: LedgerAnswers, run: Run) -> tuple[Said, ...]:
        if next(asked) % 2 == 0:
            message = "staging: the connection was lost"
            raise ConnectionLost(message)
        return said(self, run)

    monkeypatch.setattr(LedgerAnswers, "said", breaking)
    ended = office.resume()
    assert (ended.exit_code, ended.document["state"]) == (EXIT_REFUSED, "refused")
    assert "denied by Budi" in ended.document["reason"]
    assert len(keys(office.admin)) == 1


def test_where_approvals_are_required_the_initiator_accepts_nothing(office: Office) -> None:
    """Somebody else accepts the HOLD, and then the plan is approved."""
    office.desk.book = MASTER  # the checks at validation are its own
    hold_findings(office, 1)
    office.deploy()
    with pytest.raises(Refused, match="Ayu began the run"):
        office.says("ayu")
    assert office.says("budi").document["answer"] == "accept"
    assert office.resume().exit_code == EXIT_HELD
    assert office.says("budi").document["answer"] == "approve"
    assert office.resume().exit_code == EXIT_HELD
    assert office.says("citra").document["subject"] == "validate"
    done = office.resume()
    assert done.exit_code == EXIT_DONE
    heard = [(each["answer"], each["person"]) for each in done.document["answers"]]
    assert heard == [("accept", "Budi"), ("approve", "Budi"), ("accept", "Citra")]


def test_a_no_go_cannot_be_accepted(office: Office) -> None:
    """The run is refused and closed; there is nothing to answer to."""
    office.opens(approvals=0)
    office.deploy(until="plan")
    execute(office.admin, "alter table public.punchlists rename column workflow_instance_id to instance")
    refused = office.deploy()
    assert refused.exit_code == EXIT_REFUSED
    with pytest.raises(Refused, match="a NO-GO cannot be accepted"):
        office.says("ayu", run=refused.document["run"])


def test_a_note_is_one_printable_line(office: Office) -> None:
    """What an approver writes is shown on the operator's terminal."""
    run = held(office)
    office.sits("budi")
    words = ("approve", "--env", "staging", "--run", run)
    assert office.desk.typed(*words, "--note", " \n").returncode == EXIT_REFUSED
    assert office.desk.typed(*words, "--note", "fine\n\x1b[2JGO everything").returncode == EXIT_DONE
    (heard,) = office.resume().document["answers"]
    assert heard["note"] == "fine [2JGO everything"


def test_a_manual_item_is_confirmed(office: Office) -> None:
    """By a name of [people], with what proves it; an item of the checklist and nothing else."""
    office.desk.book = MASTER  # the checklist is its own
    office.deploy(until="plan")
    office.sits("dewi")
    words = ("approve", "--env", "staging", "--item", "Monitor", "--note", "mail sent")
    unknown = office.desk.typed("approve", "--env", "staging", "--item", "Monito", "--note", "x", "--by", "Dewi")
    assert unknown.returncode == EXIT_REFUSED
    assert "did you mean monitor?" in unknown.stderr
    assert office.desk.typed(*words, "--by", "Nobody").returncode == EXIT_REFUSED
    assert office.desk.typed(*words).returncode == EXIT_REFUSED
    assert office.desk.typed(*words, "--by", "Dewi").returncode == EXIT_DONE
    query = "select subject, person, proof, note from orchestrator.answer where answer = 'confirm'"
    assert rows(office.admin, query) == [("monitor", "Dewi", f"role {role(office.admin, 'dewi')}", "mail sent")]


def test_without_a_ledger_there_is_nothing_to_answer_to(office: Office) -> None:
    """One line, exit 2."""
    office.sits("budi")
    with pytest.raises(Refused, match="no ledger that takes answers"):
        office.says("budi")
    assert value(office.admin, "select to_regnamespace('orchestrator') is null") is True
