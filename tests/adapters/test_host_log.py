"""Logs on hosts over SSH: each line is counted once, whatever becomes of the file in between."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from orchestrator.adapters import host_log, host_log_files
from orchestrator.adapters.host_log import HostLogs
from orchestrator.adapters.hosts import HostEyes
from orchestrator.adapters.ssh import connected
from orchestrator.adapters.watch_hosts import WatchedHosts
from orchestrator.core.inventory import HostLimits, HostLog
from orchestrator.core.watch_logs import HostLogRead
from tests.far_hosts import FarHost

INFO = "2026-11-25 10:00:00 INFO well\n"
ERROR = "2026-11-25 10:00:00 ERROR not well\n"
VIOLATION = '2026-11-25 10:00:00 ERROR insert on "orders" violates foreign key constraint "k", token=hush\n'


@dataclass(slots=True)
class LoggedIn(FarHost):
    """A host with a login that lasts for the module."""

    connection: Any = None


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoggedIn]:
    """One host for the module."""
    host = LoggedIn(tmp_path_factory.mktemp("far") / "host")
    host.start()
    with connected(host.host(), within_s=10) as host.connection:
        yield host
    host.stop()


@dataclass(slots=True)
class Watcher:
    """Reads one log again and again, from where it left off."""

    far: LoggedIn
    log: str | HostLog
    past: dict[tuple[str, str], HostLogRead] = field(default_factory=dict)

    def look(self) -> HostLogRead:
        """What came since."""
        logs, host = HostLogs(within_s=10, past=self.past), self.far.host(log=self.log)
        logs.read(host, self.far.connection)
        (read,) = logs.of(host, "")
        self.past = {(read.host, read.log): read}
        return read

    def counts(self) -> tuple[int, int, int, str]:
        """Lines, errors, violations, and what is not told."""
        read = self.look()
        assert "hush" not in repr(read)
        return read.lines, read.errors, read.violations, read.untold


def write(path: Path, *lines: str) -> None:
    """Lines at the end of a file."""
    with path.open("a", encoding="utf-8") as file:
        file.write("".join(lines))


def test_a_log_that_grows_is_read_from_where_it_was_left(far: LoggedIn, tmp_path: Path) -> None:
    """The first time its end tells what is usual, and no violation; half a line waits for its other half."""
    log = tmp_path / "api.log"
    watcher = Watcher(far, str(log))
    assert "no file is called" in watcher.counts()[3]
    write(log, INFO * 95, ERROR * 4, VIOLATION)
    first = watcher.look()
    assert (first.first, first.lines, first.error_share, first.violations, first.untold) == (True, 100, 5.0, 0, "")
    write(log, VIOLATION, INFO[:20])
    assert watcher.counts() == (1, 1, 1, "")
    write(log, INFO[20:], ERROR)
    assert watcher.counts() == (2, 1, 0, "")
    assert watcher.counts() == (0, 0, 0, "")


def test_a_log_that_is_rotated_loses_no_line(far: LoggedIn, tmp_path: Path) -> None:
    """Renamed, then copied and cut short: the rest of the old one comes first, and nothing comes twice."""
    log = tmp_path / "it's a [log].log"
    write(log, INFO * 10)
    watcher = Watcher(far, str(log).replace("[", "?").replace("]", "?"))
    watcher.look()
    write(log, ERROR)
    log.rename(tmp_path / f"{log.name}.1")
    write(tmp_path / f"{log.name}.1", VIOLATION)
    write(log, "2026-11-25 11:00:00 INFO a new one\n", INFO * 2)
    assert watcher.counts() == (5, 2, 1, "")
    assert watcher.counts() == (0, 0, 0, "")
    write(log, ERROR, VIOLATION)
    shutil.copy(log, tmp_path / f"{log.name}.2")
    assert watcher.counts() == (2, 2, 1, "")
    write(log, ERROR)
    shutil.copy(log, tmp_path / f"{log.stem}__2026-11-25_00-00-00.log")
    os.truncate(log, 0)
    write(log, INFO)
    assert watcher.counts() == (2, 1, 0, "")
    write(log, INFO * 20)
    assert watcher.counts() == (20, 0, 0, "")


def test_files_that_begin_alike_are_told_apart(far: LoggedIn, tmp_path: Path) -> None:
    """A copy is never written to again; another process's log is, and then it is read from its beginning."""
    log, other = tmp_path / "api-0.log", tmp_path / "api-1.log"
    write(log, INFO * 10)
    watcher = Watcher(far, str(tmp_path / "api-?.log"))
    watcher.look()
    write(other, INFO * 10)
    shutil.copy(log, tmp_path / "api-2.log")
    assert watcher.counts() == (0, 0, 0, "")
    write(other, ERROR)
    os.utime(other, (2_000_000_000, 2_000_000_000))
    assert watcher.counts() == (11, 1, 0, "")
    assert watcher.counts() == (0, 0, 0, "")


def test_what_is_lost_is_told(far: LoggedIn, tmp_path: Path) -> None:
    """Cut short without a copy, and packed away before it was read; a sample later, since it may only be renamed."""
    log = tmp_path / "api.log"
    write(log, INFO * 10)
    watcher = Watcher(far, str(log))
    watcher.look()
    log.write_text(ERROR * 40, "utf-8")
    assert watcher.counts() == (40, 40, 0, "")
    write(log, VIOLATION)
    counted = watcher.counts()
    assert counted[:3] == (1, 1, 1)
    assert "was cut short" in counted[3]
    write(log, VIOLATION)
    log.rename(tmp_path / "api.log.1.gz")
    write(log, INFO)
    assert watcher.counts() == (1, 0, 0, "")
    counted = watcher.counts()
    assert counted[:3] == (0, 0, 0)
    assert "needs: delaycompress" in counted[3]
    assert watcher.counts() == (0, 0, 0, "")


def test_a_log_of_many_files_is_one(far: LoggedIn, tmp_path: Path) -> None:
    """A file a day, by a pattern: the new one from its beginning, an old one that is put there not at all."""
    write(tmp_path / "api-2026-11-24.log", ERROR * 9)
    watcher = Watcher(far, str(tmp_path / "api-*.log"))
    watcher.look()
    write(tmp_path / "api-2026-11-24.log", ERROR)
    write(tmp_path / "api-2026-11-25.log", INFO * 4, VIOLATION)
    write(tmp_path / "api-2025-01-01.log", ERROR)
    os.utime(tmp_path / "api-2025-01-01.log", (0, 0))
    assert watcher.counts() == (6, 2, 1, "")
    (tmp_path / "api-2025-01-01.log").unlink()
    assert watcher.counts() == (0, 0, 0, "")


def test_what_is_too_much_for_one_sample_comes_with_the_next(
    far: LoggedIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bounded pieces, and how much is left."""
    log = tmp_path / "api.log"
    write(log, INFO)
    watcher = Watcher(far, str(log))
    watcher.look()
    monkeypatch.setattr(host_log, "MOST", 1000)
    write(log, INFO * 40, VIOLATION)
    found = [watcher.look() for _ in range(3)]
    assert [each.lines for each in found] == [33, 8, 0]
    assert [each.behind > 0 for each in found] == [True, False, False]
    assert "are left for the next sample" in found[0].untold


def test_what_may_not_be_read_says_what_it_needs(far: LoggedIn) -> None:
    """The place of before stays, so that nothing is lost when it is put right."""
    folder = Path(tempfile.mkdtemp())
    try:
        folder.chmod(0o755)
        log = folder / "api.log"
        write(log, INFO)
        watcher = Watcher(far, str(log))
        watcher.look()
        if os.getuid() == 0:
            far.program("sh", 'exec setpriv --reuid=65534 --regid=65534 --clear-groups /bin/sh "$@"')
        write(log, VIOLATION)
        log.chmod(0o000)
        assert watcher.counts() == (0, 0, 0, "deploy may not read it (needs: a group that may, such as adm)")
        folder.chmod(0o000)
        assert "(needs: " in watcher.counts()[3]
        folder.chmod(0o755)
        log.chmod(0o644)
        assert watcher.counts() == (1, 1, 1, "")
    finally:
        (far.folder / "bin" / "sh").unlink(missing_ok=True)
        shutil.rmtree(folder)


def entry(number: int, message: object, priority: int = 6) -> str:
    """As journalctl -o json prints one (systemd 252)."""
    return json.dumps({"__CURSOR": f"s=1;i={number}", "PRIORITY": str(priority), "MESSAGE": message}) + "\n"


def test_the_journal_is_read_from_its_cursor(far: LoggedIn, tmp_path: Path) -> None:
    """By priority or by the text; an entry that is gone is told, and so is a missing right."""
    said = tmp_path / "entries"
    far.program("journalctl", f'echo "$@" >> {tmp_path}/asked; case "$*" in *json*) cat {said};; esac')
    watcher = Watcher(far, HostLog(journal="api.service"))
    said.write_text(entry(1, "well") * 60, "utf-8")
    first = watcher.look()
    assert (first.first, first.lines, first.cursor) == (True, 60, "s=1;i=1")
    more = entry(1, "well") + entry(2, "no", 3) + entry(3, json.loads(json.dumps(list(VIOLATION.encode()))))
    said.write_text(more + entry(4, "cut off")[:30], "utf-8")
    assert watcher.counts() == (2, 2, 1, "")
    assert "--cursor='s=1;i=1'" not in (tmp_path / "asked").read_text("utf-8")
    assert "-u api.service --cursor=s=1;i=1 -o json" in (tmp_path / "asked").read_text("utf-8")
    said.write_text(entry(9, '{"level":50}'), "utf-8")
    assert watcher.counts() == (1, 1, 0, "the entry that was read last is gone: entries after it may be missing")
    far.program("journalctl", 'echo "No journal files were opened due to insufficient permissions." >&2')
    assert "needs: the group systemd-journal or adm" in watcher.counts()[3]
    assert watcher.past["api-1", "journal api.service"].cursor == "s=1;i=9"
    (far.folder / "bin" / "journalctl").unlink()


def test_what_pm2_writes_is_found_by_its_name(far: LoggedIn, tmp_path: Path) -> None:
    """Both of its files, and nothing else of what it tells."""
    out, wrong = tmp_path / "api-out.log", tmp_path / "api-error.log"
    write(out, INFO)
    write(wrong, ERROR)
    far.pm2({"pm_out_log_path": str(out), "pm_err_log_path": str(wrong)}, {"pm_out_log_path": str(out)})
    watcher = Watcher(far, HostLog(pm2="api"))
    assert watcher.look().lines == 2
    write(out, INFO)
    write(wrong, VIOLATION)
    assert watcher.counts() == (2, 1, 1, "")
    assert "pm2 knows no process other" in Watcher(far, HostLog(pm2="other")).counts()[3]


def test_a_host_that_is_down_keeps_its_place(far: LoggedIn, tmp_path: Path) -> None:
    """Why is told, and what came meanwhile is counted afterwards."""
    log = tmp_path / "api.log"
    write(log, INFO)
    watcher = Watcher(far, str(log))
    watcher.look()
    write(log, VIOLATION)
    known = far.known_hosts.read_text("utf-8")
    far.known_hosts.write_text("", "utf-8")
    hosts = WatchedHosts(hosts=(far.host(log=str(log)),), eyes=HostEyes(limits=HostLimits(answer_s=10)))
    ((down,),) = (each.logs for each in hosts.look(watcher.past))
    assert ("has no key of it" in down.untold, down.violations) == (True, 0)
    far.known_hosts.write_text(known, "utf-8")
    ((read,),) = (each.logs for each in hosts.look({(down.host, down.log): down}))
    assert (read.lines, read.errors, read.violations, read.untold) == (1, 1, 1, "")


def test_a_log_that_was_idle_is_no_new_one(far: LoggedIn, tmp_path: Path) -> None:
    """However many rotated files are newer: its past is not counted as what came since."""
    idle, busy = tmp_path / "idle.log", tmp_path / "busy.log"
    write(idle, VIOLATION * 10)
    os.utime(idle, (1, 1))
    for number in range(host_log_files.MOST_FILES + 10):
        write(tmp_path / f"busy.log.{number}.gz", "packed")
    write(busy, INFO * 10)
    watcher = Watcher(far, str(tmp_path / "*.log"))
    watcher.look()
    write(idle, INFO)
    assert watcher.counts() == (1, 0, 0, "")
