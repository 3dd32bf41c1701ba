"""`as_is.sql` of a runbook's folder: the file that is run as it stands, and whether the ledger says that it ran."""

from __future__ import annotations

from pathlib import Path

from orchestrator.adapters.documents import read_text
from orchestrator.adapters.postgres import Server, plainly
from orchestrator.core.as_is import Script

AS_IS = "as_is.sql"


def script_of(runbook: Path) -> Script | None:
    """The script of a runbook; None without one. Raises BadDocument, Refused."""
    path = runbook / AS_IS
    return Script(name=runbook.resolve().name, text=read_text(path)) if path.exists() else None


def ran(server: Server, script: Script) -> bool:
    """Whether a run on record has run it here; it is never run twice. Raises OrchestratorError."""
    there = "select to_regclass('orchestrator.event') is not null as there"
    query = (
        "select exists (select from orchestrator.event where kind = 'statement_done' and data ->> 'id' = %s) as found"
    )
    doing = "looking for the script in the ledger"
    with plainly(doing, reading=True), server.session("script", read_only=True) as connection:
        ledger = connection.execute(there).fetchone()
        if not (ledger and ledger["there"]):
            return False
        row = connection.execute(query, (script.id,)).fetchone()
        return bool(row and row["found"])
