"""What stands in schema `orphan_audit`: objects with the comment by which we know our own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

SCHEMA: Final = "orphan_audit"
MADE_BY: Final = "orchestrator"

ObjectKind = Literal["schema", "table", "view", "function", "procedure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditObject:
    """An object of that schema, or the schema itself. `definition` is SQL as the server prints it, empty for a table.

    `piece` names what it was installed with and `digest` that piece's text; both are empty for what is not ours.
    """

    kind: ObjectKind
    name: str
    comment: str = ""
    definition: str = ""
    piece: str = field(init=False)
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        """Read the comment; one that we did not write says nothing."""
        said = _said(self.comment)
        object.__setattr__(self, "piece", str(said.get("piece", "")))
        object.__setattr__(self, "digest", str(said.get("digest", "")))

    @property
    def line(self) -> str:
        """As people write it."""
        return f"{self.kind} {SCHEMA}" if self.kind == "schema" else f"{self.kind} {SCHEMA}.{self.name}"

    @property
    def key(self) -> tuple[str, str]:
        """Kind and name."""
        return self.kind, self.name

    @property
    def is_table(self) -> bool:
        """Whether the catalog has it among its tables, too."""
        return self.kind in {"table", "view"}


def comment_of(piece: str, digest: str, **more: str) -> str:
    """The comment that every object of a piece gets; the recorder reads `relation` and `priority` from it."""
    return json.dumps({"made_by": MADE_BY, "piece": piece, "digest": digest, **more}, ensure_ascii=False)


def by_piece(objects: Iterable[AuditObject]) -> Mapping[str, tuple[AuditObject, ...]]:
    """Our own objects by their piece."""
    found: dict[str, list[AuditObject]] = {}
    for each in objects:
        if each.piece:
            found.setdefault(each.piece, []).append(each)
    return {piece: tuple(parts) for piece, parts in found.items()}


def strangers_in(objects: Iterable[AuditObject]) -> tuple[AuditObject, ...]:
    """What is there and not ours."""
    return tuple(each for each in objects if not each.piece)


def _said(comment: str) -> Mapping[str, Any]:
    try:
        said = json.loads(comment)
    except ValueError:
        return {}
    return said if isinstance(said, dict) and said.get("made_by") == MADE_BY else {}
