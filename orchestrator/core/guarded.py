"""What generated guards promise: the contract they are made from, by its digest."""

from __future__ import annotations

import json
from hashlib import sha256

from orchestrator.core.contract import Contract, Relation


def contract_digest(contract: Contract) -> str:
    """SHA-256 over the promised relations, sorted: what a guard checks, and nothing that is only told to people."""
    document = sorted(_checked(each) for each in contract.promised)
    return sha256(json.dumps(document, ensure_ascii=False).encode()).hexdigest()


def _checked(relation: Relation) -> list[str | list[str]]:
    return [
        relation.name,
        [relation.table.schema, relation.table.name, *relation.columns],
        [relation.referenced.schema, relation.referenced.name, *relation.referenced_columns],
        [relation.on_delete, relation.on_update, relation.match],
        list(relation.on_delete_columns),
    ]
