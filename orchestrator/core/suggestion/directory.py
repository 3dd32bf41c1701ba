"""Tables and their keys, found by words: a lookup per name instead of a comparison of every column with every table."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, TypeVar

from orchestrator.core.catalog import Catalog, Column, Index, Table, TableName
from orchestrator.core.suggestion.column import ENDINGS, stem
from orchestrator.core.suggestion.words import Words, nouns

GENERIC = frozenset({
    "id", "uuid", "guid", "key", "code", "name", "number", "no", "num", "nr", "ref", "pk", "sk", "value", "token",
    "slug", "hash", "title", "label", "email", "username", "login", "handle", "url", "uri", "path", "domain", "type",
    "date", "time", "version", "position", "rank", "sequence", "order", "index", "state", "status", "text", "content",
    "identifier", "phone", "address", "ip", "description", "digest", "secret", "day", "year", "month", "locale",
    "seq", "row", "line", "item", "oid", "subject", "host", "port", "filename",
})  # fmt: skip
"""Names of keys that say nothing about the table they belong to."""

TECHNICAL = frozenset({"tbl", "tb", "t", "dim", "fact", "app", "core", "sys", "dbo", "xref", "rel", "mst", "master"})
"""Prefixes of tables that name no thing."""

LAST = frozenset({"entity", "tbl", "table", "tab", "record", "model", "master", "mst", "mstr"})
"""The same behind the thing."""

CROWD = 64
"""A word that more tables share tells nothing, and looking through them would cost columns times tables."""

FEWEST_SHARING, SHARE = 4, 5
"""From how many tables on, and from which part of all, a first word is the name of a module."""

Thing = TypeVar("Thing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf(Generic[Thing]):
    """Things under words; where a word is everywhere, as with a schema per tenant, only those of one schema."""

    everywhere: Mapping[str, tuple[Thing, ...]]
    by_schema: Mapping[tuple[str, str], tuple[Thing, ...]]

    def under(self, word: str, schema: str) -> tuple[Thing, ...]:
        """What stands under the word, as seen from that schema; nothing when it is a crowd there, too."""
        things = self.everywhere.get(word, ())
        if len(things) > CROWD:
            things = self.by_schema.get((schema, word), ())
        return things if len(things) <= CROWD else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What a foreign key may refer to: an immediate, valid unique index without predicate."""

    columns: tuple[str, ...]
    index: Index


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Target:
    """A table as something to refer to.

    `bare` are its words without the prefix of a module and the like, `texts` the ways to write its name as one word.
    """

    table: Table
    words: Words
    bare: Words
    texts: frozenset[str]
    keys: tuple[Key, ...]
    singles: tuple[Key, ...]
    columns: Mapping[str, Column]

    @property
    def name(self) -> TableName:
        """The table's name."""
        return self.table.name

    @property
    def primary(self) -> Key | None:
        """The primary key, or None."""
        return self.keys[0] if self.keys and self.keys[0].index.primary else None

    @property
    def is_thing(self) -> bool:
        """Whether its rows have an identity of their own; a table that only joins others has none."""
        return bool(self.singles) or any(identifies(self.texts, name) for key in self.keys for name in key.columns)

    def column(self, key: Key) -> Column:
        """The column of a key of one column."""
        return self.columns[key.columns[0]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """Where to look tables and keys up: by name, last word, first word, initials, and first letter with length."""

    catalog: Catalog
    targets: Mapping[TableName, Target]
    by_name: Shelf[Target]
    by_head: Shelf[Target]
    by_first: Shelf[Target]
    by_initials: Shelf[Target]
    by_letter: Shelf[Target]
    by_key: Shelf[tuple[Target, Key]]
    by_key_columns: Shelf[tuple[Target, Key]]

    def comparable(self, target: Target, key: Key, columns: Iterable[Column]) -> bool:
        """Whether the server would compare these columns with the key's, each with its own."""
        classes = dict(zip(key.index.columns, key.index.operator_classes, strict=True))
        pairs = zip(key.columns, columns, strict=True)
        return all(self.catalog.can_compare(classes[name], target.columns[name], column) for name, column in pairs)


def directory(catalog: Catalog) -> Directory:
    """The directory of a catalog. Partitions and views are no targets: a key refers to the whole table."""
    tables = [each for each in catalog.tables.values() if each.kind in {"table", "partitioned"}]
    prefixes = _shared_prefixes(tables)
    targets = {table.name: _target(table, prefixes) for table in tables if table.partition_of is None}
    able = [each for each in targets.values() if each.keys and each.words]
    long = [each for each in able if len(each.words) > 1]
    keys = [(each, key) for each in able for key in each.keys]
    return Directory(
        catalog=catalog,
        targets=targets,
        by_name=_shelf((word, each, each) for each in able for word in {"".join(each.words), "".join(each.bare)}),
        by_head=_shelf((each.bare[-1], each, each) for each in able if each.is_thing),
        by_first=_shelf((each.words[0], each, each) for each in long if each.is_thing),
        by_initials=_shelf((word, each, each) for each in long for word in {initials(each.words), initials(each.bare)}),
        by_letter=_shelf((f"{form[0][0]}{len(form)}", each, each) for each in able for form in {each.words, each.bare}),
        by_key=_shelf((flat(key.columns[0]), each, (each, key)) for each, key in keys if len(key.columns) == 1),
        by_key_columns=_shelf(
            (name, each, (each, key)) for each, key in keys if len(key.columns) > 1 for name in key.columns
        ),
    )


def identifies(texts: frozenset[str], name: str) -> bool:
    """Whether a column is an identity by its name: `id`, or `order_id` in a table of one of these names."""
    mine = stem(name)
    if not mine.words:
        return name.lower() in ENDINGS
    return mine.ending in ENDINGS and mine.text in texts


@lru_cache(maxsize=65536)
def flat(name: str) -> str:
    """A name without capitals and separators; a number at its end counts one of several and is left out."""
    words = nouns(name)
    return "".join(words[:-1] if len(words) > 1 and words[-1].isdigit() else words)


def initials(words: Words) -> str:
    """The first letters."""
    return "".join(word[0] for word in words)


def _shelf(entries: Iterable[tuple[str, Target, Thing]]) -> Shelf[Thing]:
    everywhere: dict[str, list[Thing]] = defaultdict(list)
    by_schema: dict[tuple[str, str], list[Thing]] = defaultdict(list)
    for word, target, thing in entries:
        everywhere[word].append(thing)
        by_schema[target.name.schema, word].append(thing)
    crowded = {word for word, things in everywhere.items() if len(things) > CROWD}
    return Shelf(
        everywhere={word: tuple(things) for word, things in everywhere.items()},
        by_schema={place: tuple(things) for place, things in by_schema.items() if place[1] in crowded},
    )


def _shared_prefixes(tables: Iterable[Table]) -> frozenset[str]:
    """First words that many tables have and none is called: the name of an application or a module."""
    names = [_without_last(words) for each in {each.name.name for each in tables} if (words := nouns(each))]
    firsts = Counter(words[0] for words in names if len(words) > 1)
    things = {words[0] for words in names if len(words) == 1}
    enough = max(FEWEST_SHARING, len(names) // SHARE)
    return frozenset(word for word, count in firsts.items() if count >= enough and word not in things) | TECHNICAL


def _without_last(words: Words) -> Words:
    return words[:-1] if len(words) > 1 and words[-1] in LAST else words


def _target(table: Table, prefixes: frozenset[str]) -> Target:
    words = nouns(table.name.name)
    bare = _without_last(words)
    bare = bare[1:] if len(bare) > 1 and bare[0] in prefixes else bare
    unnumbered = tuple(word for word in words if not word.isdigit() and len(word) > 1)
    keys = tuple(_keys(table))
    return Target(
        table=table,
        words=words,
        bare=bare,
        texts=frozenset({"".join(words), "".join(bare), "".join(unnumbered)}),
        keys=keys,
        singles=tuple(key for key in keys if len(key.columns) == 1),
        columns={each.name: each for each in table.columns},
    )


def _keys(table: Table) -> Iterable[Key]:
    """Each set of columns once, the primary key first."""
    found: dict[frozenset[str], Key] = {}
    for index in sorted(table.indexes, key=lambda each: (not each.primary, each.name)):
        columns = tuple(each for each in index.columns if each is not None)
        if index.can_be_referenced(columns):
            found.setdefault(frozenset(columns), Key(columns=columns, index=index))
    return found.values()
