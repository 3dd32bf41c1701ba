"""Reads Prisma's schema files, one or a folder of them, with a grammar that reads over what no key needs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, reduce
from pathlib import Path
from typing import Any, ClassVar, Final, cast

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedInput, UnexpectedToken, v_args
from lark.lexer import PatternStr

from orchestrator.adapters.documents import read_text
from orchestrator.core.outcome import BadDocument, Refused
from orchestrator.core.prisma_schema import (
    Arity,
    Attribute,
    Datasource,
    Field,
    Model,
    ModelKind,
    Place,
    PrismaSchema,
    Value,
)

GRAMMAR: Final = Path(__file__).with_name("prisma.lark")
WORDS: Final = {
    "NAME": "a name",
    "STRING": 'a text in "…"',
    "NUMBER": "a number",
    "_NL": "the end of the line",
    "$END": "the end of the file",
}


def read_prisma(path: Path) -> PrismaSchema:
    """The schema of a file, or of every `*.prisma` below a folder. Raises Refused, BadDocument."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*.prisma") if not _generated(file.relative_to(path)))
        if not files:
            message = f"{path}: no file *.prisma in it or below"
            raise Refused(message)
    else:
        files = [path]
    parts = [parse_prisma(read_text(file), file=str(file)) for file in files]
    return reduce(_together, parts, PrismaSchema(path=str(path)))


def _generated(file: Path) -> bool:
    """Whether a file belongs to packages or tools: Prisma leaves a copy of the schema beside the client it makes."""
    return any(part == "node_modules" or part.startswith(".") for part in file.parts)


def parse_prisma(text: str, *, file: str) -> PrismaSchema:
    """The schema that a text is. Raises BadDocument with the line, and with what was expected there."""
    try:
        tree = _parser().parse(text)
    except UnexpectedInput as error:
        raise _explained(error, text, file) from error
    schema: PrismaSchema = _Reader(file).transform(tree)
    return schema


def _together(one: PrismaSchema, other: PrismaSchema) -> PrismaSchema:
    return PrismaSchema(
        path=one.path,
        datasources=(*one.datasources, *other.datasources),
        models=(*one.models, *other.models),
        enums=one.enums | other.enums,
    )


class _LineEnds:
    """Drops line ends inside of brackets, and all but the first of those that follow one another."""

    always_accept: ClassVar = ("_NL",)

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        """The tokens that the grammar knows."""
        depth, ended = 0, False
        for token in stream:
            depth += {"LPAR": 1, "LSQB": 1, "RPAR": -1, "RSQB": -1}.get(token.type, 0)
            if token.type != "_NL" or (depth <= 0 and not ended):
                yield token
            ended = token.type == "_NL"


@cache
def _parser() -> Lark:
    return Lark(
        GRAMMAR.read_text(encoding="utf-8"),
        parser="lalr",
        postlex=cast("Any", _LineEnds()),
        maybe_placeholders=True,
        propagate_positions=False,
    )


def _explained(error: UnexpectedInput, text: str, file: str) -> BadDocument:
    line, found, names = error.line, "", set[str]()
    if isinstance(error, UnexpectedToken):
        found, names = str(error.token), set(error.accepts or error.expected)
    elif isinstance(error, UnexpectedCharacters):
        found, names = error.char, set(error.allowed or ())
    if not isinstance(line, int) or line < 1 or getattr(error, "token", Token("", "")).type == "$END":
        line, found = text.count("\n") + 1, "the end of the file"
    told = "the end of the line" if not found.strip() else found if found.startswith("the end") else repr(found)
    wanted = " or ".join(_words(names)) or "something else"
    return BadDocument(file=f"{file}:{line}", key="", problem=f"syntax error at {told}: expected {wanted}")


def _words(terminals: set[str]) -> Iterator[str]:
    """What is expected, as people say it."""
    if {"NAME", "STRING", "NUMBER"} <= terminals:
        yield "a value"
        terminals = terminals - {"NAME", "STRING", "NUMBER", "LSQB", "LBRACE"}
    if {"RPAR", "RSQB"} & terminals:
        # Between brackets a line may end anywhere: it is never what is missing.
        terminals = terminals - {"_NL"}
    if {"KIND", "SETTINGS"} <= terminals:
        yield "model, enum, type, view, datasource or generator"
        terminals = set()
    yield from sorted({_word(name) for name in terminals})


def _word(terminal: str) -> str:
    """What a terminal is called before people."""
    if terminal in WORDS:
        return WORDS[terminal]
    pattern = _parser().get_terminal(terminal).pattern
    return f'"{pattern.value}"' if isinstance(pattern, PatternStr) else terminal


@dataclass(frozen=True, slots=True, kw_only=True)
class _Type:
    name: str
    arity: Arity


@dataclass(frozen=True, slots=True, kw_only=True)
class _Enum:
    name: str


@v_args(inline=True)
class _Reader(Transformer[Token, Any]):
    """The tree as values, from its leaves up."""

    def __init__(self, file: str) -> None:
        """The file's name goes into every place."""
        super().__init__()
        self._file = file

    def start(self, *blocks: Model | Datasource | _Enum | None) -> PrismaSchema:
        return PrismaSchema(
            path=self._file,
            datasources=tuple(each for each in blocks if isinstance(each, Datasource)),
            models=tuple(each for each in blocks if isinstance(each, Model)),
            enums=frozenset(each.name for each in blocks if isinstance(each, _Enum)),
        )

    def model(self, kind: Token, name: Token, *lines: Field | Attribute | None) -> Model:
        return Model(
            name=str(name),
            place=self._place(name),
            kind=cast("ModelKind", str(kind)),
            fields=tuple(each for each in lines if isinstance(each, Field)),
            attributes=tuple(each for each in lines if isinstance(each, Attribute)),
        )

    def field(self, name: Token, of: _Type, *attributes: Attribute) -> Field:
        return Field(name=str(name), place=self._place(name), type_name=of.name, arity=of.arity, attributes=attributes)

    def type(self, name: Token, _: Token | None, many: Arity | None, maybe: Arity | None) -> _Type:
        return _Type(name=str(name), arity=many or maybe or "required")

    def list(self) -> Arity:
        return "list"

    def optional(self) -> Arity:
        return "optional"

    def enum(self, name: Token, *_: object) -> _Enum:
        return _Enum(name=str(name))

    def settings(self, kind: Token, name: Token, *lines: tuple[str, Value] | None) -> Datasource | None:
        if kind != "datasource":
            return None
        provider = dict(filter(None, lines)).get("provider")
        return Datasource(provider=provider if isinstance(provider, str) else None, place=self._place(name))

    def setting(self, name: Token, value: Value) -> tuple[str, Value]:
        return str(name), value

    def attribute(self, name: str, arguments: tuple[tuple[str, Value], ...] | None) -> Attribute:
        return Attribute(name=name, arguments=arguments or ())

    block_attribute = attribute

    def arguments(self, *each: tuple[str, Value] | None) -> tuple[tuple[str, Value], ...]:
        return tuple(filter(None, each))

    def argument(self, name: Token | None, value: Value) -> tuple[str, Value]:
        return str(name or ""), value

    def text(self, token: Token) -> str:
        try:
            return str(json.loads(token))
        except ValueError:
            # An escape that JSON does not know: what stands there, without the quotes.
            return str(token)[1:-1]

    def word(self, token: Token) -> str:
        return str(token)

    def path(self, *names: Token) -> str:
        return ".".join(names)

    def call(self, name: str, _: object) -> str:
        return name

    def array(self, *each: Value | None) -> tuple[Value, ...]:
        return tuple(value for value in each if value is not None)

    def object(self, *_: object) -> str:
        return ""

    def _place(self, token: Token) -> Place:
        return Place(file=self._file, line=token.line or 0)
