"""Columns that look as if nobody wants a key there, with the reason: such a column is told, not suggested."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.core.suggestion.clues import Place
from orchestrator.core.suggestion.column import ENDINGS
from orchestrator.core.suggestion.directory import Target
from orchestrator.core.suggestion.words import nouns

KEPT = frozenset({"audit", "archive", "archived", "arch", "backup", "bkp", "bak", "trail", "auditing"})
"""Tables whose rows outlive what they tell of."""

STREAMS = frozenset({
    "event", "statistic", "stat", "stats", "metric", "analytic", "analytics", "telemetry", "trace", "rollup",
    "aggregate", "staging", "stg", "tmp", "temp", "import", "raw",
})  # fmt: skip
"""Tables that grow by the minute, or that are loaded in bulk: a key costs every one of their writes."""

RECORDS = frozenset({"log", "history", "hist", "journal", "snapshot"})
"""The same; but one that is named after its subject (`server_log`) often belongs to it and goes with it."""

COPIES = frozenset(
    {"meta", "metadata", "memory", "cached", "raw", "deprecated", "denormalized", "snapshot", "tmp", "old"}
)
"""Roles that say that the value is a copy, or of something that is stored nowhere."""

IN_FRONT = frozenset({"staging", "stg", "tmp", "temp", "bak", "backup", "import", "raw", "audit"})
"""The same words before the name of what is kept."""

STORED = frozenset({"partitioned", "partition", "old", "new", "v", "p", "entity", "table", "record", "model"})
"""Words about how rows are kept, after the word for what they are."""

GLUED = ("history", "archive", "audit", "statistic", "snapshot")
"""Words that are known at the end of a name without separators, too."""

AUDITS = ("auditlog", "auditentry", "auditevent", "audittrail")

SORTS = frozenset({"type", "kind", "class", "table", "model", "entity", "object"})
OUTSIDE = frozenset({"external", "ext", "remote", "provider", "foreign", "upstream", "legacy", "thirdparty"})


def absent(at: Place, target: Target, *, mentioned: bool) -> str:
    """Why this column seems to have no key on purpose; empty when nothing says so.

    `mentioned`: other columns name the table that the column stands in, so it holds things and not only records.
    """
    return (
        _polymorphic(at, target)
        or _outside(at, target)
        or _copied(at)
        or _kept(at.owner)
        or ("" if mentioned else _told(at.owner, target))
    )


def unnamed(at: Place) -> str:
    """Why a column that names no table of this catalog has no key; empty when there is nothing to tell."""
    partner = polymorphic_partner(at)
    return _many(at, partner) if partner else ""


def polymorphic_partner(at: Place) -> str:
    """The column beside `x_id` that says which table it means (`x_type`), or nothing."""
    if at.stem.ending not in ENDINGS or not at.stem.words:
        return ""
    for other in at.owner.table.columns:
        words = nouns(other.name)
        if (
            words[-1:]
            and words[-1] in SORTS
            and words[:-1] == at.stem.words
            and other is not at.column
            and _names_tables(other.type_name)
        ):
            return other.name
    return ""


def _names_tables(type_name: str) -> bool:
    """A text, a small number for an enum, or a type of the schema's own."""
    return not type_name.startswith(("bool", "timestamp", "date", "json", "uuid", "bytea", "numeric"))


def _polymorphic(at: Place, target: Target) -> str:
    partner = polymorphic_partner(at)
    if not partner or at.stem.text in target.texts:
        return ""
    return _many(at, partner)


def _many(at: Place, partner: str) -> str:
    return f"{partner} says which table {at.column.name} means, and a key can refer to one table only"


def _outside(at: Place, target: Target) -> str:
    words = at.stem.words
    said = [word for word in words[:1] if word in OUTSIDE and word not in target.words]
    return f"{said[0]} says that it is an identity of another system" if said and len(words) > 1 else ""


def _copied(at: Place) -> str:
    said = _first((word for word in at.stem.words[:-1] if word not in at.owner.words), COPIES)
    return f"{said} says that it is a copy, or names something that is not stored" if said else ""


def _kept(owner: Target) -> str:
    words = nouns(owner.name.name)
    audits = "audit" in words or any(word.startswith(AUDITS) for word in words)
    said = "audit" if audits else _first((_kind(owner), *_schema_words(owner)), KEPT)
    text = "whose rows are kept when what they refer to is deleted"
    return f"{owner.name.name} looks like a table of kind {said}, {text}" if said else ""


def _told(owner: Target, target: Target) -> str:
    kinds = (_kind(owner), *(each for each in owner.words[:1] if each in IN_FRONT), *_schema_words(owner))
    said = _first(kinds, STREAMS) or ("" if _subject(owner, target) else _first(kinds, RECORDS))
    text = "written too often or kept too long for a key"
    return f"{owner.name.name} looks like a table of kind {said}, {text}" if said else ""


def _kind(owner: Target) -> str:
    """The word that tells what the rows are: the last one, or the end of a name without separators."""
    words = [word for word in nouns(owner.name.name) if word not in STORED and not word.isdigit()]
    if len(words) != 1:
        return words[-1] if words else ""
    return next((kind for kind in GLUED if words[0].endswith(kind)), words[0])


def _subject(owner: Target, target: Target) -> bool:
    """Whether the table is named after what it tells of: a `server_log` belongs to its server."""
    mine, theirs = "".join(owner.words), "".join(target.bare)
    return mine != theirs and theirs in mine


def _schema_words(owner: Target) -> tuple[str, ...]:
    return () if owner.name.schema == "public" else nouns(owner.name.schema)


def _first(words: Iterable[str], known: frozenset[str]) -> str:
    return next((word for word in words if word in known), "")
