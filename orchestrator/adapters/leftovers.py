"""What copies are called, and how those that dead processes left behind are known and removed."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from orchestrator.adapters.embedded import Cluster
from orchestrator.adapters.postgres import Connection, Server, statement
from orchestrator.adapters.processes import gone
from orchestrator.core.lease import Owner
from orchestrator.core.outcome import OrchestratorError

STEP: Final = "scratch"
FOLDER: Final = "orchestrator-scratch-"
"""How the folders of temporary servers begin."""

MAKER: Final = "maker.json"
"""In such a folder: the process that made it."""

_PREFIX: Final = "orchestrator_scratch_"
_RUN_AT_MOST: Final = 28  # of the 63 bytes of a name: the prefix takes 21, the random part 13
_OF_A_RUN: Final = re.compile(_PREFIX + r"\d{8}t\d{9}_[0-9a-f]{4}_[0-9a-f]{12}")


def scratch_name(run: str) -> str:
    """A new name that tells the run; letters, digits and underscores only."""
    return f"{_names_of(run)}{secrets.token_hex(6)}"


def _names_of(run: str) -> str:
    """How the names of a run's scratch databases begin."""
    told = re.sub(r"[^a-z0-9]+", "_", run.lower())[:_RUN_AT_MOST].strip("_")
    return f"{_PREFIX}{told}_"


def sweep(folder: Path) -> tuple[Path, ...]:
    """Remove the temporary servers of processes that were killed: their data is a copy of the target; gives them.

    Anybody may make a folder of that name in a public place, or a link to one of ours: what is not our own stays.
    """
    swept = []
    for path in sorted(folder.glob(f"{FOLDER}*")):
        with suppress(OSError, ValueError, TypeError, OrchestratorError):  # not ours to read, or still being made
            ours = path.lstat().st_uid == os.geteuid() and not path.is_symlink()
            if ours and gone(Owner(**json.loads((path / MAKER).read_text(encoding="utf-8")))):
                Cluster(directory=path).discard()
                shutil.rmtree(path)
                swept.append(path)
    return tuple(swept)


def any_scratch(connection: Connection) -> bool:
    """Whether this server has scratch databases of anybody. Raises psycopg.Error."""
    like = _PREFIX.replace("_", r"\_") + "%"
    row = connection.execute(
        "select exists (select from pg_database where datname like %s) as found", (like,)
    ).fetchone()
    return bool(row and row["found"])


def drop_leftovers(server: Server) -> tuple[str, ...]:
    """Drop the scratch databases that dead processes of this machine left behind; gives their names.

    One that somebody is connected to, or whose maker cannot be told, stays; a run that is taken up again knows its own.
    One that was not signed yet when its maker was killed is told by its name: no session of that run is left.
    """
    dropped = []
    with server.session(STEP, read_only=False) as connection:
        for row in connection.execute(statement("scratch_databases")).fetchall():
            own = row["name"].startswith(_names_of(server.run))
            unsigned = not row["maker"] and not row["watched"] and _OF_A_RUN.fullmatch(row["name"])
            if row["sessions"] == 0 and (own or unsigned or _maker_is_gone(row["maker"])):
                # Without FORCE: whoever has connected since then is right.
                with suppress(psycopg.Error):
                    connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(row["name"])))
                    dropped.append(row["name"])
    return tuple(dropped)


def _maker_is_gone(comment: str | None) -> bool:
    """Whether the process that signed it ran on this machine and is dead; False when that is unclear."""
    try:
        maker = json.loads(comment or "")
        if maker["host"] != socket.gethostname():
            return False
        os.kill(int(maker["pid"]), 0)
    except ProcessLookupError:
        return True
    except (ValueError, TypeError, KeyError, OSError):
        return False
    return False
