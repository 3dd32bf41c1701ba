"""The marker of an environment: what its database wrote down about itself at its first run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """Which environment a database is. A copy carries its original's marker along, until it is adopted.

    The identifier is the cluster's, empty where the role may not see it. A database that is renamed keeps its `oid`;
    one that was restored from a dump has another.
    """

    environment: str
    system_identifier: str
    database: str
    oid: int

    def strange(self, here: Marker) -> str | None:
        """In what the database is not the one that wrote the marker; None when it is."""
        if self.environment != here.environment:
            return (
                f"this database is marked as {self.environment} (database {self.database}), not as {here.environment}"
            )
        both = self.system_identifier and here.system_identifier
        if both and self.system_identifier != here.system_identifier:
            return (
                f"the marker of {self.environment} was written on another server (system identifier"
                f" {self.system_identifier}, this is {here.system_identifier})"
            )
        if self.oid != here.oid:
            return (
                f"the marker of {self.environment} was written in another database of this server"
                f" ({self.database}, oid {self.oid}; this is {here.database}, oid {here.oid})"
            )
        return None
