"""Production is opened by evidence: each gate in turn is closed, says what was found and what resolves it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from orchestrator.adapters import points
from orchestrator.adapters.evidence import signing_key, write_evidence
from orchestrator.app.answer import Answer
from orchestrator.core.outcome import Refused
from tests import servers
from tests.acceptance.desk import Desk, execute, finding, keys, states, value
from tests.acceptance.production import NOW, WINDOW, Shop
from tests.adapters.test_evidence import environment, run_of, write_pair
from tests.conftest import ClusterUrl


@pytest.fixture
def shop(desk: Desk, database: str, cluster_url: ClusterUrl) -> Iterator[Shop]:
    """Two databases with the same tables, and nothing that opens a gate."""
    prod = servers.fresh_database(cluster_url(16))
    made = Shop(desk=desk, staging=database, prod=prod)
    made.open()
    yield made
    servers.drop_database(prod)


@pytest.fixture
def ready(shop: Shop) -> Shop:
    """Everything in place."""
    shop.ready()
    return shop


def closed(shop: Shop, answer: Answer, gate: str, *words: str, remedy: str) -> None:
    """Refused by that gate alone, which tells what was found and what resolves it; nothing is left open."""
    against = [each["id"] for each in answer.document["findings"] if each["status"] != "pass"]
    assert (answer.exit_code, answer.document["state"]) == (2, "refused")
    found = finding(answer, f"gate.{gate}")
    assert f"gate.{gate}" in against
    assert (found["status"] in {"fail", "unknown"}, found["severity"]) == (True, "critical")
    for word in words:
        assert word in found["observed"], found["observed"]
    assert remedy in found["remedy"], found["remedy"]
    assert f"gate.{gate}" in answer.document["reason"]
    assert keys(shop.prod) == {}
    assert shop.desk.status("prod")["state"] == "refused"


def only(answer: Answer) -> set[str]:
    """The gates that are closed."""
    return {
        each["id"].removeprefix("gate.")
        for each in answer.document["findings"]
        if each["id"].startswith("gate.") and each["status"] != "pass"
    }


def test_with_everything_in_place_it_is_go(ready: Shop) -> None:
    """All gates open; the keys stand."""
    ready.policy(WINDOW)
    answer = ready.deploy()
    assert (answer.exit_code, answer.document["verdict"], only(answer)) == (0, "GO", set())
    assert len(keys(ready.prod)) == 2
    assert states(answer)["gates"] == "done"
    # What writes were like before, for the watch; no row is written to find out where nobody allowed that.
    (baseline,) = ready.desk.events(answer, "baseline_taken")
    assert (baseline["sample"]["method"], baseline["sample"]["transactions"]["committed"] > 0) == ("none", True)
    assert "pg_stat_statements is not installed" in baseline["sample"]["unknown"]["writes"]


def test_a_second_deployment_has_nothing_to_prove(ready: Shop) -> None:
    """Every key stands: the empty plan is nobody's evidence, and needs none; it is GO again."""
    assert ready.deploy().exit_code == 0
    again = ready.deploy()
    assert (again.exit_code, again.document["verdict"], only(again)) == (0, "GO", set())
    assert "no statements" in finding(again, "gate.rehearsal")["observed"]
    assert states(again)["apply"] == "skipped"


def test_nothing_but_production_has_gates(shop: Shop) -> None:
    """Staging is deployed to without; the step says why it did nothing."""
    answer = shop.stage()
    (step,) = (each for each in answer.document["steps"] if each["id"] == "gates")
    assert (step["state"], step["note"]) == ("skipped", "staging has no gates, production has")


def test_no_decision(ready: Shop) -> None:
    """Refused with the command that decides."""
    (ready.desk.folder / "shop" / "decision.toml").unlink()
    answer = ready.deploy()
    closed(ready, answer, "decision", "no decision", "medium (undecided)", remedy="invoke decide --option A")
    assert only(answer) == {"decision"}


def test_decided_for_the_other_road(ready: Shop) -> None:
    """Option B adds no keys, so there is nothing to deploy."""
    ready.decide("B")
    answer = ready.deploy()
    closed(ready, answer, "decision", "option B", "adds no keys", remedy="invoke decide --option A")


def test_no_rehearsal(shop: Shop) -> None:
    """A GO run of staging alone is no rehearsal."""
    shop.decide()
    shop.stage()
    answer = shop.deploy()
    closed(shop, answer, "rehearsal", "no rehearsal of shop", remedy="invoke rehearse --env staging --like prod")
    assert only(answer) == {"rehearsal"}


def test_no_staging_run(shop: Shop) -> None:
    """A rehearsal alone is no deployment."""
    shop.decide()
    shop.record(shop.evidence())
    answer = shop.deploy()
    closed(shop, answer, "staging_run", "no GO run of staging", remedy="invoke deploy --env staging")
    assert only(answer) == {"staging_run"}
    resolve, again = answer.document["next_steps"]
    assert resolve.startswith("invoke deploy --env staging ")
    assert "--override" not in resolve
    assert again.startswith("invoke deploy --env prod ")


def test_a_staging_run_that_was_walked_back_does_not_count(ready: Shop) -> None:
    """What stands there no more proves nothing."""
    assert ready.desk.rollback("staging", runbook=ready.runbook).exit_code == 0
    closed(ready, ready.deploy(), "staging_run", "no GO run of staging", remedy="invoke deploy --env staging")


def test_a_staging_run_that_left_steps_out_does_not_count(shop: Shop) -> None:
    """`--until plan` is done, and deployed nothing."""
    shop.decide()
    shop.record(shop.evidence())
    assert shop.desk.deploy("staging", runbook=shop.runbook, until="plan").exit_code == 0
    closed(shop, shop.deploy(), "staging_run", "no GO run", remedy="invoke deploy --env staging")


def test_evidence_too_old_and_renewed(ready: Shop) -> None:
    """Past the policy it is refused; new evidence opens again, although the staging run is as old."""
    ready.now = NOW + timedelta(hours=336)
    answer = ready.deploy()
    closed(
        ready, answer, "rehearsal", "337.0 h old", "too old", "336", remedy="invoke rehearse --env staging --like prod"
    )
    assert only(answer) == {"rehearsal"}
    ready.record(ready.evidence())
    assert ready.deploy().exit_code == 0


def test_evidence_for_another_plan(shop: Shop) -> None:
    """A digest that differs is another plan."""
    shop.decide()
    shop.record(shop.evidence(digest="0" * 64))
    shop.stage()
    closed(shop, shop.deploy(), "rehearsal", "another plan", "000000000000", remedy="invoke rehearse --env staging")


@pytest.mark.parametrize(
    ("changes", "word"),
    [({"verdict": "NO-GO", "reasons": ("a key failed",)}, "a key failed"), ({"ways_back": ()}, "no way back")],
)
def test_evidence_that_proves_too_little(shop: Shop, changes: dict[str, object], word: str) -> None:
    """Only GO counts, and only with its way back."""
    shop.decide()
    shop.record(shop.evidence(**changes))
    shop.stage()
    closed(shop, shop.deploy(), "rehearsal", word, remedy="invoke rehearse")


@pytest.mark.parametrize(("kind", "gate"), [("evidence_recorded", "rehearsal"), ("run_finished", "staging_run")])
def test_a_ledger_that_was_touched_proves_nothing(shop: Shop, kind: str, gate: str) -> None:
    """Whoever may change staging's ledger opens no gate of production with it."""
    shop.decide()
    evidence = shop.evidence()
    staged = shop.stage().document["run"]
    shop.record(evidence)
    execute(
        shop.staging,
        "alter table orchestrator.event disable trigger append_only",
        f"update orchestrator.event set at = at + '1 second' where kind = '{kind}'"
        f" and (run = '{staged}') = (kind = 'run_finished')",
    )
    closed(shop, shop.deploy(), gate, "not whole", remedy="invoke")


INSERT = (
    "insert into orchestrator.event"
    " select '{run}', seq, at + '{later}', actor, kind, replace(data::text, run, '{run}')::json, previous, hash"
    " from orchestrator.event where run = '{copied}'"
)
"""What a role can do that may only insert events: the copy of a run under another name."""


def test_a_run_that_was_slipped_in_proves_nothing(shop: Shop) -> None:
    """The chain of the very run that a gate would look at is examined, wherever its name is in the order."""
    shop.ready()
    run = "00000000T000000000-0000"
    copied = value(shop.staging, "select run from orchestrator.event where kind = 'statement_done' limit 1")
    execute(
        shop.staging,
        INSERT.format(run=run, later="1 minute", copied=copied),
        f"insert into orchestrator.run select '{run}', environment, 0, '', closed"
        f" from orchestrator.run where id = '{copied}'",
    )
    closed(shop, shop.deploy(), "staging_run", run, "not whole", remedy="invoke")


def test_evidence_without_a_zone_is_passed_over(shop: Shop) -> None:
    """It cannot be compared with any other, and ends nothing."""
    shop.ready()
    execute(
        shop.staging,
        "create temporary table odd as select * from orchestrator.event where kind = 'evidence_recorded'",
        "insert into orchestrator.event select 'odd', seq, at, actor, kind, jsonb_set(jsonb_set(data::jsonb,"
        " '{evidence,finished}', '\"2026-01-01T00:00:00\"'), '{evidence,run}', '\"odd\"')::json,"
        " previous, hash from odd",
    )
    assert shop.deploy().exit_code == 0


def test_another_major_version(shop: Shop) -> None:
    """Refused, and accepted by name."""
    shop.decide()
    evidence = shop.evidence(scratch_version=150005)
    shop.stage()
    shop.record(evidence)
    closed(shop, shop.deploy(), "same_version", "PostgreSQL 15", "this is 16", remedy="--override same_version")
    answer = shop.deploy(override="same_version", reason="measured on both")
    assert answer.exit_code == 0
    assert answer.document["overridden"][0].startswith("gate.same_version by ")
    assert finding(answer, "gate.same_version")["severity"] == "optional"
    for name in ("report.html", "report.md"):
        assert "measured on both" in shop.desk.file(answer, name)


@pytest.mark.parametrize("major", [15, 18])
def test_two_servers_of_two_versions(desk: Desk, cluster_url: ClusterUrl, database: str, major: int) -> None:
    """Staging on another version: its run is told, and nothing but the version differs between the two."""
    staging = servers.fresh_database(cluster_url(major))
    shop = Shop(desk=desk, staging=staging, prod=database)
    shop.open()
    shop.ready()
    answer = shop.deploy()
    closed(shop, answer, "same_version", f"PostgreSQL {major}; this is 16", remedy="--override same_version")
    assert only(answer) == {"same_version"}
    assert "staging is different" in finding(answer, "gate.identity")["observed"]
    servers.drop_database(staging)


def test_drift_in_a_touched_table(ready: Shop) -> None:
    """Shown readable; `drift` shows all, and the keys themselves do not count."""
    execute(ready.prod, "alter table orders add column colour text")
    execute(ready.staging, "create index late on customers (name)")
    answer = ready.deploy()
    told = ("2 differences", "only in prod: public.orders: column colour text", "only in staging:", "late")
    closed(ready, answer, "same_tables", *told, remedy="invoke drift --env prod")
    assert only(answer) == {"same_tables"}


def test_drift_elsewhere_does_not_count(ready: Shop) -> None:
    """A table that the plan does not touch may differ."""
    execute(ready.prod, "create table own (id bigint)")
    assert ready.deploy().exit_code == 0


def test_production_equal_to_staging(ready: Shop) -> None:
    """Law 8, whatever it is called: preflight has it before any gate."""
    ready.policy("", url=ready.staging)
    answer = ready.deploy()
    assert (answer.exit_code, answer.document["state"]) == (2, "refused")
    found = finding(answer, "identity")
    assert "prod and staging are one database" in found["observed"]
    assert "databases" in found["remedy"]
    with pytest.raises(Refused, match="cannot be overridden"):
        ready.deploy(override="identity", reason="they are meant to be")


def test_wrong_marker(ready: Shop) -> None:
    """A copy that carries another environment's marker; adopted, it is open."""
    assert ready.deploy(until="preflight").exit_code == 0
    execute(ready.prod, "update orchestrator.marker set environment = 'elsewhere'")
    answer = ready.deploy()
    closed(ready, answer, "marker", "marked as elsewhere", "not as prod", remedy="invoke adopt --env prod")
    assert only(answer) == {"marker"}
    done = ready.desk.typed("adopt", "--env", "prod", "--reason", "refreshed", "--yes")
    assert done.returncode == 0, done.stderr
    assert ready.deploy().exit_code == 0


def test_outside_the_window(ready: Shop) -> None:
    """The finding tells when the next one begins."""
    ready.policy(WINDOW)
    ready.now = NOW.replace(hour=19)
    answer = ready.deploy()
    closed(ready, answer, "window", "Tue 22:00-02:00", "Wed 2026-12-16 02:00 WIB", remedy="Tue 2026-12-22 22:00 WIB")
    assert only(answer) == {"window"}


def test_frozen(ready: Shop) -> None:
    """With its reason, and when it is over."""
    ready.policy(WINDOW + '\nfreeze = [{ from = 2026-12-14, to = 2026-12-28, reason = "year end" }]')
    answer = ready.deploy()
    closed(ready, answer, "freeze", "year end", "2026-12-28", remedy="Tue 2026-12-29 22:00 WIB")
    assert only(answer) == {"freeze"}


def test_not_enough_time_left(ready: Shop) -> None:
    """Inside the window, but neither the work nor the way back would fit."""
    ready.policy(WINDOW)
    ready.now = NOW.replace(hour=18, minute=59, second=59) + timedelta(microseconds=950_000)
    answer = ready.deploy()
    closed(
        ready,
        answer,
        "time_left",
        "0.1 s for approval, backup, apply, validate",
        "way back",
        remedy="wait for the next window",
    )
    assert only(answer) == {"time_left"}


def test_a_narrower_run_is_another_plan(ready: Shop) -> None:
    """`--only` needs evidence of its own; the command says so."""
    answer = ready.deploy(only=("notes",))
    closed(ready, answer, "rehearsal", "another plan", remedy="invoke rehearse --env staging --like prod --only notes")
    assert only(answer) == {"rehearsal", "staging_run"}


def test_the_next_command_is_as_narrow_as_the_refused_one(ready: Shop) -> None:
    """What is typed again is the same deployment, and not a wider one."""
    answer = ready.deploy(only=("notes",))
    assert answer.exit_code == 2
    assert answer.document["next_steps"][-1].endswith(" --only notes")


def test_evidence_from_a_file_that_is_not_there(desk: Desk) -> None:
    """Exit 2, before anything is looked at."""
    done = desk.typed("deploy", "--env", "prod", "--evidence", "nowhere.json")
    assert (done.returncode, "nowhere.json: no such file" in done.stderr) == (2, True)


def test_an_evidence_file_that_proves_nothing(ready: Shop) -> None:
    """Closed by the gate of the rehearsal, although the ledger would open it: somebody gave a file on purpose."""
    file = ready.desk.folder / "evidence.json"
    file.write_text("{}", encoding="utf-8")
    answer = ready.deploy(evidence=str(file))
    closed(ready, answer, "rehearsal", remedy="leave --evidence out")


@pytest.mark.parametrize(
    ("changes", "word"),
    [({"runbook": "till"}, "runbook till, and this is shop"), ({"environment": "lab"}, "evidence of lab")],
)
def test_signed_evidence_of_something_else(shop: Shop, changes: dict[str, object], word: str) -> None:
    """The same keys may be another runbook's or have been tried elsewhere: good and signed, and nothing to go by."""
    shop.decide()
    private, _ = write_pair(shop.desk.folder)
    shop.policy(f'[evidence]\nkey = {{ file = "{private}" }}')
    strange, evidence, file = shop.evidence(**changes), shop.evidence(), shop.desk.folder / "evidence.json"
    signer = signing_key(environment(private))
    shop.stage()
    write_evidence(file, run_of(strange), signer)
    closed(shop, shop.deploy(evidence=str(file)), "rehearsal", word, remedy="leave --evidence out")
    write_evidence(file, run_of(evidence), signer)
    assert shop.deploy(evidence=str(file)).exit_code == 0


def test_a_file_whose_source_is_not_named(shop: Shop) -> None:
    """Nobody can be reached who has no name: what is missing is the name."""
    private, _ = write_pair(shop.desk.folder)
    shop.policy(f'[evidence]\nkey = {{ file = "{private}" }}', head="")
    file = shop.desk.folder / "evidence.json"
    write_evidence(file, run_of(shop.evidence()), signing_key(environment(private)))
    answer = shop.deploy(evidence=str(file))
    closed(shop, answer, "staging_run", "names no environment.evidence_from", remedy='set evidence_from = "staging"')


def test_no_evidence_from(ready: Shop) -> None:
    """A production environment that names nobody has no evidence."""
    ready.policy("", head="")
    closed(ready, ready.deploy(), "rehearsal", "evidence_from", remedy='evidence_from = "staging"')


def test_staging_cannot_be_reached(ready: Shop) -> None:
    """Unknown is closed, and says why."""
    ready.desk.environment("staging", None)
    answer = ready.deploy()
    closed(ready, answer, "rehearsal", "could not be read", "STAGING_URL", remedy="make staging reachable")
    assert only(answer) == {"rehearsal", "staging_run", "same_tables", "identity"}


OVERRIDES = [
    ("walk", "why", "no such gate"),
    ("preflight", "why", "no such gate"),
    ("identity", "why", "cannot be overridden"),
    ("marker", "why", "cannot be overridden"),
    ("decision", "why", "cannot be overridden"),
    ("window", " ", "a reason is missing"),
    ("window", None, "a reason is missing"),
    (None, "why", "no gate is named"),
    (" , ", "why", "names nothing"),
]


@pytest.mark.parametrize(("names", "reason", "word"), OVERRIDES)
def test_what_cannot_be_overridden(desk: Desk, names: str | None, reason: str | None, word: str) -> None:
    """Exit 2, before anything is looked at."""
    words = ["--override", names] if names is not None else []
    words += ["--override-reason", reason] if reason is not None else []
    done = desk.typed("deploy", "--env", "prod", *words)
    assert (done.returncode, word in done.stderr) == (2, True), done.stderr


def test_a_dry_run_asks_the_gates(shop: Shop) -> None:
    """It tells what is closed, and leaves nothing."""
    answer = shop.deploy(dry_run=True)
    assert answer.exit_code == 2
    assert only(answer) == {"decision", "rehearsal", "staging_run"}


# Gates that close while the run is at work.


@pytest.fixture
def when() -> Iterator[Callable[[str, Callable[[], None]], None]]:
    """Let something happen the first time that a run comes to a point."""

    def prepare(name: str, act: Callable[[], None]) -> None:
        def visit(point: str) -> None:
            if point == name:
                points.visit(lambda _: None)
                act()

        points.visit(visit)

    yield prepare
    points.visit(lambda _: None)


When = Callable[[str, Callable[[], None]], None]


def held(answer: Answer, gate: str, word: str) -> None:
    """Held by that gate after the first change."""
    assert (answer.exit_code, answer.document["state"]) == (3, "held")
    assert f"gate.{gate}" in answer.document["reason"]
    assert word in finding(answer, f"gate.{gate}")["observed"]
    assert "invoke resume --env prod" in " ".join(answer.document["next_steps"])


def test_the_window_ends_after_the_first_change(ready: Shop, when: When) -> None:
    """Held before the next step; refused by the gates as long as it is closed, and done in the next window."""
    ready.policy(WINDOW)
    when("effect:committed", lambda: setattr(ready, "now", NOW.replace(hour=20)))
    answer = ready.deploy()
    held(answer, "window", "outside the window")
    assert len(keys(ready.prod)) == 2
    again = ready.resume()
    assert (again.exit_code, again.document["state"]) == (3, "held")
    assert "gate.window" in again.document["reason"]
    ready.now = NOW + timedelta(days=7)
    assert ready.resume().exit_code == 0


def test_turn_back_time_comes_after_the_first_change(ready: Shop, when: When) -> None:
    """What is left and the way back fit no more."""
    ready.policy(WINDOW)
    late = NOW.replace(hour=18, minute=59, second=59) + timedelta(microseconds=990_000)
    when("effect:committed", lambda: setattr(ready, "now", late))
    held(ready.deploy(), "time_left", "for validate and")


def test_a_freeze_begins_after_the_first_change(ready: Shop, when: When) -> None:
    """At midnight of the window's zone."""
    ready.policy(WINDOW + '\nfreeze = [{ from = 2026-12-16, to = 2026-12-16, reason = "audit" }]')
    when("effect:committed", lambda: setattr(ready, "now", NOW + timedelta(hours=1, minutes=1)))
    held(ready.deploy(), "freeze", "audit")


def test_others_change_a_table_after_the_first_change(ready: Shop, when: When) -> None:
    """Drift between plan and catalog holds the run, with the difference."""
    when("effect:committed", lambda: execute(ready.prod, "create index late on customers (name)"))
    answer = ready.deploy()
    held(answer, "drift", "late")
    execute(ready.prod, "drop index late")
    assert ready.resume().exit_code == 0


def test_the_window_ends_before_the_first_change(ready: Shop) -> None:
    """Refused after the backup was taken, and nothing is left open."""
    ready.policy(WINDOW)
    clock = iter([NOW, NOW, NOW])
    ready.clock = lambda: next(clock, NOW.replace(hour=20))
    answer = ready.deploy()
    assert (answer.exit_code, answer.document["state"]) == (2, "refused")
    assert answer.document["reason"].startswith("before apply: gate.window")
    assert states(answer)["backup"] == "done"
    assert keys(ready.prod) == {}
    assert ready.desk.status("prod")["state"] == "refused"


def test_an_override_of_the_hour_does_not_last(ready: Shop, when: When) -> None:
    """The window is overridden for this run; a resume on another day has to say so again."""
    ready.policy(WINDOW)
    ready.now = NOW.replace(hour=8)
    when("effect:committed", lambda: execute(ready.prod, "create index late on customers (name)"))
    assert ready.deploy(override="window", reason="urgent").exit_code == 3
    execute(ready.prod, "drop index late")
    assert "gate.window" in ready.resume().document["reason"]
    answer = ready.resume(override="window", reason="still urgent")
    assert answer.exit_code == 0
    assert [line.split(": ", 1)[1] for line in answer.document["overridden"]] == ["urgent", "still urgent"]
