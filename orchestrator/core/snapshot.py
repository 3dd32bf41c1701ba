"""The catalog as the journal keeps it: small enough to store with every run, enough to say what changed."""

from __future__ import annotations

from typing import Literal

from orchestrator.core.catalog import Catalog
from orchestrator.core.contract import Contract
from orchestrator.core.journal import CatalogRecorded


def recorded(
    catalog: Catalog, moment: Literal["before", "after", "after rollback"], contract: Contract
) -> CatalogRecorded:
    """Every table's fingerprint, and line by line the tables of the contract with their partitions."""
    touched = {each for name in contract.tables for each in catalog.family(name)}
    tables = (catalog.table(name) for name in sorted(touched))
    return CatalogRecorded(
        moment=moment,
        fingerprint=catalog.fingerprint,
        tables=catalog.fingerprints,
        lines=tuple(line for table in tables if table for line in table.lines()),
    )
