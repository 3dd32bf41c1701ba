"""The foreign keys that Prisma makes of a schema: its defaults, its names, its join tables.

The rules are those of its schema engine (sql_schema_calculator.rs, constraint_names.rs); `relationMode` is not asked,
because the keys that a schema with "prisma" leaves out are those that the database lacks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from orchestrator.core.catalog import Action, TableName
from orchestrator.core.contract import NAME_LIMIT, Relation
from orchestrator.core.contract_update import LeftOut
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import BadDocument
from orchestrator.core.prisma_schema import Field, Model, PrismaSchema
from orchestrator.core.server_names import kept, whole

ACTIONS: Final[Mapping[str, Action]] = {
    "Cascade": "cascade",
    "Restrict": "restrict",
    "NoAction": "no action",
    "SetNull": "set null",
    "SetDefault": "set default",
}
PROVIDERS: Final = ("postgresql", "postgres")
SCALARS: Final = frozenset(
    {"String", "Boolean", "Int", "BigInt", "Float", "Decimal", "DateTime", "Json", "Bytes", "Unsupported"}
)
SUFFIX: Final = "_fkey"


def relations_of(schema: PrismaSchema, *, default_schema: str) -> tuple[tuple[Relation, ...], tuple[LeftOut, ...]]:
    """Every key, in the order of the models, join tables last; and relations with a view. Raises BadDocument."""
    _check_provider(schema)
    known = _Known(models=_by_name(schema), enums=schema.enums, default_schema=default_schema)
    return (*known.inline(), *known.joins()), tuple(known.with_views())


def _check_provider(schema: PrismaSchema) -> None:
    if not schema.datasources:
        raise BadDocument(file=schema.path, key="", problem="no datasource block", remedy='provider = "postgresql"')
    for each in schema.datasources:
        if each.provider not in PROVIDERS:
            told = "is missing" if each.provider is None else f"is {each.provider!r}"
            raise each.place.bad(f"provider {told}: a contract is of PostgreSQL", 'provider = "postgresql"')


def _by_name(schema: PrismaSchema) -> Mapping[str, Model]:
    found: dict[str, Model] = {}
    for model in schema:
        if model.name in found:
            raise model.place.bad(f"{model.name} is defined before, at line {found[model.name].place.line}")
        found[model.name] = model
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """The models by name, and what else a field's type can be."""

    models: Mapping[str, Model]
    enums: frozenset[str]
    default_schema: str

    def inline(self) -> Iterator[Relation]:
        """One key per field with `fields`; views have none, nor has anything a key to a view."""
        for model, field, other in self._relation_fields():
            if field.owning and "view" not in {model.kind, other.kind}:
                yield self._owned(model, field, other)

    def with_views(self) -> Iterator[LeftOut]:
        """What would be a key if one side of it were not a view."""
        for model, field, other in self._relation_fields():
            if field.owning and "view" in {model.kind, other.kind}:
                yield LeftOut(key=f"{model.name}.{field.name}", reason="a view has no keys, and none leads to it")

    def joins(self) -> Iterator[Relation]:
        """Two keys per pair of lists that nothing else ties: the table between them is Prisma's own."""
        told: set[str] = set()
        for model, field, other in self._relation_fields():
            opposite = None if field.owning else self._opposite(model, field, other)
            if opposite is None or opposite.owning:
                continue
            if {field.arity, opposite.arity} != {"list"}:
                raise self._unowned(model, field, other)
            name = relation_name(model, field, other)
            if name not in told and "view" not in {model.kind, other.kind}:
                told.add(name)
                yield from self._joined(name, field, *sorted((model, other), key=lambda each: each.name))

    def _relation_fields(self) -> Iterator[tuple[Model, Field, Model]]:
        """Every field that stands for another model, with that model. Raises BadDocument for an unknown type."""
        for model in self.models.values():
            for field in model.fields:
                other = self.models.get(field.type_name)
                if other is not None and other.kind != "type" and model.kind != "type":
                    yield model, field, other
                elif other is None and field.type_name not in SCALARS | self.enums:
                    problem = f"{model.name}.{field.name}: no model {field.type_name} in the schema"
                    raise field.place.bad(problem)

    def _owned(self, model: Model, field: Field, other: Model) -> Relation:
        relation, place = field.relation, field.place
        mine = tuple(model.field(name, place) for name in relation.words("fields"))
        theirs = tuple(other.field(name, place) for name in relation.words("references"))
        if len(mine) != len(theirs):
            raise place.bad(
                f"{model.name}.{field.name}: {counted(len(theirs), 'reference')} for {counted(len(mine), 'field')}"
            )
        # Any required column makes the relation required, whatever its own field says.
        required = field.arity == "required" or any(each.arity == "required" for each in mine)
        return Relation(
            table=self._table(model),
            columns=tuple(kept(each.mapped) for each in mine),
            referenced=self._table(other),
            referenced_columns=tuple(kept(each.mapped) for each in theirs),
            on_delete=_action(field, "onDelete", "restrict" if required else "set null"),
            on_update=_action(field, "onUpdate", "cascade"),
            name=relation.text("map") or key_name(model.mapped, tuple(each.mapped for each in mine)),
        )

    def _joined(self, name: str, field: Field, first: Model, second: Model) -> Iterator[Relation]:
        # The table lies in the schema of the first model; its name keeps 63 characters.
        table = TableName(schema=first.schema(self.default_schema), name=f"_{name}"[:NAME_LIMIT])
        for column, model in (("A", first), ("B", second)):
            if len(model.id_fields) != 1:
                raise field.place.bad(f"a many-to-many relation needs models with one @id, and {model.name} has none")
            yield Relation(
                table=table,
                columns=(column,),
                referenced=self._table(model),
                referenced_columns=(kept(model.field(model.id_fields[0], field.place).mapped),),
                on_delete="cascade",
                on_update="cascade",
                name=whole(table.name, NAME_LIMIT - len(SUFFIX) - 2) + f"_{column}{SUFFIX}",
            )

    def _opposite(self, model: Model, field: Field, other: Model) -> Field:
        """The field of the other model that belongs to the same relation. Raises BadDocument."""
        name = relation_name(model, field, other)
        for each in other.fields:
            if each.type_name == model.name and each is not field and relation_name(other, each, model) == name:
                return each
        raise self._unowned(model, field, other)

    @staticmethod
    def _unowned(model: Model, field: Field, other: Model) -> BadDocument:
        problem = f"{model.name}.{field.name}: no field of {other.name} points back, so that nothing owns the relation"
        return field.place.bad(problem, "@relation(fields: […], references: […]) on one side")

    def _table(self, model: Model) -> TableName:
        # Prisma writes names of any length; the server keeps 63 bytes of them.
        return TableName(schema=model.schema(self.default_schema), name=kept(model.mapped))


def relation_name(model: Model, field: Field, other: Model) -> str:
    """The name a relation is told apart by: the one that is written, or `AToB` with the models in order."""
    return field.relation.text("", "name") or "To".join(sorted((model.name, other.name)))


def key_name(table: str, columns: tuple[str, ...]) -> str:
    """`{table}_{columns}_fkey`; table and columns are cut to whole characters, so that 63 bytes remain."""
    return whole("_".join((table, *columns)), NAME_LIMIT - len(SUFFIX)) + SUFFIX


def _action(field: Field, argument: str, default: Action) -> Action:
    word = field.relation.text(argument)
    if word is None:
        return default
    if word not in ACTIONS:
        raise field.place.bad(f"{argument}: {word} is no action", f"known: {', '.join(ACTIONS)}")
    return ACTIONS[word]
