"""The server's log, read through the server in bounded pieces, from where the last sample left off."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from orchestrator.adapters.postgres import Connection
from orchestrator.adapters.watch_log_lines import Format, count, names_applications, names_databases
from orchestrator.core.watch import LogRead

PIECE: Final = 1 << 20
MOST: Final = 16 << 20
"""Bytes that are read at a time, and for one sample; what is left comes with the next."""

SETTINGS: Final = """
select current_setting('logging_collector') = 'on' as collected, current_setting('log_min_messages') as least,
       current_setting('lc_messages') as language, current_setting('log_line_prefix') as prefix,
       current_database() as database
"""

SILENT: Final = frozenset({"log", "fatal", "panic"})
"""With log_min_messages at one of these the server does not write errors down."""


NO_COLLECTOR: Final = (
    "the server writes no log file of its own (logging_collector is off): violations are only to be seen in the"
    " application's logs (needs: log of a [[host]] in the inventory)"
)


class Unreadable(Exception):
    """There is nothing to count in; the message says why, and what is needed."""


def read_log(connection: Connection, last: LogRead | None) -> LogRead:
    """Violations since `last`; without it only where the log stands now. Raises Unreadable, psycopg.Error."""
    known = connection.execute(SETTINGS).fetchone() or {}
    form, current = _current(connection, known)
    note = _note(form, known)
    if last is None or not last.file:
        return LogRead(file=current, offset=_size(connection, current) or 0, violations=0, note=note)
    place, total, left = last, 0, MOST
    for file in _files(connection, last, current):
        place = replace(place, file=file, offset=place.offset if file == place.file else 0)
        size = _size(connection, file)
        if size is None:
            note = f"{note}; {file} is gone, what stood in it was not counted".removeprefix("; ")
            continue
        # The name of a log may come again (log_truncate_on_rotation): a shorter file is a new one.
        place = place if place.offset <= size else replace(place, offset=0)
        offset, found = _counted(connection, place, min(size, place.offset + left), form, known)
        left, total, place = left - (offset - place.offset), total + found, replace(place, offset=offset)
        if left <= 0 and offset < size:
            break
    behind = (_size(connection, place.file) or 0) - place.offset
    ours = 0 if names_applications(form, known["prefix"]) else last.own
    return LogRead(
        file=place.file,
        offset=place.offset,
        violations=max(0, total - ours),
        behind=behind if left <= 0 else 0,
        note=note,
    )


def _current(connection: Connection, known: dict[str, Any]) -> tuple[Format, str]:
    """The format that tells most, and its file as the server names it. Raises Unreadable."""
    if not known["collected"]:
        raise Unreadable(NO_COLLECTOR)
    if known["least"] in SILENT:
        message = f"errors are not logged (log_min_messages is {known['least']}; needs: warning)"
        raise Unreadable(message)
    forms: tuple[Format, ...] = ("jsonlog", "csvlog", "stderr")
    for form in forms:
        # Before PostgreSQL 15 no log is written as JSON, and asking for it is an error.
        if form == "jsonlog" and connection.info.server_version < 150000:  # noqa: PLR2004
            continue
        row = connection.execute("select pg_current_logfile(%s) as file", (form,)).fetchone() or {}
        if row["file"]:
            return _understood(form, known), str(row["file"])
    message = "the server has no log file (log_destination; needs: csvlog or jsonlog beside it)"
    raise Unreadable(message)


def _understood(form: Format, known: dict[str, Any]) -> Format:
    if form == "stderr" and not known["language"].startswith(("C", "POSIX", "en", "English")):
        message = f"the log is plain text in {known['language']}; needs: log_destination with csvlog or jsonlog"
        raise Unreadable(message)
    return form


def _note(form: Format, known: dict[str, Any]) -> str:
    if names_databases(form, known["prefix"]):
        return ""
    return "violations of other databases of this server are counted, too (log_line_prefix has no %d)"


def _files(connection: Connection, last: LogRead, current: str) -> Iterator[str]:
    """The file that was read last, those that came after it, and the current one."""
    yield last.file
    if last.file == current:
        return
    folder, suffix = posixpath.dirname(last.file), posixpath.splitext(last.file)[1]
    was = connection.execute("select (pg_stat_file(%s, true)).modification as at", (last.file,)).fetchone() or {}
    rows = connection.execute(
        "select name from pg_ls_logdir() where modification > %s::timestamptz order by modification, name", (was["at"],)
    ).fetchall()
    others = (posixpath.join(folder, row["name"]) for row in rows)
    yield from (each for each in others if each not in {last.file, current} and each.endswith(suffix))
    yield current


def _size(connection: Connection, file: str) -> int | None:
    row = connection.execute("select (pg_stat_file(%s, true)).size as size", (file,)).fetchone() or {}
    return int(row["size"]) if row["size"] is not None else None


def _counted(
    connection: Connection, place: LogRead, until: int, form: Format, known: dict[str, Any]
) -> tuple[int, int]:
    """From where we are to `until`, piece by piece: the new place, and the violations of others in this database."""
    offset, found, more = place.offset, 0, PIECE
    while offset < until:
        row = (
            connection.execute(
                "select pg_read_binary_file(%s, %s, %s, true) as text", (place.file, offset, min(more, until - offset))
            ).fetchone()
            or {}
        )
        text = bytes(row["text"] or b"")
        counted = count(text, form, database=known["database"], prefix=known["prefix"])
        if not counted.whole and len(text) < more:
            # The server is in the middle of a record.
            break
        # A record that is longer than a piece is read whole, or passed over when there is no end to it.
        more = PIECE if counted.whole else more * 4
        offset += counted.whole or (len(text) if more > MOST else 0)
        found += counted.violations
    return offset, found
