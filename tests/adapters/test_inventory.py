"""The inventory: what its files may say, where secrets come from, and that they stay where they are."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import asdict
from datetime import date
from pathlib import Path

import pytest

from orchestrator.adapters.inventory import environment_names, load_environment, resolve
from orchestrator.adapters.postgres import Server
from orchestrator.core.inventory import Database, Environment, Secret, Service, Source
from orchestrator.core.outcome import BadDocument, Refused
from tests.adapters.test_documents import HEAD, loaded, mistake

PASSWORD = "hunter2secret"

FULL = """
[environment]
name = "prod"
kind = "production"
evidence_from = "staging"

[database]
url = { env = "PROD_DATABASE_URL" }
role = "app_owner"

[[host]]
name = "api-1"
ssh = "deploy@api-1.example"
service = { manager = "pm2", name = "apms-api" }
health = "https://api-1.example/health"
jump = "bastion"
key_file = "~/.ssh/id"
agent = true
sudo = { env = "SUDO" }

[policy]
lock_timeout_ms = 100
validate_workers = "auto"
approvals = 1
evidence_max_age_hours = 336
give_up_after_s = 1800
auto_rollback = "failure"
create_missing_indexes = false
terminate_blockers = []
max_replica_lag_s = 30
behavioural_checks = false
monitor_rollback = false
show_samples = "local"
window = { days = ["Tue", "Wed", "Thu"], from = "22:00", to = "02:00", timezone = "Asia/Jakarta" }
freeze = [{ from = 2026-12-20, to = 2027-01-03, reason = "year end" }]
orphans = "refuse"

[backup]
mode = "dump"
directory = "backups"
keep = 5
command = "snapshot"

[scratch]
on = "same-server"

[slack]
channel = "#releases"
token = { env = "SLACK_BOT_TOKEN" }
app_token = { env = "SLACK_APP_TOKEN" }
base_url = "http://127.0.0.1:8000/api/"

[people]
Ayu = { roles = ["ayu"], slack = "U012ABCDEF", approver = true }

[evidence]
key = { file = "key.pem" }

[templates]
directory = "words"
"""


def test_every_key_of_the_design_is_understood(tmp_path: Path) -> None:
    """The example of DESIGN.md with every comment taken away."""
    (tmp_path / "prod.toml").write_text(FULL, encoding="utf-8")
    environment = load_environment(tmp_path, "prod")
    assert (environment.name, environment.kind, environment.is_production) == ("prod", "production", True)
    assert environment.database == Database(url=Source(env="PROD_DATABASE_URL"), role="app_owner")
    assert environment.host[0].service == Service(manager="pm2", name="apms-api")
    window = environment.policy.window
    assert window is not None
    assert (window.days, window.start, window.end) == (("Tue", "Wed", "Thu"), "22:00", "02:00")
    assert environment.policy.freeze[0].end == date(2027, 1, 3)
    assert environment.people["Ayu"].approver
    assert environment.evidence.key == Source(file="key.pem")
    assert environment.scratch_on == "same-server"
    assert not environment.behavioural_checks


@pytest.mark.parametrize("name", ["staging", "prod"])
def test_the_shipped_files_are_understood(name: str) -> None:
    """inventory/ as it comes with the project."""
    assert load_environment(Path(__file__).parents[2] / "inventory", name).name == name


def test_defaults_differ_in_production(tmp_path: Path) -> None:
    """Copies on the embedded server and no behavioural checks in production; elsewhere the same server, and checks."""
    staging = loaded(tmp_path, HEAD)
    assert (staging.scratch_on, staging.behavioural_checks) == ("same-server", True)
    prod = loaded(tmp_path, HEAD.replace('kind = "staging"', 'kind = "production"'))
    assert (prod.scratch_on, prod.behavioural_checks) == ("embedded", False)


def test_the_policy_overrules_the_default_of_behavioural_checks(tmp_path: Path) -> None:
    """Both ways."""
    policy = "[policy]\nbehavioural_checks = {}"
    assert not loaded(tmp_path, HEAD + policy.format("false")).behavioural_checks
    prod = HEAD.replace('kind = "staging"', 'kind = "production"')
    assert loaded(tmp_path, prod + policy.format("true")).behavioural_checks


def test_scratch_may_be_a_place_of_its_own(tmp_path: Path) -> None:
    """A table with a URL, beside the two words."""
    environment = loaded(tmp_path, HEAD + "[scratch]\non = { url = { env = 'SCRATCH_URL' } }")
    assert environment.scratch_on == Database(url=Source(env="SCRATCH_URL"))


URLS: tuple[tuple[str, str | Source], ...] = (
    ("'postgresql://user@host/db'", "postgresql://user@host/db"),
    ("'host=h dbname=d'", "host=h dbname=d"),
    ("{ env = 'X' }", Source(env="X")),
    ("{ file = 'x' }", Source(file="x")),
    ("{ service = 'x' }", Source(service="x")),
    ("{ embedded = 'x' }", Source(embedded="x")),
)


def with_url(url: str) -> str:
    """A file with that URL."""
    return HEAD.replace('{ env = "STAGING_DATABASE_URL" }', url)


@pytest.mark.parametrize(("written", "read"), URLS, ids=[case[0] for case in URLS])
def test_a_url_is_text_or_a_source(tmp_path: Path, written: str, read: str | Source) -> None:
    """A literal URL without a password is fine; a table says where else to look."""
    assert loaded(tmp_path, with_url(written)).database.url == read


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://user:{PASSWORD}@host/db",
        f"host=h password={PASSWORD}",
        f"postgresql://h/d?password={PASSWORD}",
        f"postgresql://u@h/d?sslpassword={PASSWORD}",
    ],
)
def test_a_literal_password_is_refused_and_not_shown(tmp_path: Path, url: str) -> None:
    """In whatever form the URL is written."""
    error = mistake(tmp_path, with_url(f"'{url}'"))
    assert (error.key, error.problem) == ("database.url", "holds a password")
    assert PASSWORD not in str(error)


def test_a_literal_password_of_the_scratch_place_is_refused(tmp_path: Path) -> None:
    """The same rule wherever a URL may stand."""
    error = mistake(tmp_path, HEAD + f"[scratch]\non = {{ url = 'postgresql://u:{PASSWORD}@h/d' }}")
    assert error.key == "scratch.on.url"
    assert PASSWORD not in str(error)


@pytest.mark.parametrize("url", ["''", "'postgresql://[h/d'", "'nonsense'"])
def test_a_url_that_leads_nowhere(tmp_path: Path, url: str) -> None:
    """An empty one would quietly be libpq's default database; the others cannot be parsed."""
    assert mistake(tmp_path, with_url(url)).key == "database.url"


@pytest.mark.parametrize("url", ["{}", "{ env = 'X', file = 'x' }", "{ service = 'a', embedded = 'b' }"])
def test_a_source_is_exactly_one_place(tmp_path: Path, url: str) -> None:
    """None or two: nobody could say which was meant."""
    error = mistake(tmp_path, with_url(url))
    assert error.key == "database.url"
    assert "exactly one of" in error.problem


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[slack]\nchannel = '#x'\ntoken = {}", "slack.token"),
        ("[slack]\nchannel = '#x'\ntoken = { env = 'A', file = 'b' }", "slack.token"),
        ("[scratch]\non = { url = {} }", "scratch.on.url"),
        ("[[host]]\nname = 'a'\nssh = 'a'\nsudo = {}", "host[1].sudo"),
        ("[evidence]\nkey = {}", "evidence.key"),
    ],
)
def test_other_sources_are_exactly_one_place_too(tmp_path: Path, text: str, key: str) -> None:
    """The rule of the database's URL holds for every secret."""
    assert mistake(tmp_path, HEAD + text).key == key


POLICY = (
    ("lock_timeout_ms = 0", "policy.lock_timeout_ms"),
    ("lock_timeout_ms = -5", "policy.lock_timeout_ms"),
    ("give_up_after_s = 0", "policy.give_up_after_s"),
    ("validate_workers = 0", "policy.validate_workers"),
    ("approvals = -1", "policy.approvals"),
    ("max_replica_lag_s = -1", "policy.max_replica_lag_s"),
    ("evidence_max_age_hours = -1", "policy.evidence_max_age_hours"),
)


@pytest.mark.parametrize(("line", "key"), POLICY, ids=[case[0] for case in POLICY])
def test_numbers_that_make_no_sense(tmp_path: Path, line: str, key: str) -> None:
    """A budget of nothing, fewer than no approvals."""
    assert mistake(tmp_path, f"{HEAD}[policy]\n{line}").key == key


WINDOW = "[policy]\nwindow = {{ days = ['Tue'], from = '{}', to = '{}', timezone = '{}' }}"


@pytest.mark.parametrize("time", ["24:00", "22:60", "9:00", "22", "22:00:00", "ten", "", "-1:00", "22:00\\n"])
def test_a_window_needs_times_of_day(tmp_path: Path, time: str) -> None:
    """Two digits, a colon, two digits; at either end."""
    time = time.replace("\\n", " ")
    assert mistake(tmp_path, HEAD + WINDOW.format(time, "02:00", "UTC")).key == "policy.window.from"
    assert mistake(tmp_path, HEAD + WINDOW.format("22:00", time, "UTC")).key == "policy.window.to"


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "/etc/localtime", "Asia"])
def test_a_window_needs_a_known_time_zone(tmp_path: Path, zone: str) -> None:
    """Whatever ZoneInfo makes of it, it is one line."""
    assert mistake(tmp_path, HEAD + WINDOW.format("22:00", "02:00", zone)).key == "policy.window.timezone"


@pytest.mark.parametrize("times", [("22:00", "02:00"), ("00:00", "23:59"), ("09:05", "09:06")])
def test_good_windows(tmp_path: Path, times: tuple[str, str]) -> None:
    """Across midnight as well."""
    window = loaded(tmp_path, HEAD + WINDOW.format(*times, "Asia/Jakarta")).policy.window
    assert window is not None
    assert (window.start, window.end) == times


def test_a_freeze_that_ends_before_it_begins(tmp_path: Path) -> None:
    """It would hold on no day at all."""
    error = mistake(tmp_path, HEAD + "[policy]\nfreeze = [{ from = 2027-01-03, to = 2026-12-20, reason = 'x' }]")
    assert error.key == "policy.freeze[1].to"


def test_an_external_backup_needs_its_command(tmp_path: Path) -> None:
    """Without one nothing could print a restore point."""
    assert mistake(tmp_path, HEAD + "[backup]\nmode = 'external'").key == "backup.command"
    assert loaded(tmp_path, HEAD + "[backup]\nmode = 'external'\ncommand = 'x'").backup.command == "x"


def test_production_has_a_backup(tmp_path: Path) -> None:
    """`none` is for places that can be lost."""
    none = HEAD + "[backup]\nmode = 'none'"
    assert loaded(tmp_path, none).backup.mode == "none"
    error = mistake(tmp_path, none.replace('kind = "staging"', 'kind = "production"'))
    assert (error.key, error.remedy) == ("backup.mode", 'use "dump" or "external"')


def test_a_backup_has_a_home(tmp_path: Path) -> None:
    """A `~user` that does not exist is known before anything is begun."""
    assert mistake(tmp_path, HEAD + "[backup]\ndirectory = '~no_such_user_here/x'").key == "backup.directory"
    assert loaded(tmp_path, HEAD + "[backup]\ndirectory = '~/x'").backup.directory == "~/x"


def test_backups_are_kept_or_all_are(tmp_path: Path) -> None:
    """0 keeps all; fewer than none is a mistake."""
    assert loaded(tmp_path, HEAD + "[backup]\nkeep = 0").backup.keep == 0
    assert mistake(tmp_path, HEAD + "[backup]\nkeep = -1").key == "backup.keep"


def test_two_files_of_one_environment(tmp_path: Path) -> None:
    """A copied file whose name was not changed: their runs could not be told apart."""
    loaded(tmp_path, HEAD)
    (tmp_path / "prod.toml").write_text(HEAD, encoding="utf-8")
    with pytest.raises(
        BadDocument, match=r"prod\.toml: environment\.name: is 'staging', and so is that of staging\.toml"
    ):
        load_environment(tmp_path, "prod")


def test_a_broken_file_claims_no_name(tmp_path: Path) -> None:
    """Its own commands say what is wrong with it; others go on."""
    (tmp_path / "prod.toml").write_text("[environment", encoding="utf-8")
    assert loaded(tmp_path, HEAD).name == "staging"


def test_an_unknown_environment(tmp_path: Path) -> None:
    """The nearest one, or all of them, or that there is none."""
    with pytest.raises(Refused, match=r"unknown environment 'x' in .*: it holds no \*\.toml file$"):
        load_environment(tmp_path, "x")
    for name in ("prod", "staging"):
        (tmp_path / f"{name}.toml").touch()
    assert environment_names(tmp_path) == ("prod", "staging")
    with pytest.raises(Refused, match=r"unknown environment 'stagin' in .*: did you mean staging\?$"):
        load_environment(tmp_path, "stagin")
    with pytest.raises(Refused, match=r"unknown environment 'zz' in .*: known: prod, staging$"):
        load_environment(tmp_path, "zz")


@pytest.mark.parametrize("name", ["../staging", "staging.toml", "/etc/passwd", "."])
def test_an_environment_is_a_name_and_no_path(tmp_path: Path, name: str) -> None:
    """Only what stands in the folder can be asked for."""
    (tmp_path / "staging.toml").touch()
    with pytest.raises(Refused, match="unknown environment"):
        load_environment(tmp_path, name)


@pytest.mark.parametrize("name", [None, ""])
def test_no_environment_was_named(tmp_path: Path, name: str | None) -> None:
    """The ones to choose from are listed."""
    (tmp_path / "prod.toml").touch()
    with pytest.raises(Refused, match=r"which environment\? --env NAME \(known in .*: prod\)$"):
        load_environment(tmp_path, name)


def test_no_inventory(tmp_path: Path) -> None:
    """The folder does not exist; the option that names another is told."""
    with pytest.raises(Refused, match=r"no such inventory folder; name another with --inventory$"):
        load_environment(tmp_path / "none", "staging")


@pytest.mark.parametrize("value", [None, "", " ", "\n"])
def test_a_variable_that_is_not_set_is_refused(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    """Unset, empty and blank alike: never a fall-back to another server."""
    monkeypatch.delenv("X_URL", raising=False)
    if value is not None:
        monkeypatch.setenv("X_URL", value)
    with pytest.raises(Refused, match=r"^prod: X_URL is not set; export X_URL=postgresql://"):
        resolve(Source(env="X_URL"), place="prod")
    with pytest.raises(Refused, match=r"X_URL is not set; export X_URL=…$"):
        resolve(Source(env="X_URL"), place="prod: slack.token")


def test_a_variable_that_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its value comes out of the secret only."""
    monkeypatch.setenv("X_URL", f"postgresql://u:{PASSWORD}@h/d")
    secret = resolve(Source(env="X_URL"), place="prod")
    assert secret.reveal() == f"postgresql://u:{PASSWORD}@h/d"
    assert PASSWORD not in repr(secret)


def test_a_file_holds_the_value(tmp_path: Path) -> None:
    """The newline that editors add is no part of it."""
    path = tmp_path / "url"
    path.write_text("postgresql://h/d\n", encoding="utf-8")
    assert resolve(Source(file=str(path)), place="prod") == Secret("postgresql://h/d")


def test_a_file_that_is_not_there_or_empty(tmp_path: Path) -> None:
    """Each is one line with the path."""
    with pytest.raises(Refused, match=r"^prod: .*/url cannot be read \(No such file or directory\)$"):
        resolve(Source(file=str(tmp_path / "url")), place="prod")
    (tmp_path / "url").write_text(" \n", encoding="utf-8")
    with pytest.raises(Refused, match=r"^prod: .*/url is empty$"):
        resolve(Source(file=str(tmp_path / "url")), place="prod")


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are refused without being shown."""
    (tmp_path / "url").write_bytes(b"\xff\xfe")
    with pytest.raises(Refused, match=r"^prod: .*/url"):
        resolve(Source(file=str(tmp_path / "url")), place="prod")


def test_the_home_of_nobody() -> None:
    """A `~user` that does not exist is one line, too."""
    with pytest.raises(Refused, match=r"^prod: "):
        resolve(Source(file="~no_such_user_here/url"), place="prod")


def test_other_sources() -> None:
    """A service is left to libpq, a literal is what it is, an embedded server is not looked up."""
    assert resolve(Source(service="prod"), place="prod") == Secret("service=prod")
    assert resolve("postgresql://h/d", place="prod") == Secret("postgresql://h/d")
    with pytest.raises(Refused, match=r"^prod: an embedded server"):
        resolve(Source(embedded="prod"), place="prod")


def test_the_name_of_a_service_is_one_value() -> None:
    """A blank in it does not become another parameter."""
    secret = resolve(Source(service="a host=b"), place="prod")
    assert Server(environment="prod", url=secret, source="x", run="r").parameters() == {"service": "a host=b"}


def test_a_secret_cannot_be_shown() -> None:
    """Neither printed nor formatted nor written."""
    secret = Secret(PASSWORD)
    for shown in (
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!r}",
        f"{secret}",
        repr([secret]),
        repr({1: secret}),
    ):
        assert PASSWORD not in shown
    with pytest.raises(TypeError):
        json.dumps(secret)
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        copy.deepcopy(secret)


def test_a_server_shows_where_the_url_came_from_and_not_the_url() -> None:
    """What holds a secret hides it."""
    server = Server(environment="prod", url=Secret(f"postgresql://u:{PASSWORD}@h/d"), source="variable X", run="r")
    assert PASSWORD not in f"{server} {server!r} {server.place}"
    with pytest.raises(TypeError):
        asdict(server)
    with pytest.raises(TypeError):
        pickle.dumps(server)


def test_an_environment_holds_no_secret_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the places; what stands there does not reach it, in whatever way it is written out."""
    monkeypatch.setenv("STAGING_DATABASE_URL", f"postgresql://u:{PASSWORD}@h/d")
    environment: Environment = loaded(tmp_path, HEAD)
    written = json.dumps(asdict(environment), default=str)
    assert PASSWORD not in f"{environment} {environment!r} {written} {pickle.dumps(environment)!r}"
    assert str(environment.database.url) == "environment variable STAGING_DATABASE_URL"


def test_equal_secrets() -> None:
    """By value, so that a frozen value may hold one; nothing else is equal to it."""
    assert Secret("a") == Secret("a")
    assert hash(Secret("a")) == hash(Secret("a"))
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
