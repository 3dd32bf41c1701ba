"""Bad input: one line that says what is wrong, exit 2, nothing changed, and no password anywhere."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from orchestrator.adapters.ledger import RUN_LOCK
from tests import servers
from tests.acceptance.conftest import Copy, Pool
from tests.acceptance.desk import (
    ROOT,
    Desk,
    contents,
    contract_lines,
    execute,
    finding,
    fingerprint,
    has_ledger,
    keys,
    password_of,
    rows,
    states,
    with_parameters,
)
from tests.conftest import ClusterUrl

Finished = subprocess.CompletedProcess[str]

SECRET = "s3cret-in-the-url"


def one_line(desk: Desk, done: Finished, *words: str, code: int = 2) -> str:
    """Exactly one line on stderr, with these words and without a secret; the exit code of a refusal."""
    told = done.stdout + done.stderr
    assert "Traceback" not in told
    lines = done.stderr.splitlines()
    assert (done.returncode, len(lines)) == (code, 1), told
    assert lines[0].startswith("error: ")
    for word in words:
        assert word in lines[0]
    no_secret(desk, told)
    return lines[0]


def no_secret(desk: Desk, told: str) -> None:
    """No password on the screen, none in the files of the runs."""
    for secret in {*desk.passwords, SECRET}:
        assert secret not in told
        assert secret not in desk.written()


Look = tuple[object, object, object]

_looks: dict[str, Look] = {}
"""How the databases looked that tests share: whoever left the last block has proved it."""


def look(url: str) -> Look:
    """Keys, definitions and rows."""
    return keys(url), fingerprint(url), contents(url)


@contextmanager
def untouched(url: str) -> Iterator[None]:
    """Nothing changes inside the block: no key, no definition, no row, and no ledger appears."""
    before = _looks.get(url) or look(url)
    yield
    assert look(url) == before
    assert not has_ledger(url)


@pytest.fixture(scope="module")
def kept(cluster_url: ClusterUrl, master_template: ClusterUrl) -> Iterator[str]:
    """One database with the base migration for all tests of commands that come nowhere near a change."""
    url = servers.fresh_database(cluster_url(16), master_template(16))
    _looks[url] = look(url)
    yield url
    del _looks[url]
    servers.drop_database(url)


@pytest.fixture
def shared(desk: Desk, kept: str) -> str:
    """That database, known to the desk as staging."""
    desk.environment("staging", kept)
    return kept


def at_port(port: int) -> str:
    """A URL with a secret that leads to a port of this machine."""
    return f"postgresql://someone:{SECRET}@127.0.0.1:{port}/app"


# What is typed.


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("deploy",), ("--env", "staging")),
        (("deploy", "--env", "stagin"), ("unknown environment 'stagin'", "did you mean staging?")),
        (("deploy", "--env", "../staging"), ("unknown environment",)),
        (("deploy", "--env", "staging", "--runbook", "master_table"), ("master_table", "did you mean master_tables?")),
        (("deploy", "--env", "staging", "--until", "nonsense"), ("--until nonsense", "preflight, plan, audit")),
        (("deploy", "--env", "staging", "--only", "punchlist"), ("--only", "punchlist")),
        (("plan", "--env", "staging", "--only", "nonsense"), ("--only", "nonsense")),
        (("plan", "--env", "staging", "--format", "nonsense"), ("--format nonsense", "sql")),
        (("report", "--env", "staging", "--format", "nonsense"), ("--format nonsense", "html, md, json or junit")),
        (("report", "--env", "staging", "--run", "nonsense"), ("nonsense",)),
        (("report", "--env", "staging", "--run", "../inventory"), ("../inventory",)),
        (("rollback", "--env", "staging", "--run", "nonsense"), ("nonsense", "invoke history", "no ledger")),
        (("rollback", "--env", "staging"), ("walk back", "no ledger")),
        (("backup", "--env", "staging"), ("backup.mode is none",)),
        (("--dry", "deploy", "--env", "staging"), ("--dry-run",)),
        (("seed", "--env", "staging", "--rows", "-1"), ("--rows",)),
    ],
    ids=" ".join,
)
def test_what_is_typed(desk: Desk, shared: str, words: tuple[str, ...], told: tuple[str, ...]) -> None:
    """Unknown names and values, the nearest known one where there is one."""
    with untouched(shared):
        one_line(desk, desk.typed(*words), *told)


def test_a_value_that_is_no_number(desk: Desk, shared: str) -> None:
    """An option's value of the wrong kind is Invoke's own matter, yet no traceback."""
    with untouched(shared):
        done = desk.invoke("seed", "--env", "staging", "--rows", "many")
    assert done.returncode in {1, 2}
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [("deplyo",), ("deploy", "--nonsense"), ("deploy", "staging")], ids=" ".join)
def test_unknown_tasks_and_flags_are_invokes_own_error(desk: Desk, shared: str, words: tuple[str, ...]) -> None:
    """Exit 1, as Invoke does, and nothing is touched."""
    with untouched(shared):
        done = desk.typed(*words)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


def test_asking_for_help_deploys_nothing(desk: Desk, shared: str) -> None:
    """`--help` is no name of an environment."""
    with untouched(shared):
        done = desk.typed("--help", "deploy")
        trap = desk.typed("deploy", "--env", "--help")
    assert (done.returncode, "--dry-run" in done.stdout) == (0, True)
    assert trap.returncode in {1, 2}


def test_production_without_yes_and_without_a_terminal(desk: Desk, master: str) -> None:
    """Nobody can type the name: refused, and with --json the answer is a document all the same."""
    desk.environment("prod", master, kind="production", backup='mode = "external"\ncommand = "echo point"')
    with untouched(master):
        one_line(desk, desk.invoke("deploy", "--env", "prod"), "not confirmed", "prod", "--yes")
        one_line(desk, desk.typed("rollback", "--env", "prod"), "not confirmed", "--yes")
        done = desk.typed("deploy", "--env", "prod", "--json")
    one_line(desk, done, "not confirmed")
    assert json.loads(done.stdout)["state"] == "refused"


def test_seed_never_on_production(desk: Desk, master: str) -> None:
    """Not even with an empty database."""
    desk.environment("prod", master, kind="production", backup='mode = "external"\ncommand = "echo point"')
    with untouched(master):
        one_line(desk, desk.typed("seed", "--env", "prod", "--rows", "10"), "prod is production")


# What is written in files.


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[environment\nname = 1", ("staging.toml", "not valid TOML")),
        ('[environment]\nname = "staging"', ("staging.toml", "kind", "is missing")),
        ("{head}\n[policy]\nlock_timeout = 5", ("policy.lock_timeout", "did you mean lock_timeout_ms?")),
        ("{head}\n[polcy]\nlock_timeout_ms = 5", ("polcy", "did you mean policy?")),
        ("{head}\n[policy]\nlock_timeout_ms = 'many'", ("policy.lock_timeout_ms",)),
        ("{head}\n[policy]\nlock_timeout_ms = 0", ("policy.lock_timeout_ms", "at least 1")),
        ("{head}\n[policy]\norphans = 'ignore'", ("policy.orphans", "refuse")),
        ("{head}\n[backup]\nmode = 'external'", ("backup.command", "missing")),
        (
            "{head}\n[policy]\nwindow = {{ days = ['Tue'], from = '25:00', to = '02:00', timezone = 'UTC' }}",
            ("window.from",),
        ),
        (
            "[environment]\nname = 'staging'\nkind = 'staging'\n[database]\n"
            f"url = 'postgresql://someone:{SECRET}@127.0.0.1/app'",
            ("database.url", "holds a password"),
        ),
        (
            "[environment]\nname = 'staging'\nkind = 'staging'\n[database]\n"
            f"url = 'host=127.0.0.1 user=someone password={SECRET}'",
            ("database.url", "holds a password"),
        ),
        ("[environment]\nname = 'staging'\nkind = 'staging'\n[database]\nurl = {{ }}", ("database.url", "exactly one")),
        ("[environment]\nname = 'staging'\nkind = 'stagin'\n[database]\nurl = {{ env = 'X' }}", ("environment.kind",)),
    ],
)  # fmt: skip
def test_inventory_files(desk: Desk, text: str, told: tuple[str, ...]) -> None:
    """File, key, and what to do; a password written into the file is refused and not repeated."""
    head = "[environment]\nname = 'staging'\nkind = 'staging'\n[database]\nurl = {{ env = 'STAGING_URL' }}"
    desk.write("staging", text.replace("{head}", head).replace("{{", "{").replace("}}", "}"))
    one_line(desk, desk.typed("deploy", "--env", "staging"), *told)


def test_two_files_of_one_name(desk: Desk, master: str) -> None:
    """A copied file whose name was not changed would record its runs under the wrong environment."""
    desk.environment("staging", master)
    (desk.inventory / "stage2.toml").write_bytes((desk.inventory / "staging.toml").read_bytes())
    with untouched(master):
        one_line(desk, desk.typed("deploy", "--env", "stage2"), "stage2.toml", "environment.name")


def test_an_inventory_that_is_not_utf8(desk: Desk) -> None:
    """Another encoding is told as that."""
    (desk.inventory / "staging.toml").write_bytes(b'[environment]\nname = "\xff"')
    one_line(desk, desk.typed("deploy", "--env", "staging"), "staging.toml", "UTF-8")


def test_an_empty_inventory(desk: Desk) -> None:
    """No file, and no folder."""
    one_line(desk, desk.typed("deploy", "--env", "staging"), "staging", "no *.toml")
    desk.inventory.rmdir()
    one_line(desk, desk.typed("deploy", "--env", "staging"), "no such inventory folder")


LINE = """
[[foreign_key]]
table = "{table}"
columns = ["{column}"]
references = {{ table = "users", columns = ["id"] }}
{more}
"""


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (LINE.format(table="a", column="b", more="") * 2, ("foreign_key[2]", "same relation as foreign_key[1]")),
        (
            LINE.format(table="a", column="b", more='on_delete = "cascade"')
            + LINE.format(table="a", column="b", more='name = "x"'),
            ("foreign_key[2]", "same relation"),
        ),
        (
            LINE.format(table="a", column="b", more='name = "x"')
            + LINE.format(table="a", column="c", more='name = "x"'),
            ("foreign_key[2].name", "also the name of foreign_key[1]"),
        ),
        (LINE.format(table="a", column="b", more='on_delet = "cascade"'), ("on_delet", "did you mean on_delete?")),
        (LINE.format(table="a", column="b", more='on_delete = "drop"'), ("on_delete",)),
        (LINE.format(table="a", column="b", more='deferred = " "'), ("deferred", "say why")),
        (LINE.format(table="a", column="b", more=f'name = "{"n" * 64}"'), ("name", "63 bytes")),
        (LINE.format(table="a", column='b", "c', more=""), ("references.columns", "1 column for 2")),
        ("", ("no relation",)),
        ("[[foreign_key]\n", ("not valid TOML",)),
    ],
    ids=["twice", "twice in other words", "name twice", "unknown key", "unknown action", "no reason", "long name",
         "columns", "empty", "broken"],
)  # fmt: skip
def test_contracts(desk: Desk, shared: str, more: str, told: tuple[str, ...]) -> None:
    """The line of the contract is named."""
    runbook = desk.runbook(more)
    with untouched(shared):
        one_line(desk, desk.typed("deploy", "--env", "staging", "--runbook", runbook), "foreign_keys.toml", *told)


def test_the_same_relation_twice_in_the_real_contract(desk: Desk, shared: str) -> None:
    """Line 57 repeats line 2."""
    lines = list(contract_lines())
    runbook = desk.runbook("".join([*lines, lines[1]]))
    with untouched(shared):
        one_line(
            desk, desk.typed("plan", "--env", "staging", "--runbook", runbook), "foreign_key[57]", "foreign_key[2]"
        )


# Where the URL leads.


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (f"postgresql://someone:{SECRET}@[::1/app", "STAGING_URL"),
        (f"postgres//someone:{SECRET}@127.0.0.1/app", "STAGING_URL"),
        (f"mysql://someone:{SECRET}@127.0.0.1/app", "STAGING_URL"),
        (f"postgresql://someone:{SECRET}@127.0.0.1/app?sslmod=require", "STAGING_URL"),
        (f"postgresql://someone:{SECRET}%zz@127.0.0.1/app", "STAGING_URL"),
        (f"postgresql://someone:{SECRET}@127.0.0.1:port/app", 'invalid integer value "port"'),
    ],
)
def test_a_url_that_does_not_parse(desk: Desk, url: str, told: str) -> None:
    """The variable or the part that is wrong is named, the text is not shown."""
    desk.environment("staging", url)
    one_line(desk, desk.typed("deploy", "--env", "staging"), "staging: ", told)


@pytest.mark.parametrize("task", ["deploy", "plan", "preflight", "audit", "validate", "status", "rollback"])
def test_nobody_listens(desk: Desk, task: str) -> None:
    """Connection refused, for every task that goes to the database."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        desk.environment("staging", at_port(taken.getsockname()[1]))
        one_line(desk, desk.typed(task, "--env", "staging"), "cannot connect", "refused", "app at 127.0.0.1")


def test_a_server_that_does_not_answer(desk: Desk) -> None:
    """It takes the connection and says nothing: given up after 5 s."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        desk.environment("staging", at_port(silent.getsockname()[1]))
        one_line(desk, desk.typed("deploy", "--env", "staging"), "cannot connect", "no answer within 4 s")


def test_a_silent_other_environment_does_not_stop_the_work(desk: Desk, staging: str) -> None:
    """Another environment that does not answer is told as not compared."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        desk.environment("other", at_port(silent.getsockname()[1]))
        answer = desk.deploy(until="preflight")
    found = finding(answer, "identity-compared")
    assert (answer.exit_code, found["status"], "other" in found["observed"]) == (0, "unknown", True)
    no_secret(desk, json.dumps(answer.document))


def test_a_wrong_password(desk: Desk, master: str) -> None:
    """Neither the wrong one nor the right one is shown."""
    desk.environment("staging", master.replace(password_of(master), SECRET))
    desk.passwords.add(password_of(master))
    with untouched(master):
        one_line(desk, desk.typed("deploy", "--env", "staging"), "password authentication failed", "STAGING_URL")


def test_no_password(desk: Desk, master: str) -> None:
    """None in the URL and none anywhere else: nobody is asked for it."""
    desk.environment("staging", master.replace(f":{password_of(master)}@", "@"))
    with untouched(master):
        one_line(desk, desk.typed("deploy", "--env", "staging"), "no password supplied")


def test_a_database_that_does_not_exist(desk: Desk, master: str) -> None:
    """The database is named."""
    desk.environment("staging", urlunsplit(urlsplit(master)._replace(path="/nowhere")))
    one_line(desk, desk.typed("deploy", "--env", "staging"), 'database "nowhere" does not exist')


def test_a_host_that_does_not_exist(desk: Desk) -> None:
    """The host is named."""
    desk.environment("staging", f"postgresql://someone:{SECRET}@no-such-host.invalid/app")
    one_line(desk, desk.typed("deploy", "--env", "staging"), "no-such-host.invalid", "cannot connect")


def test_a_role_that_may_not_be_taken(desk: Desk, stranger: str, master: str) -> None:
    """`database.role` names a role that this user is no member of."""
    desk.environment("staging", stranger)
    path = desk.inventory / "staging.toml"
    path.write_text(path.read_text("utf-8").replace("[policy]", 'role = "postgres"\n[policy]'), encoding="utf-8")
    desk.passwords.add("rolesecret")
    with untouched(master):
        one_line(desk, desk.typed("deploy", "--env", "staging"), "cannot connect", "role")


def test_an_unset_variable_never_falls_back(desk: Desk, master: str) -> None:
    """Neither libpq's own variables nor an embedded server stand in for it; an empty one is as good as unset."""
    desk.environment("staging", None)
    parts = urlsplit(master)
    tempting = {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(parts.port),
        "PGUSER": "postgres",
        "PGPASSWORD": password_of(master),
        "PGDATABASE": servers.database_name(master),
        "DATABASE_URL": master,
    }
    desk.passwords.add(password_of(master))
    for name, tempts in tempting.items():
        desk.monkeypatch.setenv(name, tempts)
    with untouched(master):
        for _ in range(2):
            done = desk.typed("deploy", "--env", "staging")
            one_line(desk, done, "STAGING_URL is not set", "export STAGING_URL=")
            desk.monkeypatch.setenv("STAGING_URL", "")
    assert not (desk.folder / ".embedded").exists()


def test_the_shipped_inventory_without_its_variables(desk: Desk) -> None:
    """`--env prod` and `--env staging` as shipped say which variable they want."""
    for name, variable in (("prod", "PROD_DATABASE_URL"), ("staging", "STAGING_DATABASE_URL")):
        done = desk.typed("deploy", "--env", name, "--inventory", str(ROOT / "inventory"))
        one_line(desk, done, f"{variable} is not set")


# What stands there.


def test_insufficient_rights(desk: Desk, stranger: str, master: str) -> None:
    """A role that may only read: NO-GO with what it lacks, and the statements that would give it."""
    desk.environment("staging", stranger)
    desk.passwords.add("rolesecret")
    with untouched(master):
        answer = desk.deploy()
        done = desk.typed("deploy", "--env", "staging")
    assert (answer.exit_code, answer.document["verdict"]) == (2, "NO-GO")
    found = finding(answer, "rights")
    assert (found["status"], found["severity"]) == ("fail", "critical")
    assert all(word in found["observed"] for word in ("ownership", "on public.", "more"))
    assert (done.returncode, "Traceback" in done.stderr, "rights (critical)" in done.stdout) == (2, False, True)
    no_secret(desk, done.stdout + done.stderr)
    grants = desk.typed("preflight", "--env", "staging", "--grants")
    assert (grants.returncode, "owner" in grants.stdout.lower()) == (0, True)


def test_a_role_that_may_not_even_read(desk: Desk, owner: str, master: str) -> None:
    """Without rights to one table: refused all the same, without a traceback."""
    execute(master, "alter table users owner to current_user", "revoke all on users from public")
    desk.environment("staging", owner)
    desk.passwords.add("rolesecret")
    with untouched(master):
        done = desk.typed("deploy", "--env", "staging")
        audit = desk.typed("audit", "--env", "staging")
    assert (done.returncode, "public.users" in done.stdout) == (2, True)
    no_secret(desk, done.stdout + done.stderr)
    assert audit.returncode in {1, 2}
    assert audit.stderr.startswith("error: ")
    assert len(audit.stderr.splitlines()) == 1
    assert "Traceback" not in audit.stderr


def test_a_read_only_standby(desk: Desk, master: str, physical: Copy) -> None:
    """A real standby that follows the primary: NO-GO, it cannot be written to."""
    copy = physical(standby=True).url(servers.database_name(master))
    assert rows(copy, "select pg_is_in_recovery()") == [(True,)]
    desk.environment("staging", copy)
    with untouched(master):
        answer = desk.deploy()
        done = desk.typed("deploy", "--env", "staging")
        desk.environment("prod", master, kind="production", backup='mode = "external"\ncommand = "echo point"')
        assert finding(desk.preflight(), "identity")["status"] == "pass"
    assert (answer.exit_code, answer.document["verdict"]) == (2, "NO-GO")
    assert "standby" in finding(answer, "primary")["observed"]
    assert (done.returncode, done.stderr, "primary (critical)" in done.stdout) == (2, "", True)
    no_secret(desk, done.stdout + done.stderr)


@pytest.mark.parametrize("ignore", ["", "options", "options,extra_float_digits"], ids=["strict", "options", "both"])
def test_a_transaction_pooler(desk: Desk, kept: str, pool: Pool, ignore: str) -> None:
    """Refused in one line whether the pooler objects to our settings or drops them in silence, by every task."""
    desk.environment("staging", pool(kept, mode="transaction", ignore=ignore).url)
    desk.passwords.add(password_of(kept))
    with untouched(kept):
        for task in ("deploy", "preflight", "plan", "validate"):
            one_line(desk, desk.typed(task, "--env", "staging"), "transaction pooler", "connect to the server itself")


@pytest.mark.parametrize("ignore", ["", "options,extra_float_digits"], ids=["strict", "dropped"])
def test_a_refused_pooler_leaves_no_lock_behind(desk: Desk, master: str, pool: Pool, ignore: str) -> None:
    """The server connection that the pooler keeps must hold nothing of ours: the direct way is free at once."""
    pooler = pool(master, mode="transaction", ignore=ignore)
    desk.environment("staging", pooler.url)
    assert desk.typed("deploy", "--env", "staging").returncode == 2
    assert rows(master, "select objid from pg_locks where locktype = 'advisory'") == []
    desk.environment("staging", master)
    assert desk.deploy().exit_code == 0


def test_settings_given_in_the_url_do_not_undo_ours(desk: Desk, master: str) -> None:
    """Options of the user's URL come first, ours after: a read-only run stays read-only."""
    desk.environment("staging", with_parameters(master, options="-c default_transaction_read_only=off"))
    with untouched(master):
        assert desk.deploy(dry_run=True).exit_code == 0


def test_a_table_of_the_contract_is_missing(desk: Desk, database: str) -> None:
    """`deploy` never applies migrations: an empty database is refused, by the names of what it lacks."""
    desk.environment("staging", database)
    with untouched(database):
        answer = desk.deploy()
    assert (answer.exit_code, states(answer)["apply"]) == (2, "pending")
    assert "config_versions" in finding(answer, "tables-and-columns")["observed"]
    assert answer.document["relations"]["failed"] == 45


def test_a_runs_folder_that_cannot_be_written(desk: Desk, staging: str) -> None:
    """A file lies where the folder should be: refused before the database is touched."""
    desk.runs.write_text("a file")
    with untouched(staging):
        done = desk.typed("deploy", "--env", "staging")
    assert (done.returncode, len(done.stderr.splitlines()), "--runs" in done.stderr) == (2, 1, True)
    assert "Traceback" not in done.stderr


def test_two_runs_at_once(desk: Desk, staging: str) -> None:
    """The second is refused while the first holds the lock, and says who that is."""
    with psycopg.connect(staging, autocommit=True, application_name="orchestrator/other/apply") as other:
        other.execute("select pg_advisory_lock(%s)", (RUN_LOCK,))
        with untouched(staging):
            one_line(desk, desk.typed("deploy", "--env", "staging"), "another run", "orchestrator/other/apply")
