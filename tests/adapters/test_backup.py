"""A backup counts once it was restored and compared; everything else stops the deployment."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shlex
import signal
import stat
import subprocess
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from orchestrator.adapters import dump, points, postgres
from orchestrator.adapters.backup import BackupNotProved, DumpBackup, ExternalBackup, NoRestorePoint
from orchestrator.adapters.checksums import content, differences, snapshot
from orchestrator.adapters.child import ChildFailed, Order, complaint
from orchestrator.adapters.leftovers import drop_leftovers, scratch_name, sweep
from orchestrator.adapters.postgres import Server
from orchestrator.adapters.processes import this_process
from orchestrator.adapters.programs import Installation, dump_installation, server_installation
from orchestrator.adapters.scratch import (
    EmbeddedScratch,
    NoScratchDatabase,
    ServerScratch,
    shape,
)
from orchestrator.core.inventory import Secret
from orchestrator.core.outcome import OrchestratorError
from tests.servers import database_name
from tests.waiting import pause

if TYPE_CHECKING:
    from orchestrator.core.journal import BackupProved

RUN = "20261123-0900-ab12"

ODD = """
CREATE TABLE "Orders" ("Id" int, line int, "Note" text, PRIMARY KEY ("Id", line));
INSERT INTO "Orders" SELECT g, g % 7, 'note ' || g FROM generate_series(1, 500) g;
CREATE TABLE t (t text, gone int, price float8, ratio float4, raw bytea, at timestamptz);
ALTER TABLE t DROP COLUMN gone;
INSERT INTO t VALUES ('x', 0.1 + 0.2, 1e-30, '\\xdeadbeef', '2026-03-29 02:30+07'),
  (NULL, 'NaN', 'Infinity', '', NULL);
CREATE TABLE "row" ("row" int, "t.*" text);
INSERT INTO "row" VALUES (1, 'a'), (1, 'a'), (2, NULL);
CREATE TABLE empty (id int PRIMARY KEY);
CREATE TABLE nothing ();
INSERT INTO nothing DEFAULT VALUES;
INSERT INTO nothing DEFAULT VALUES;
CREATE SCHEMA "Odd ""schema";
CREATE TABLE "Odd ""schema".parts (day date, amount numeric) PARTITION BY RANGE (day);
CREATE TABLE "Odd ""schema".parts_old PARTITION OF "Odd ""schema".parts
  FOR VALUES FROM (MINVALUE) TO ('2026-01-01');
CREATE TABLE "Odd ""schema".parts_new PARTITION OF "Odd ""schema".parts
  FOR VALUES FROM ('2026-01-01') TO (MAXVALUE);
INSERT INTO "Odd ""schema".parts SELECT date '2025-12-01' + g, g / 3.0 FROM generate_series(1, 60) g;
CREATE TABLE ancestor (id int);
CREATE TABLE heir (extra text) INHERITS (ancestor);
INSERT INTO ancestor VALUES (1);
INSERT INTO heir VALUES (2, 'b');
CREATE MATERIALIZED VIEW seen AS SELECT count(*) FROM t;
SELECT lo_from_bytea(0, 'large');
"""
TABLES, ROWS = 9, 500 + 2 + 3 + 0 + 2 + 60 + 2


@pytest.fixture
def odd(database: str) -> str:
    """A database with everything that a careless count gets wrong."""
    return filled(database, ODD)


def filled(url: str, script: str) -> str:
    """The same database after a script."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(script.encode())
    return url


def ask(url: str, question: str) -> object:
    """The first value that a query returns."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(question.encode()).fetchone()
    assert row is not None
    return row[0]


def scratch_databases(url: str) -> list[str]:
    """The scratch databases on the server."""
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE 'orchestrator%'").fetchall()
    return [row[0] for row in rows]


def backup(server: Server, directory: Path, *, keep: int = 5, run: str = RUN) -> DumpBackup:
    """A backup that is proved on the same server."""
    scratch = ServerScratch(server=server)
    return DumpBackup(server=server, scratch=scratch, directory=directory, keep=keep, run=run)


def mode(path: Path) -> int:
    """The permission bits of a path."""
    return stat.S_IMODE(path.stat().st_mode)


def path_of(proved: BackupProved) -> Path:
    """The folder of a dump."""
    assert proved.path is not None
    return Path(proved.path)


def wrapped(folder: Path, *, after_dump: str = "", before_dump: str = "") -> Installation:
    """The tools of version 16, with a pg_dump that does something before or after; $dump is its folder."""
    real = dump_installation(server_major=16, restore_major=16)
    folder.mkdir()
    for name in ("pg_restore", "createdb"):
        (folder / name).symlink_to(real.program(name))
    lines = (
        "#!/bin/sh",
        'for word in "$@"; do case "$word" in --file=*) dump="${word#--file=}";; esac; done',
        before_dump,
        f'{shlex.quote(str(real.program("pg_dump")))} "$@" || exit $?',
        after_dump,
    )
    (folder / "pg_dump").write_text("\n".join(lines) + "\n")
    (folder / "pg_dump").chmod(0o700)
    return Installation(major=real.major, bindir=folder, source="system", library_path=real.library_path)


def with_tools(server: Server, directory: Path, tools: Installation) -> DumpBackup:
    """A backup by other tools."""

    def chosen(*, server_major: int, restore_major: int) -> Installation:
        assert (server_major, restore_major) == (16, 16)
        return tools

    scratch = ServerScratch(server=server)
    return DumpBackup(server=server, scratch=scratch, directory=directory, keep=5, run=RUN, tools=chosen)


def test_an_odd_schema_is_dumped_restored_and_compared(odd: str, server: Server, tmp_path: Path) -> None:
    """Every table counts once, whatever its name and columns, and the scratch database is gone afterwards."""
    proved = backup(server, tmp_path / "backups").take()
    assert (proved.mode, proved.tables, proved.rows) == ("dump", TABLES, ROWS)
    assert proved.tool == "pg_dump 16 (embedded)"
    assert min(proved.bytes, proved.dump_ms, proved.restore_ms, proved.compare_ms) > 0
    assert scratch_databases(odd) == []


def test_the_manifest_tells_what_was_proved(odd: str, server: Server, tmp_path: Path) -> None:
    """Run, identity, versions, sizes, every table with rows and checksum, and the digest that is recorded."""
    proved = backup(server, tmp_path / "backups").take()
    text = (path_of(proved) / "manifest.json").read_bytes()
    manifest = json.loads(text)
    assert hashlib.sha256(text).hexdigest() == proved.manifest_sha256
    assert (manifest["run"], manifest["environment"]) == (RUN, "staging")
    assert manifest["database"] == conninfo_to_dict(odd)["dbname"]
    assert manifest["system_identifier"] == str(ask(odd, "SELECT system_identifier FROM pg_control_system()"))
    assert manifest["server_version"] // 10000 == 16
    assert manifest["bytes"] == sum(manifest["files"].values()) == proved.bytes
    assert manifest["started"] < manifest["finished"]
    assert manifest["large_objects"] == 1
    rows = {(entry["schema"], entry["table"]): entry["rows"] for entry in manifest["tables"]}
    assert rows["public", "Orders"] == 500
    assert rows['Odd "schema', "parts_old"] == 30
    assert rows["public", "nothing"] == 2
    assert rows["public", "ancestor"] == 1


def test_only_the_owner_can_enter(odd: str, server: Server, tmp_path: Path) -> None:
    """Folders that are made are 0700 and the manifest 0600, also under a loose umask."""
    del odd
    before = os.umask(0)
    try:
        proved = backup(server, tmp_path / "all" / "backups").take()
    finally:
        os.umask(before)
    folder = path_of(proved)
    assert {mode(path) for path in (folder, folder / "dump", folder.parent, folder.parent.parent)} == {0o700}
    assert mode(folder / "manifest.json") == 0o600
    assert sorted(path.name for path in folder.iterdir()) == ["dump", "manifest.json"]


def test_the_restore_command_works_as_typed(odd: str, server: Server, tmp_path: Path) -> None:
    """A shell and the password are all that it takes; the copy holds the rows."""
    proved = backup(server, tmp_path / "with space").take()
    known = conninfo_to_dict(odd)
    environment = {"PATH": os.environ["PATH"], "PGPASSWORD": str(known["password"])}
    subprocess.run(proved.restore, shell=True, check=True, env=environment)
    copy = make_conninfo(odd, dbname=f"{known['dbname']}_{RUN}")
    try:
        assert ask(copy, 'SELECT count(*) FROM "Orders"') == 500
        assert ask(copy, "SELECT count(*) FROM seen") == 1
    finally:
        with psycopg.connect(odd, autocommit=True) as connection:
            name = sql.Identifier(f"{known['dbname']}_{RUN}")
            connection.execute(sql.SQL("DROP DATABASE {}").format(name))


def test_a_proof_on_a_newer_embedded_server(odd: str, server: Server, tmp_path: Path) -> None:
    """A policy for a role that only the source has is restored too, and nothing of the server is left."""
    filled(odd, "CREATE ROLE only_here; CREATE POLICY p ON t TO only_here USING (true)")
    try:
        scratch = EmbeddedScratch(run=RUN, installation=server_installation(18))
        one = DumpBackup(server=server, scratch=scratch, directory=tmp_path, keep=0, run=RUN)
        proved = one.take()
    finally:
        filled(odd, "DROP POLICY p ON t; DROP ROLE only_here")
    assert (proved.tables, proved.rows) == (TABLES, ROWS)
    manifest = json.loads((path_of(proved) / "manifest.json").read_bytes())
    assert manifest["proved_on"]["major"] == 18


def test_rows_written_after_the_snapshot_disturb_nothing(database: str, server: Server, tmp_path: Path) -> None:
    """The tool starts after a foreign commit, and still dumps what was counted."""
    filled(database, "CREATE TABLE a (id int); INSERT INTO a SELECT generate_series(1, 100)")
    psql = server_installation(16).program("psql")
    written = tmp_path / "written"
    insert = f"{psql} -X -q -c 'INSERT INTO a VALUES (101)' && touch {written}"
    # The write needs no read-only session, which the dump's options ask for.
    tools = wrapped(tmp_path / "bin", before_dump=f"PGOPTIONS= {insert}")
    proved = with_tools(server, tmp_path / "backups", tools).take()
    assert written.exists()
    assert ask(database, "SELECT count(*) FROM a") == 101
    assert proved.rows == 100


def test_a_dump_that_lost_a_file_is_no_backup(odd: str, server: Server, tmp_path: Path) -> None:
    """The restore fails, the folder is gone and so is the scratch database."""
    tools = wrapped(tmp_path / "bin", after_dump='rm "$(ls "$dump"/*.dat.gz | head -n 1)"')
    with pytest.raises(ChildFailed, match=r"pg_restore failed with exit code 1: .*could not open"):
        with_tools(server, tmp_path / "backups", tools).take()
    assert list((tmp_path / "backups").iterdir()) == []
    assert scratch_databases(odd) == []


@pytest.mark.parametrize(
    ("lines", "found"),
    [(b"1\n2\n", "found 2 rows"), (b"1\n2\n4\n", "found 3 rows")],
    ids=["row lost", "value changed"],
)
def test_tampered_rows_are_found(database: str, server: Server, tmp_path: Path, lines: bytes, found: str) -> None:
    """A dump that restores well but holds something else is refused by table, expected and found."""
    filled(database, 'CREATE TABLE "A b" (id int); INSERT INTO "A b" VALUES (1), (2), (3)')
    tampered = tmp_path / "tampered.gz"
    tampered.write_bytes(gzip.compress(lines + b"\\.\n\n\n"))
    tools = wrapped(tmp_path / "bin", after_dump=f'cp {tampered} "$(ls "$dump"/*.dat.gz)"')
    with pytest.raises(BackupNotProved, match=rf'"public"."A b": expected 3 rows .*, {found}'):
        with_tools(server, tmp_path / "backups", tools).take()
    assert list((tmp_path / "backups").iterdir()) == []


@pytest.mark.parametrize("change", ["price = price + 1", "raw = '\\x01'", "at = at + interval '1 us'"])
def test_every_column_counts(odd: str, server: Server, change: str) -> None:
    """Also in a table with a column called like the alias of the query."""
    with server.session("test") as connection:
        with snapshot(connection):
            before = content(connection)
        filled(odd, f"UPDATE t SET {change} WHERE t = 'x'")
        with snapshot(connection):
            after = content(connection)
    assert differences(expected=before, found=after).startswith('table "public"."t": expected 2 rows')


def test_a_failing_dump_leaves_nothing(odd: str, server: Server, tmp_path: Path) -> None:
    """What the tool said comes in one line, without the password; folder and scratch database are gone."""
    password = str(conninfo_to_dict(odd)["password"])
    complain = 'echo "pg_dump: error: No space left on device ($PGPASSWORD)" >&2; exit 1'
    tools = wrapped(tmp_path / "bin", before_dump=complain)
    with pytest.raises(ChildFailed, match=r"No space left on device \(\*\*\*\) \(free space") as caught:
        with_tools(server, tmp_path / "backups", tools).take()
    assert password not in str(caught.value)
    assert list((tmp_path / "backups").iterdir()) == []
    assert scratch_databases(odd) == []


def test_no_argument_holds_the_password(
    odd: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither tool gets it as a word, and neither the manifest nor the restore command has it."""
    commands: list[str] = []
    build = dump._order

    def watched(name: str, command: list[str], tools: Installation, way: dump.Link) -> Order:
        commands.append(shlex.join(command))
        return build(name, command, tools, way)

    monkeypatch.setattr(dump, "_order", watched)
    proved = backup(server, tmp_path).take()
    password = str(conninfo_to_dict(odd)["password"])
    manifest = (path_of(proved) / "manifest.json").read_text()
    assert len(commands) == 2
    assert all(password not in text for text in (*commands, manifest, repr(proved)))


def test_a_locked_table_stops_the_backup_by_name(
    odd: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing waits without end for a table that somebody holds, and the line names it."""
    monkeypatch.setitem(cast("dict[str, str]", postgres.SESSION), "lock_timeout", "200")
    with psycopg.connect(odd) as other:
        other.execute("LOCK TABLE empty")
        with pytest.raises(OrchestratorError, match=r'counting the rows of "public"."empty": canceling'):
            backup(server, tmp_path / "backups").take()
    assert list((tmp_path / "backups").iterdir()) == []


def test_pg_dump_gives_up_on_a_locked_table(
    odd: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pg_dump sets lock_timeout to 0 in its session; its own limit holds instead."""
    monkeypatch.setattr(dump, "_LOCK_WAIT", "200ms")
    tools = dump_installation(server_major=16, restore_major=16)
    with psycopg.connect(odd) as other, server.session("test", read_only=True) as source:
        other.execute("LOCK TABLE empty")
        with snapshot(source) as name:
            way = dump.link(source, server)
            child = dump.dumping(tools=tools, to=tmp_path / "dump", way=way, snapshot=name, jobs=2)
            with child, pytest.raises(ChildFailed, match="canceling statement due to"):
                child.finish(within_s=60)


def test_old_backups_are_pruned(odd: str, server: Server, tmp_path: Path) -> None:
    """`keep` newest of this database stay; what is not ours or of another database is not touched."""
    del odd
    other = tmp_path / "other-database"
    other.mkdir()
    manifest = {"database": "other", "system_identifier": "1", "finished": "2020"}
    (other / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "photos").mkdir()
    taken = [path_of(backup(server, tmp_path, keep=2, run=f"run-{n}").take()) for n in range(4)]
    assert sorted(tmp_path.iterdir()) == sorted([*taken[2:], other, tmp_path / "photos"])


def test_leftovers_of_a_crash_are_removed(odd: str, server: Server, tmp_path: Path) -> None:
    """A dump that nobody proves any more goes with the next backup, also when everything is kept."""
    del odd
    leftover = tmp_path / "some-run"
    (leftover / "dump").mkdir(parents=True)
    (leftover / "manifest.json.unproved").touch()
    taken = [path_of(backup(server, tmp_path, keep=0).take()) for _ in range(2)]
    assert sorted(tmp_path.iterdir()) == sorted(taken)
    assert taken[1].name == f"{taken[0].name}-2"


def test_missing_right_to_create_says_what_to_do(odd: str, tmp_path: Path) -> None:
    """A role without CREATEDB learns about [scratch] before anything is dumped."""
    filled(odd, "CREATE ROLE reader LOGIN PASSWORD 'pw'; GRANT pg_read_all_data TO reader")
    try:
        url = make_conninfo(odd, user="reader", password="pw")
        server = Server(environment="staging", url=Secret(url), source="X", run=RUN)
        with pytest.raises(NoScratchDatabase, match=r"permission denied to create database .*embedded"):
            backup(server, tmp_path / "backups").take()
    finally:
        filled(odd, "DROP OWNED BY reader; DROP ROLE reader")
    assert not (tmp_path / "backups").exists()


def test_scratch_databases_of_the_dead_are_dropped(database: str, server: Server) -> None:
    """One whose maker is gone goes; ours, a stranger's and an unsigned one stay."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    host = os.uname().nodename
    names = {
        "orchestrator_scratch_dead": json.dumps({"host": host, "pid": gone.pid}),
        "orchestrator_scratch_ours": json.dumps({"host": host, "pid": os.getpid()}),
        "orchestrator_scratch_far": json.dumps({"host": "elsewhere", "pid": gone.pid}),
        "orchestrator_scratch_unsigned": "",
    }
    with psycopg.connect(database, autocommit=True) as connection:
        for name, maker in names.items():
            known = {"name": sql.Identifier(name), "maker": sql.Literal(maker)}
            connection.execute(sql.SQL("CREATE DATABASE {name}").format(**known))
            connection.execute(sql.SQL("COMMENT ON DATABASE {name} IS {maker}").format(**known))
        try:
            assert drop_leftovers(server) == ("orchestrator_scratch_dead",)
            assert sorted(scratch_databases(database)) == sorted(set(names) - {"orchestrator_scratch_dead"})
        finally:
            for name in names:
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))


def test_a_run_that_is_taken_up_again_drops_its_own(database: str, server: Server) -> None:
    """A process killed before it could sign its scratch database leaves one that only the run's name tells."""
    name = scratch_name(server.run)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    assert drop_leftovers(server) == (name,)
    assert scratch_databases(database) == []


def test_one_that_was_not_signed_yet_is_told_by_its_name(database: str, server: Server) -> None:
    """Its maker was killed between making and signing: it stays while a session of that run is there, and then goes."""
    run = "20261123T090000123-ab12"
    maker = replace(server, run=run)
    with server.session("test") as connection:
        like = shape(connection)
    pid = os.fork()
    if pid == 0:
        points.visit(lambda point: os.kill(os.getpid(), signal.SIGKILL) if point == "scratch:created" else None)
        with ServerScratch(server=maker).database(like=like):
            os._exit(0)
    os.waitpid(pid, 0)
    (left,) = scratch_databases(database)
    with maker.session("elsewhere"):
        assert drop_leftovers(server) == ()
    # The server needs a moment to notice that a session has ended.
    while not (dropped := drop_leftovers(server)):
        pause()
    assert dropped == (left,)


def test_the_server_of_a_killed_process_is_swept_away(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its data is a copy of the target, so the next run removes it; that of a living process stays."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with server.session("test") as connection:
        like = shape(connection)
    pid = os.fork()
    if pid == 0:
        with EmbeddedScratch(run=RUN).database(like=like):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    (left,) = tmp_path.glob("orchestrator-scratch-*")
    # The kernel has told the server to stop, which takes it a moment; until then its folder stays.
    while not (swept := sweep(tmp_path)):
        assert left.exists()
        pause()
    assert swept == (left,)
    with EmbeddedScratch(run=RUN).database(like=like):
        assert sweep(tmp_path) == ()
    assert list(tmp_path.glob("orchestrator-scratch-*")) == []


def test_what_is_not_our_own_folder_is_not_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a public place anybody may leave a folder that names a dead process, or a link to where data lies."""
    maker = {**asdict(this_process()), "started": "0"}
    place, public = tmp_path / "elsewhere", tmp_path / "public"
    (place / "data").mkdir(parents=True)
    (place / "maker.json").write_text(json.dumps(maker))
    public.mkdir()
    link = public / "orchestrator-scratch-link"
    link.symlink_to(place)
    assert (sweep(public), (place / "data").is_dir()) == ((), True)
    link.unlink()
    place.rename(public / "orchestrator-scratch-foreign")
    monkeypatch.setattr("orchestrator.adapters.leftovers.os.geteuid", lambda: os.getuid() + 1)
    assert (sweep(public), (public / "orchestrator-scratch-foreign" / "data").is_dir()) == ((), True)


def test_nobody_enters_a_scratch_database_before_its_doors_are_shut(database: str, server: Server) -> None:
    """Who connects between CREATE DATABASE and REVOKE stays, and could plant things before the rows come."""
    stranger = f"stranger_{database_name(database)}"
    tried = []

    def enter(point: str) -> None:
        if point in {"scratch:created", "scratch:signed"}:
            (name,) = scratch_databases(database)
            tried.append(point)
            with pytest.raises(psycopg.OperationalError, match=r"not currently accepting|permission denied"):
                psycopg.connect(database, dbname=name, user=stranger, password="rolesecret")

    with server.session("test") as connection:
        like = shape(connection)
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {stranger} LOGIN PASSWORD 'rolesecret'".encode())
        points.visit(enter)
        try:
            with ServerScratch(server=server).database(like=like) as place, place.session("scratch"):
                pass
        finally:
            points.visit(lambda _: None)
            admin.execute(f"DROP ROLE {stranger}".encode())
    assert tried == ["scratch:created", "scratch:signed"]


def test_a_scratch_database_is_dropped_when_the_block_raises(database: str, server: Server) -> None:
    """Also while somebody is still connected to it."""
    with server.session("test") as connection:
        like = shape(connection)

    def broken() -> None:
        with ServerScratch(server=server).database(like=like) as place:
            place.connect("left open")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert scratch_databases(database) == []


def test_a_restore_point_of_the_users_own(tmp_path: Path) -> None:
    """The last line that the command prints is the restore point; the shell does the rest."""
    (tmp_path / "point").write_text("0/16B3748\n\n")
    proved = ExternalBackup(command=f"echo started | cat; cat {shlex.quote(str(tmp_path / 'point'))}").take()
    assert (proved.mode, proved.path, proved.restore) == ("external", None, "0/16B3748")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("echo 0/16B3748; echo 'no such stanza' >&2; exit 3", "exit code 3: no such stanza"),
        ("echo; echo '  '", "printed nothing"),
        ("no-such-program-of-ours", "exit code 127"),
        ("sleep 60", "did not end within 0.2 s"),
        ("echo hunter2 >&2; exit 1", r"exit code 1: \*\*\*"),
    ],
)
def test_without_a_restore_point_there_is_no_backup(command: str, message: str) -> None:
    """A failing, silent, missing or endless command is a failure, told without secrets."""
    with pytest.raises(NoRestorePoint, match=message):
        ExternalBackup(command=command, timeout_s=0.2 if "sleep" in command else 60, secrets=("hunter2",)).take()


def test_rows_stay_out_of_messages() -> None:
    """What a server adds to an error can hold rows; only the error itself is told."""
    said = """pg_restore: error: could not execute query: ERROR:  could not create unique index "u"
DETAIL:  Key (email)=(ayu@example.org) is duplicated.
Command was: CREATE UNIQUE INDEX u ON people (email);
pg_restore: detail: ayu@example.org"""
    assert complaint(said) == 'pg_restore: error: could not execute query: ERROR:  could not create unique index "u"'
