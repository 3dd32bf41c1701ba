"""The life of an embedded cluster: made, started, shared, crashed, started again."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from orchestrator.adapters.embedded import Cluster, EmbeddedServerFailed
from orchestrator.adapters.programs import server_installation
from tests import places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROJECT = Path(__file__).resolve().parents[2]
STARTER = """
import sys
from pathlib import Path
from orchestrator.adapters import embedded
embedded._PUBLIC_PLACE = Path(sys.argv[2])
cluster = embedded.Cluster(directory=Path(sys.argv[1]))
cluster.start()
print("started", flush=True)
sys.stdin.readline()
cluster.stop()
"""


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """A folder whose cluster is removed afterwards, also the part that root keeps elsewhere."""
    place = tmp_path / "cluster"
    yield place
    until(lambda: not Cluster(directory=place).running)
    Cluster(directory=place).discard()


@contextlib.contextmanager
def starter(directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that has started the cluster; it stops it when its input ends."""
    command = [sys.executable, "-c", STARTER, str(directory), str(places.scratch())]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=PROJECT, stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        yield process


def until(condition: Callable[[], bool], *, within_s: float = 30.0) -> None:
    """Wait for a condition; fails when it does not come true in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


def ask(url: str, question: str) -> object:
    """The first value that a query returns."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(question.encode()).fetchone()
    assert row is not None
    return row[0]


def identifier(cluster: Cluster) -> object:
    """What tells one cluster from another."""
    return ask(cluster.url(), "SELECT system_identifier FROM pg_control_system()")


def test_data_survives_a_stop_and_a_start(directory: Path) -> None:
    """What was written is there after the next start, which needs no second initdb."""
    with Cluster(directory=directory) as cluster:
        ask(cluster.url(), "WITH made AS (SELECT 1) SELECT * FROM made")
        with psycopg.connect(cluster.url()) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        first = identifier(cluster)
    assert not cluster.running
    with cluster:
        assert ask(cluster.url(), "SELECT answer FROM kept") == 42
        assert identifier(cluster) == first


def test_the_server_is_set_up_for_throwaway_data(directory: Path) -> None:
    """Our defaults hold, the caller's settings win, and text is UTF-8 in C order."""
    with Cluster(directory=directory, settings={"max_connections": "17"}) as cluster:
        url = cluster.url(application="orchestrator/R1/s 1")
        shown = {
            name: ask(url, f"SHOW {name}")
            for name in (
                "max_connections",
                "fsync",
                "synchronous_commit",
                "data_checksums",
                "server_encoding",
                "listen_addresses",
                "unix_socket_directories",
                "application_name",
                "password_encryption",
            )
        }
    assert list(shown.values()) == [
        "17", "off", "on", "on", "UTF8", "127.0.0.1", "", "orchestrator/R1/s 1", "scram-sha-256",
    ]  # fmt: skip


def test_the_password_is_needed_and_private(directory: Path) -> None:
    """A wrong password is refused, and only we can read the right one."""
    with Cluster(directory=directory) as cluster:
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(cluster.url(password="wrong"))
        data = Path(str(ask(cluster.url(), "SHOW data_directory")))
    assert (data.parent / "password").stat().st_mode & 0o777 == 0o600


def test_two_clusters_are_two_environments(directory: Path, tmp_path: Path) -> None:
    """Each cluster comes from its own initdb, so their system identifiers differ."""
    other = Cluster(directory=tmp_path / "other")
    try:
        with Cluster(directory=directory) as one, other:
            assert identifier(one) != identifier(other)
    finally:
        other.discard()


def test_a_second_starter_attaches_and_leaves_the_server_running(directory: Path) -> None:
    """Whoever comes second uses the same server and does not stop it."""
    with Cluster(directory=directory) as first:
        with Cluster(directory=directory) as second:
            assert second.url() == first.url()
        assert first.running
        assert ask(first.url(), "SELECT 1") == 1


def test_another_process_shares_the_server(directory: Path) -> None:
    """A server that another process started is used, not stopped, and cannot be discarded."""
    with starter(directory) as process:
        with Cluster(directory=directory) as cluster:
            assert ask(cluster.url(), "SELECT 1") == 1
        assert cluster.running
        with pytest.raises(EmbeddedServerFailed, match="another process"):
            cluster.discard()
        process.communicate(b"\n")
    assert not cluster.running


def test_rivals_start_one_server(directory: Path) -> None:
    """Four starters at once end up with one server."""
    rivals = [Cluster(directory=directory) for _ in range(4)]
    threads = [threading.Thread(target=rival.start) for rival in rivals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({rival.url() for rival in rivals}) == 1
    for rival in rivals:
        rival.stop()
    assert not rivals[0].running


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_a_killed_parent_leaves_no_server_behind(directory: Path) -> None:
    """SIGKILL of the starting process stops the server too."""
    with starter(directory) as process:
        cluster = Cluster(directory=directory)
        assert cluster.running
        process.kill()
        process.communicate()
    until(lambda: not cluster.running)
    with cluster:
        assert ask(cluster.url(), "SELECT 1") == 1


def test_a_server_that_crashed_starts_again(directory: Path) -> None:
    """An immediate stop needs recovery, which the next start waits for."""
    cluster = Cluster(directory=directory)
    cluster.start()
    cluster.stop(immediate=True)
    with cluster:
        assert ask(cluster.url(), "SELECT 1") == 1


@pytest.mark.parametrize("pid", ["own", "gone"])
def test_a_stale_pid_file_does_not_hinder(directory: Path, pid: str) -> None:
    """Neither a number that went to another process (ours) nor one that is gone stops a start."""
    with Cluster(directory=directory) as cluster:
        data = Path(str(ask(cluster.url(), "SHOW data_directory")))
        lines = (data / "postmaster.pid").read_text().splitlines()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    lines[0] = str(os.getpid() if pid == "own" else gone.pid)
    (data / "postmaster.pid").write_text("\n".join(lines) + "\n")
    assert not cluster.running
    with cluster:
        assert ask(cluster.url(), "SELECT 1") == 1


def test_a_setting_that_postgres_refuses_is_one_clear_line(directory: Path) -> None:
    """The error carries the end of the server's log."""
    cluster = Cluster(directory=directory, settings={"shared_buffers": "many"})
    with pytest.raises(EmbeddedServerFailed, match="shared_buffers") as caught:
        cluster.start()
    assert "\n" not in str(caught.value)
    assert not cluster.running


def test_data_of_another_version_is_refused(directory: Path) -> None:
    """A cluster of PostgreSQL 16 is not started with the programs of 18, and finds its own by itself."""
    with Cluster(directory=directory, installation=server_installation(16)):
        pass
    with pytest.raises(EmbeddedServerFailed, match="is of PostgreSQL 16, not 18"):
        Cluster(directory=directory, installation=server_installation(18)).start()
    with Cluster(directory=directory) as cluster:
        assert str(ask(cluster.url(), "SHOW server_version")).startswith("16.")


def test_a_removed_folder_is_a_new_cluster(directory: Path) -> None:
    """Whoever removes the folder gets an empty cluster, wherever the data was kept."""
    with Cluster(directory=directory) as cluster:
        first = identifier(cluster)
    for path in sorted(directory.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    directory.rmdir()
    with Cluster(directory=directory) as again:
        assert identifier(again) != first


def test_discarding_leaves_the_files_of_others(directory: Path) -> None:
    """Only what the cluster consists of is removed; an empty folder goes with it."""
    with Cluster(directory=directory) as cluster:
        data = Path(str(ask(cluster.url(), "SHOW data_directory")))
    (directory / "notes.txt").write_text("mine")
    cluster.discard()
    assert [path.name for path in directory.iterdir()] == ["notes.txt"]
    assert not data.exists()
    (directory / "notes.txt").unlink()
    cluster.discard()
    assert not directory.exists()


def test_the_url_of_a_stopped_server_is_refused(directory: Path) -> None:
    """There is no port to name before the server runs."""
    with pytest.raises(EmbeddedServerFailed, match="not running"):
        Cluster(directory=directory).url()


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(directory: Path) -> None:
    """The server is in a process group of its own."""
    with Cluster(directory=directory) as cluster:
        data = Path(str(ask(cluster.url(), "SHOW data_directory")))
        server = int((data / "postmaster.pid").read_text().splitlines()[0])
        assert os.getpgid(server) == server != os.getpgid(0)
        os.kill(server, signal.SIGHUP)
        assert cluster.running
