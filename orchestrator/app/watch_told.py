"""What `invoke status` tells of the watch that is open, wherever it is at work."""

from __future__ import annotations

from typing import Any

from orchestrator.adapters import ledger_watch
from orchestrator.adapters.ledger_watch import KeptWatch
from orchestrator.adapters.postgres import Connection, plainly
from orchestrator.app.site import Site


def watch_in(site: Site, connection: Connection) -> KeptWatch | None:
    """The watch that the target has open; none where it may not be read. Raises Refused."""
    with plainly("reading the watch", reading=True):
        readable = ledger_watch.readable(connection)
        return ledger_watch.open_watch(connection, site.environment.name, None) if readable else None


def tell_watch(site: Site, found: KeptWatch | None) -> dict[str, Any]:
    """A line on the screen, and the same as a document; nothing where none is open."""
    if found is None:
        return {}
    lease, state = found.lease, "stopped" if found.free else "at work"
    site.screen.line(
        f"run {found.of} is watched by {found.id} from host {lease.owner.host} as {lease.owner.os_user}:"
        f" {state}, last heard of at {lease.heartbeat_at:%Y-%m-%d %H:%M:%S} UTC"
    )
    if found.free:
        site.screen.line(f"  next: {site.server.command('monitor')} goes on with it, on any machine")
    document = {"run": found.id, "of": found.of, "state": state, "host": lease.owner.host}
    return {"watch": {**document, "last": lease.heartbeat_at.isoformat()}}
