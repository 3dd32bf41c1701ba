"""Logs of applications, read on their hosts beside a look, from where the last sample left off, in bounded pieces.

What is read is counted as it comes and kept nowhere: only counts leave this room.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from orchestrator.adapters import far_side, host_log_files, host_look
from orchestrator.adapters.far_side import FarEnd, Order, Output
from orchestrator.adapters.host_log_files import Listed, Piece
from orchestrator.adapters.host_log_journal import JournalLines
from orchestrator.adapters.host_log_lines import LineCounts
from orchestrator.adapters.redaction import redacted
from orchestrator.core.inventory import Host, HostLog
from orchestrator.core.watch_logs import HostLogRead, LogPlace

if TYPE_CHECKING:
    import fabric

MOST: Final = 16 << 20
"""Bytes of a log that are read for one sample; what is left comes with the next."""

TAIL: Final = 1 << 20
"""Bytes of a log's end that tell, the first time, how many errors are usual."""

LISTED: Final = 256 << 10
PATHS: Final = 4_000_000
WHY: Final = 200


class Unreadable(Exception):
    """There is nothing to count in; the message says why, and what is needed."""


@dataclass(slots=True)
class Numbered:
    """Output of one file: its inode on the first line, then bytes of it for `counts`, unless it is another file."""

    inode: int
    counts: LineCounts
    _first: bytes | None = b""
    same: bool = False

    def take(self, data: bytes) -> None:
        """Take bytes in."""
        if self._first is None:
            if self.same:
                self.counts.take(data)
            return
        self._first += data
        line, ended, rest = self._first.partition(b"\n")
        if ended:
            self._first, self.same = None, line.strip() == str(self.inode).encode()
            self.take(rest)

    def pause(self) -> None:
        """Nothing to do."""

    def end(self) -> None:
        """Nothing to do."""


@dataclass(slots=True, kw_only=True)
class HostLogs:
    """Reads the logs of a host over a connection that somebody opened. `read` raises nothing.

    `past` is how far each was read, by host and log; a command there may take `within_s`.
    """

    within_s: float
    past: Mapping[tuple[str, str], HostLogRead]
    stopping: Callable[[], bool] = lambda: False
    found: dict[str, tuple[HostLogRead, ...]] = field(default_factory=dict)

    def read(self, host: Host, connection: fabric.Connection) -> None:
        """What came into each log since; what cannot be read says why."""
        self.found[host.name] = tuple(self._one(host, each, connection) for each in host.logs)

    def of(self, host: Host, trouble: str) -> tuple[HostLogRead, ...]:
        """The logs of a host; where it could not be reached, only how far they were read before, and why."""
        if host.name in self.found:
            return self.found[host.name]
        return tuple(_unread(self._last(host, each), trouble or "the host was not asked") for each in host.logs)

    def _last(self, host: Host, log: HostLog) -> HostLogRead:
        return self.past.get((host.name, str(log))) or HostLogRead(host=host.name, log=str(log))

    def _one(self, host: Host, log: HostLog, connection: fabric.Connection) -> HostLogRead:
        last = self._last(host, log)
        reading = _Reading(host=host, last=last, connection=connection, logs=self)
        try:
            if log.journal is not None:
                return reading.journal(log.journal)
            return reading.files((log.file,) if log.file is not None else reading.paths_of_pm2(log.pm2 or ""))
        except Unreadable as error:
            return _unread(last, str(error))
        except Exception as error:  # noqa: BLE001  one log is never a traceback, whatever a library makes of it
            told = redacted(" ".join(str(error).split()))[:WHY]
            return _unread(last, f"{type(error).__name__}: {told}".rstrip(": "))


def _unread(last: HostLogRead, why: str) -> HostLogRead:
    """The place of before, and why it is still that."""
    return HostLogRead(
        host=last.host, log=last.log, places=last.places, cursor=last.cursor, newest=last.newest, unknown=why
    )


@dataclass(slots=True, kw_only=True)
class _Reading:
    """One log, read once."""

    host: Host
    last: HostLogRead
    connection: Any
    logs: HostLogs
    left: int = 0

    def files(self, patterns: Sequence[str]) -> HostLogRead:
        """Files by pattern: the rest of the old ones first. Raises Unreadable."""
        text = self._asked(host_log_files.listing(patterns), most=LISTED)
        files = host_log_files.listed(text, patterns)
        readable = tuple(each for each in files if each.readable)
        if not any(each.main for each in readable) and not (self.last.places and readable):
            raise Unreadable(_why_none(self.host, text, files, patterns))
        shut = [f"{each.file} cannot be read (needs: read access)" for each in files if each.main and not each.readable]
        if not self.last.places:
            return self._first(readable, note="; ".join(shut))
        pieces, lost, holes = host_log_files.pieces(readable, self.last.places, self.last.newest)
        places, total, self.left = [], LineCounts(), MOST
        for piece in pieces:
            counts = LineCounts().go_on(piece.inside)
            size = max(0, min(piece.listed.size - piece.start, self.left))
            self.left -= size
            places.append(self._counted(piece, size, counts))
            _add(total, counts)
        sizes = sum(each.listed.size for each in pieces) - sum(each.offset for each in places)
        missing = () if any(each.main for each in files) else (f"{patterns[0]} is not there now",)
        return HostLogRead(
            host=self.host.name,
            log=self.last.log,
            places=(*host_log_files.kept(readable, places), *lost),
            newest=max(self.last.newest, host_log_files.newest(readable)),
            lines=total.lines,
            errors=total.errors,
            violations=total.violations,
            # What is left of a file otherwise is a line that is not at its end.
            behind=max(0, sizes) if self.left <= 0 else 0,
            note="; ".join((*holes, *shut, *missing)),
        )

    def _first(self, files: Sequence[Listed], note: str) -> HostLogRead:
        """Where the files end; the last lines tell how many errors are usual, newest file first."""
        places, total, left = [], LineCounts(), TAIL
        for each in reversed([each for each in files if each.main]):
            size = min(each.size, left)
            left -= size
            counts = LineCounts(cut=size < each.size)
            place = self._counted(Piece(listed=each, start=each.size - size), size, counts)
            places.append(place if counts.whole else each.place(each.size))
            _add(total, counts)
        return HostLogRead(
            host=self.host.name,
            log=self.last.log,
            places=tuple(reversed(places)),
            newest=host_log_files.newest(files),
            lines=total.lines,
            errors=total.errors,
            first=True,
            note=note,
        )

    def _counted(self, piece: Piece, size: int, counts: LineCounts) -> LogPlace:
        """Count so many bytes from there; a file that was replaced meanwhile is left to the next sample."""
        if size:
            told = Numbered(inode=piece.listed.inode, counts=counts)
            end = self._carried(host_log_files.reading(piece, size), told, enough=lambda: counts.whole > 0)
            # A slow host: what came in time counts, the rest is for the next sample.
            self.left = self.left if end.ending == "itself" else 0
        return piece.listed.place(piece.start + counts.whole, counts.inside)

    def journal(self, unit: str) -> HostLogRead:
        """A unit's entries in the journal of systemd. Raises Unreadable."""
        told = JournalLines(last=self.last.cursor)
        self._carried(told.words(unit, most=MOST if self.last.cursor else TAIL), told)
        if told.why:
            raise Unreadable(told.why.format(user=_user(self.host), unit=unit))
        if not told.cursor:
            message = f"the journal has no entry of {unit} (needs: the unit's name, as in systemctl status {unit})"
            raise Unreadable(message)
        counts = told.counts
        return HostLogRead(
            host=self.host.name,
            log=self.last.log,
            cursor=told.cursor,
            lines=counts.lines,
            errors=counts.errors,
            violations=counts.violations if self.last.cursor else 0,
            first=not self.last.cursor,
            note=told.note,
        )

    def paths_of_pm2(self, name: str) -> tuple[str, ...]:
        """Where pm2 writes what the processes of that name print. Raises Unreadable."""
        text = self._asked(f"{{ {host_look.PM2}; }} | sed 's/^/service /'", most=PATHS)
        paths = host_look.pm2_logs(name, text)
        if not paths:
            message = f"pm2 knows no process {name} with a log (needs: its name as in pm2 list of {_user(self.host)})"
            raise Unreadable(message)
        return paths

    def _asked(self, command: str, *, most: int) -> str:
        told = far_side.Whole(most=most)
        self._carried(command, told)
        return told.data.decode(errors="replace")

    def _carried(self, command: str, output: Output, enough: Callable[[], bool] = lambda: False) -> FarEnd:
        """Carry a command out. Raises Unreadable when it was cut off, unless what came until then is enough."""
        order = Order(command=command, timeout_s=self.logs.within_s)
        end = far_side.carry_out(self.connection, order, output, stopping=self.logs.stopping)
        if end.ending != "itself" and not (end.ending == "late" and enough()):
            late = f"it was not read within {self.logs.within_s:g} s (needs: a larger policy.hosts.answer_s)"
            raise Unreadable(late if end.ending == "late" else "reading it was cut off")
        return end


def _add(total: LineCounts, counts: LineCounts) -> None:
    total.lines += counts.lines
    total.errors += counts.errors
    total.violations += counts.violations


def _user(host: Host) -> str:
    return host.ssh.partition("@")[0] if "@" in host.ssh else "this login"


def _why_none(host: Host, text: str, files: Sequence[Listed], patterns: Sequence[str]) -> str:
    """Why no file can be read, and what that needs."""
    user = _user(host)
    shut = next(host_look.lines(text, "shut"), "")
    if shut:
        return f"{user} may not look into {shut} (needs: a group that may, such as adm)"
    if any(each.main for each in files):
        return f"{user} may not read it (needs: a group that may, such as adm)"
    folder = next(host_look.lines(text, "nofolder"), "")
    if folder:
        return f"{user} sees no folder {folder} (needs: the path as it is on {host.name}, and a way to it)"
    return f"no file is called {' or '.join(patterns)} (needs: the path as it is on {host.name}; * for what changes)"
