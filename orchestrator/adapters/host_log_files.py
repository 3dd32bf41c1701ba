"""Files of a log on a host: which there are, and from where each is read when they were rotated in between.

A file is known by its inode and a checksum of its beginning, never by its name: logrotate renames the old one, or
copies it and cuts it short (copytruncate, pm2-logrotate), and an inode that is free is given to the next file.
"""

from __future__ import annotations

import posixpath
import re
import shlex
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Final

from orchestrator.core.watch_logs import LogPlace

HEAD: Final = 256
"""Bytes of a file's beginning that are summed up."""

MOST_FILES: Final = 50
"""Of those that rotation may have made, the newest."""

MOST_OWN: Final = 100
"""Of those that the pattern itself means, however many newer ones rotation made: one that is idle is known, too."""

SETTLING_S: Final = 60
"""A copy that was written to so shortly before may still be looked for."""

COPY: Final = "copy"
"""Stands in a place instead of what is inside: of this file it is not known yet whether it is one."""

PACKED: Final = (".gz", ".xz", ".bz2", ".zst", ".zip", ".lz4")

# stat of GNU and busybox, then of the BSDs. A file is opened once: its name may be another file's a moment later. One
# whose name has a line break is passed over.
LIST: Final = """\
LC_ALL=C; export LC_ALL
seen() {{ stat -Lc "%i %s %Y" "$1" 2>/dev/null || stat -Lf "%i %z %m" "$1" 2>/dev/null; }}
{{ ls -td -- {own} 2>/dev/null | head -n {most_own}
ls -td -- {made} 2>/dev/null | head -n {most}; }} | while IFS= read -r file; do
[ -f "$file" ] || continue
if [ -r "$file" ]; then
{{ told=$(seen /dev/fd/3) && echo "file $told yes x$(head -c {head} <&3 | od -An -v -tx1 | tr -d ' \\n') $file"
}} 3<"$file"
else told=$(seen "$file") && echo "file $told no x $file"; fi
done 2>/dev/null
for folder in {folders}; do
[ -d "$folder" ] || echo "nofolder $folder"
[ ! -d "$folder" ] || {{ [ -x "$folder" ] && [ -r "$folder" ]; }} || echo "shut $folder"
done
"""
READ: Final = """\
{{ stat -Lc %i /dev/fd/3 2>/dev/null || stat -Lf %i /dev/fd/3
tail -c +{start} <&3 | head -c {size}; }} 3<{file} 2>/dev/null
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A file as it stands there. `own` is one that the pattern means, not only one that may be a copy of it."""

    file: str
    inode: int
    size: int
    touched: int
    readable: bool
    head: bytes
    own: bool
    main: bool

    def place(self, offset: int, inside: str = "") -> LogPlace:
        """How far it was read."""
        head = zlib.crc32(self.head[: min(HEAD, offset)])
        return LogPlace(file=self.file, inode=self.inode, offset=offset, touched=self.touched, head=head, inside=inside)

    def continues(self, place: LogPlace) -> bool:
        """Whether what was read up to that place is what this file begins with."""
        return self.size >= place.offset and zlib.crc32(self.head[: min(HEAD, place.offset)]) == place.head

    def doubtful(self, places: Sequence[LogPlace], living: Sequence[Listed], doubted: Mapping[int, LogPlace]) -> bool:
        """Whether this may be a copy of what was counted already, and has not been cut short yet or is not whole yet.

        Of an empty file nobody knows. A file that begins like another and is still written to a sample later is none.
        """
        if any(self.inode == place.inode for place in places):
            return False
        twin = any(map(self._copies, places)) or any(map(self._begins_as, living)) or (not self.size and bool(living))
        return twin and (self.inode not in doubted or self.touched <= doubted[self.inode].touched)

    def _begins_as(self, other: Listed) -> bool:
        size = min(len(self.head), len(other.head))
        return size > 0 and self.head[:size] == other.head[:size]

    def _copies(self, place: LogPlace) -> bool:
        size = min(HEAD, place.offset)
        return 0 < size <= self.size and zlib.crc32(self.head[:size]) == place.head


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A file, and from where it is read."""

    listed: Listed
    start: int
    inside: str = ""


def listing(patterns: Sequence[str]) -> str:
    """What the host is asked: each pattern's files, and what rotation may have made of them."""
    rotated = [made for each in patterns for made in (*_rotated(each), _renamed(each))]
    folders = dict.fromkeys(posixpath.dirname(each) for each in patterns)
    return LIST.format(
        own=" ".join(map(_globbed, patterns)),
        made=" ".join(map(_globbed, rotated)),
        folders=" ".join(shlex.quote(each) for each in folders if not _is_pattern(each)) or "/",
        most_own=MOST_OWN,
        most=MOST_FILES,
        head=HEAD,
    )


def reading(piece: Piece, size: int) -> str:
    """So many bytes of a file, after its inode on a line of its own."""
    return READ.format(start=piece.start + 1, size=size, file=shlex.quote(piece.listed.file))


def listed(text: str, patterns: Sequence[str]) -> tuple[Listed, ...]:
    """The files that were told, oldest first."""
    found: dict[int, Listed] = {}
    for each in filter(None, (_listed(line, patterns) for line in text.splitlines())):
        # Several patterns may name a file, and a link leads to one that has another name.
        if each.inode not in found or each.main:
            found[each.inode] = each
    return tuple(sorted(found.values(), key=lambda each: (each.touched, each.file)))


def newest(files: Sequence[Listed]) -> int:
    """When one of them was last written to."""
    return max((each.touched for each in files if each.own), default=0)


def pieces(
    files: Sequence[Listed], before: Sequence[LogPlace], newest_before: int
) -> tuple[tuple[Piece, ...], tuple[LogPlace, ...], tuple[str, ...]]:
    """From where each file is read on, the places to look for once more, and what can no longer be read, in words.

    A file that was not there is read from its beginning, when it was written to since; an older one is passed over. One
    that is not found may just be getting another name.
    """
    doubted = {each.inode: each for each in before if each.inside == COPY}
    places = [each for each in before if each.inside != COPY]
    free = {each.inode: each for each in files}
    found: dict[int, Piece] = {}
    recent = newest_before - SETTLING_S
    same = [each for each in places if each.inode in free and free[each.inode].continues(each)]
    for place in same:
        found[place.inode] = Piece(listed=free.pop(place.inode), start=place.offset, inside=place.inside)
    living = [each.listed for each in found.values()]
    lost: list[LogPlace] = []
    for place in (each for each in places if each not in same):
        # What was cut short may have been copied before, and the longest copy is the last.
        copies = (each for each in free.values() if place.offset and each.touched >= recent and each.continues(place))
        last = max(copies, key=lambda each: each.size, default=None)
        if last is None:
            lost.append(place)
        else:
            found[last.inode] = Piece(listed=free.pop(last.inode), start=place.offset, inside=place.inside)
    doubts = tuple(each.place(0, COPY) for each in free.values() if each.own and each.doubtful(places, living, doubted))
    known = {each.inode for each in (*places, *doubted.values())}
    for each in free.values():
        new = each.own and (each.touched >= newest_before or each.inode in known)
        if (new or each.main) and each.inode not in {doubt.inode for doubt in doubts}:
            found[each.inode] = Piece(listed=each, start=0 if new else each.size)
    notes = tuple(_hole(each, files) for each in lost if each.missed == 1)
    once = tuple(replace(each, missed=1 if each.touched >= recent else 2) for each in lost if not each.missed)
    return tuple(found[each.inode] for each in files if each.inode in found), (*once, *doubts), notes


def kept(files: Sequence[Listed], places: Sequence[LogPlace]) -> tuple[LogPlace, ...]:
    """The places to go on from: an older file that rotation made, and that was read to its end, is of no more use."""
    recent = newest(files) - SETTLING_S
    by_inode = {each.inode: each for each in files}
    return tuple(
        each
        for each in places
        if (file := by_inode[each.inode]).main or each.touched >= recent or each.offset < file.size
    )


def _hole(place: LogPlace, files: Sequence[Listed]) -> str:
    if any(each.inode == place.inode for each in files):
        return f"{place.file} was cut short: what came to it shortly before may be missing"
    return (
        f"{place.file} was gone before it was read to its end: what came to it shortly before is missing (needs:"
        " delaycompress where it is rotated)"
    )


def _listed(line: str, patterns: Sequence[str]) -> Listed | None:
    parts = line.split(" ", 6)
    if len(parts) != 7 or parts[0] != "file" or not all(each.isdecimal() for each in parts[1:4]):  # noqa: PLR2004
        return None
    _, inode, size, touched, may, head, name = parts
    if name.endswith(PACKED):
        return None
    main = any(_matches(name, each) for each in patterns)
    return Listed(
        file=name,
        inode=int(inode),
        size=int(size),
        touched=int(touched),
        readable=may == "yes",
        head=bytes.fromhex(head[1:]),
        own=main or any(_matches(name, made) for each in patterns for made in _rotated(each)),
        main=main,
    )


def _rotated(pattern: str) -> tuple[str, str]:
    """What logrotate calls the older ones: `api.log.1`, `api.log-20261125`."""
    return f"{pattern}.[0-9]*", f"{pattern}-[0-9]*"


def _renamed(pattern: str) -> str:
    """What others call them: `api-2026-11-25.log`, `api__2026-11-25_00-00-00.log`, `api.1.log`."""
    stem, suffix = posixpath.splitext(pattern)
    return f"{stem}[-_.]*[0-9]*{suffix}"


def _is_pattern(path: str) -> bool:
    return any(each in path for each in "*?[")


def _globbed(pattern: str) -> str:
    """For a shell: only what stands for other characters keeps its meaning."""
    return re.sub(r"[^\w./*?\[\]-]", lambda found: f"\\{found[0]}", pattern, flags=re.ASCII)


def _matches(name: str, pattern: str) -> bool:
    """As in the shell: what * stands for holds no slash."""
    return fnmatchcase(name, pattern) and name.count("/") == pattern.count("/")
