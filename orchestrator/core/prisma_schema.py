"""A Prisma schema as values: its models with their fields and attributes, and where each stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from orchestrator.core.outcome import BadDocument

Value = str | tuple["Value", ...]
"""What an argument may be: a text, a word, a call (its name) or a list of these."""

Arity = Literal["required", "optional", "list"]
ModelKind = Literal["model", "view", "type"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something stands, for people: the file and its line."""

    file: str
    line: int

    def bad(self, problem: str, remedy: str = "") -> BadDocument:
        """The error about what stands here."""
        return BadDocument(file=f"{self.file}:{self.line}", key="", problem=problem, remedy=remedy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """`@name(…)` of a field or `@@name(…)` of a model; an argument without a name has the name ""."""

    name: str
    arguments: tuple[tuple[str, Value], ...] = ()

    def get(self, *names: str) -> Value | None:
        """The first argument with one of these names."""
        return next((value for name, value in self.arguments if name in names), None)

    def text(self, *names: str) -> str | None:
        """An argument that is one word or text."""
        found = self.get(*names)
        return found if isinstance(found, str) else None

    def words(self, *names: str) -> tuple[str, ...]:
        """An argument that is a list; Prisma takes one word for a list of it."""
        found = self.get(*names) or ()
        return tuple(each for each in ((found,) if isinstance(found, str) else found) if isinstance(each, str))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Marked:
    """Something with a name, a place and attributes."""

    name: str
    place: Place
    attributes: tuple[Attribute, ...] = ()

    def attribute(self, name: str) -> Attribute | None:
        """The first attribute of that name."""
        return next((each for each in self.attributes if each.name == name), None)

    @property
    def mapped(self) -> str:
        """The name in the database: that of `@map` or `@@map`, or its own."""
        found = self.attribute("map")
        return (found.text("", "name") if found else None) or self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Field(_Marked):
    """A line of a model; the type may be a scalar, an enum or another model."""

    type_name: str
    arity: Arity = "required"

    @property
    def relation(self) -> Attribute:
        """`@relation`, an empty one where nothing is said."""
        return self.attribute("relation") or Attribute(name="relation")

    @property
    def owning(self) -> bool:
        """Whether the key's columns are on this side."""
        return bool(self.relation.words("fields"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Model(_Marked):
    """A `model`, a `view` or a composite `type`."""

    kind: ModelKind = "model"
    fields: tuple[Field, ...] = ()

    def field(self, name: str, place: Place) -> Field:
        """The field of that name. Raises BadDocument."""
        for each in self.fields:
            if each.name == name:
                return each
        raise place.bad(f"model {self.name} has no field {name!r}")

    def schema(self, default: str) -> str:
        """The schema of the database: that of `@@schema`, or the default."""
        found = self.attribute("schema")
        return (found.text("", "map") if found else None) or default

    @property
    def id_fields(self) -> tuple[str, ...]:
        """The fields of the primary key, of `@id` or `@@id`."""
        single = tuple(each.name for each in self.fields if each.attribute("id"))
        compound = self.attribute("id")
        return single or (compound.words("", "fields") if compound else ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Datasource:
    """The `datasource` block: which database, and whether it is to have keys at all."""

    provider: str | None
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class PrismaSchema:
    """All files of a schema together; `path` is where they lie."""

    path: str
    datasources: tuple[Datasource, ...] = ()
    models: tuple[Model, ...] = ()
    enums: frozenset[str] = field(default_factory=frozenset)

    def __iter__(self) -> Iterator[Model]:
        """The models in the order of the files."""
        return iter(self.models)
