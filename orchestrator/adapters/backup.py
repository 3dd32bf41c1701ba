"""A backup and its proof: a dump restored and compared, or a restore point of the user's own tool."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from orchestrator.adapters import points
from orchestrator.adapters.checksums import Content, content, differences, snapshot
from orchestrator.adapters.child import ChildFailed, Order, run
from orchestrator.adapters.dump import Link, dumping, explained, link, restore, restore_command
from orchestrator.adapters.dump_folder import DumpFolder, dump_folder, missing, prune
from orchestrator.adapters.ledger import DUMP_LOCK
from orchestrator.adapters.postgres import Connection, Server, plainly
from orchestrator.adapters.programs import Installation, dump_installation
from orchestrator.adapters.scratch import ScratchSource, Shape, shape
from orchestrator.adapters.silence import still_there
from orchestrator.core.journal import BackupProved
from orchestrator.core.outcome import OrchestratorError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

_STEP: Final = "backup"


class BackupNotProved(OrchestratorError):
    """The dump does not hold what the database held; the line names the table, expected and found."""


class NoRestorePoint(OrchestratorError):
    """The command of an external backup failed, or printed no restore point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dumped:
    """A dump before its proof: what the database held in the same snapshot. The time is in ms."""

    snapshot: str
    content: Content
    way: Link
    duration_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compared:
    """A dump that was restored and found equal. Times are in ms."""

    scratch: Shape
    restore_ms: float
    compare_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpBackup:
    """A dump by pg_dump, proved by restoring it into a scratch database and comparing every table.

    `keep` counts proved dumps of this database (0: all); `jobs` are connections, for dump and restore each.
    """

    server: Server
    scratch: ScratchSource
    directory: Path
    keep: int
    run: str
    jobs: int = 2
    tools: Callable[..., Installation] = dump_installation

    def take(self) -> BackupProved:
        """A proved backup. Raises OrchestratorError when it cannot be taken or proved, and leaves no folder.

        The scratch database comes first: what it lacks is known before the long dump.
        """
        with plainly("backup"), self.server.session(_STEP, read_only=True) as source:
            _keep_ways_back_out(source)
            like = shape(source)
            with self.scratch.database(like=like) as place, self._folder(source) as folder:
                tools = self.tools(server_major=like.major, restore_major=_major(place))
                started = datetime.now(UTC)
                dumped = self._dump(source, folder, tools)
                points.reached("backup:dumped")
                compared = self._compare(place, folder, tools, dumped.content)
                command = self._restore_command(folder, tools, dumped.way, like)
                facts = self._facts(source, folder, tools, like) | {"started": started.isoformat()}
                manifest = facts | _measured(dumped, compared) | {"restore": command}
                proof = folder.prove(manifest | {"finished": datetime.now(UTC).isoformat()})
            points.reached("scratch:dropped")
            self._prune(source, folder, like)
            points.reached("backup:pruned")
        return _event(folder, manifest, dumped, compared, proof)

    def copy(self, place: Server) -> dict[str, Any]:
        """Dump into `place`, an empty database, and compare; the folder stays unproved and is the caller's to remove.

        Gives tables, rows, dump_ms, restore_ms and compare_ms. Raises OrchestratorError.
        """
        with plainly("copying"), self.server.session(_STEP, read_only=True) as source:
            _keep_ways_back_out(source)
            tools = self.tools(server_major=source.info.server_version // 10000, restore_major=_major(place))
            with self._folder(source) as folder:
                dumped = self._dump(source, folder, tools)
                points.reached("copy:dumped")
                compared = self._compare(place, folder, tools, dumped.content)
        return {
            "tables": len(dumped.content.tables),
            "rows": dumped.content.rows,
            "dump_ms": dumped.duration_ms,
            "restore_ms": compared.restore_ms,
            "compare_ms": compared.compare_ms,
        }

    def missing(self, proved: BackupProved) -> str | None:
        """Why a backup that was proved before cannot be relied upon from here; None when it is as it was."""
        return missing(proved)

    def _folder(self, source: Connection) -> AbstractContextManager[DumpFolder]:
        return dump_folder(directory=self.directory.resolve(), name=f"{source.info.dbname}-{self.run}")

    def _dump(self, source: Connection, folder: DumpFolder, tools: Installation) -> _Dumped:
        """Dump and count side by side, in one snapshot, which ends with the dump."""
        started = time.monotonic()
        way = link(source, self.server)
        # On production the count stays on one core.
        source.execute("SET max_parallel_workers_per_gather = 0")
        with snapshot(source) as name:
            child = dumping(tools=tools, to=folder.dump, way=way, snapshot=name, jobs=self.jobs)
            try:
                with child:
                    held = content(source, after_each=child.check)
                    # The program's own connection has no limit: it goes the way of ours, which has.
                    child.finish(meanwhile=partial(still_there, source))
            except ChildFailed as error:
                raise explained(error) from None
        return _Dumped(snapshot=name, content=held, way=way, duration_ms=_since(started))

    def _compare(self, place: Server, folder: DumpFolder, tools: Installation, held: Content) -> _Compared:
        with place.session(_STEP) as copy:
            restore_ms = restore(
                tools=tools,
                dump=folder.dump,
                way=link(copy, place),
                jobs=self.jobs,
                role=place.role,
                meanwhile=partial(still_there, copy),
            )
            points.reached("scratch:restored")
            started = time.monotonic()
            with snapshot(copy):
                differing = differences(expected=held, found=content(copy))
            if differing:
                message = f"backup of {self.server.place} is not proved: {differing}"
                raise BackupNotProved(message)
            return _Compared(scratch=shape(copy), restore_ms=restore_ms, compare_ms=_since(started))

    def _restore_command(self, folder: DumpFolder, tools: Installation, way: Link, like: Shape) -> str:
        return restore_command(
            tools=tools,
            dump=folder.dump,
            way=way,
            like=like,
            run=self.run,
            role=self.server.role,
            jobs=self.jobs,
        )

    def _facts(self, source: Connection, folder: DumpFolder, tools: Installation, like: Shape) -> dict[str, Any]:
        return {
            "run": self.run,
            "environment": self.server.environment,
            "database": source.info.dbname,
            "system_identifier": like.system_identifier,
            "server_version": source.info.server_version,
            "tool": f"pg_dump {tools.major} ({tools.source})",
            "bytes": folder.bytes,
            "files": folder.sizes(),
        }

    def _prune(self, source: Connection, folder: DumpFolder, like: Shape) -> None:
        prune(
            directory=folder.path.parent,
            keep=self.keep,
            current=folder.path,
            database=source.info.dbname,
            system_identifier=like.system_identifier,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalBackup:
    """A backup by a command of the user's, run by the shell; the last line it prints is the restore point.

    It is ended after `timeout_s` seconds. None of the `secrets` comes back in a message.
    """

    command: str
    timeout_s: float = 3600.0
    secrets: tuple[str, ...] = ()

    def take(self) -> BackupProved:
        """The restore point. Raises NoRestorePoint when the command fails, is slow or prints nothing."""
        order = Order(name="[backup] command", command=self.command, secrets=self.secrets)
        try:
            said, duration_ms = run(order, within_s=self.timeout_s)
        except ChildFailed as error:
            raise NoRestorePoint(str(error)) from None
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        if not lines:
            message = "[backup] command printed nothing: its last line must be the restore point"
            raise NoRestorePoint(message)
        return _external(order.scrubbed(lines[-1]), duration_ms)

    def missing(self, _: BackupProved) -> str | None:
        """Nothing: only the user's own tool can look a restore point up."""
        return None


def _external(restore_point: str, duration_ms: float) -> BackupProved:
    return BackupProved(
        mode="external",
        path=None,
        restore=restore_point,
        bytes=0,
        tables=0,
        rows=0,
        dump_ms=duration_ms,
        restore_ms=0.0,
        compare_ms=0.0,
        tool="external command",
        manifest_sha256="",
    )


def _event(
    folder: DumpFolder, manifest: dict[str, Any], dumped: _Dumped, compared: _Compared, proof: str
) -> BackupProved:
    return BackupProved(
        mode="dump",
        path=str(folder.path),
        restore=manifest["restore"],
        bytes=manifest["bytes"],
        tables=len(dumped.content.tables),
        rows=dumped.content.rows,
        dump_ms=dumped.duration_ms,
        restore_ms=compared.restore_ms,
        compare_ms=compared.compare_ms,
        tool=manifest["tool"],
        manifest_sha256=proof,
    )


def _measured(dumped: _Dumped, compared: _Compared) -> dict[str, Any]:
    scratch = {"major": compared.scratch.major, "collation": compared.scratch.collation}
    tables = [
        {"schema": name.schema, "table": name.table, "rows": digest.rows, "checksum": digest.checksum}
        for name, digest in dumped.content.tables.items()
    ]
    return {
        "snapshot": dumped.snapshot,
        "proved_on": scratch,
        "dump_ms": round(dumped.duration_ms, 1),
        "restore_ms": round(compared.restore_ms, 1),
        "compare_ms": round(compared.compare_ms, 1),
        "rows": dumped.content.rows,
        "large_objects": dumped.content.large_objects,
        "tables": tables,
    }


def _keep_ways_back_out(source: Connection) -> None:
    """A dump and a way back must not meet: DROP CONSTRAINT would wait for the dump, and readers behind it.

    The lock goes with this session. Raises OrchestratorError while a way back is at work.
    """
    row = source.execute("select pg_try_advisory_lock_shared(%s) as granted", (DUMP_LOCK,)).fetchone()
    if not (row and row["granted"]):
        message = "a way back is at work on this database: take the backup when it has ended"
        raise OrchestratorError(message)


def _major(place: Server) -> int:
    with place.session(_STEP) as connection:
        return connection.info.server_version // 10000


def _since(started: float) -> float:
    return (time.monotonic() - started) * 1000
