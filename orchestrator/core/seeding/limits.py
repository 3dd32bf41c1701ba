"""What CHECK constraints allow: read from the text that the server prints, as far as it is simple.

Only what is sure is understood. A constraint that is not understood is named, so that its columns can be left to
their defaults.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

LITERAL = re.compile(r"E?'(?:[^']|'')*'")
_WORD = r'(?:"[^"]+"|[a-z_]\w*)'
CAST = re.compile(
    rf"::(?:{_WORD}\.)?{_WORD}(?: (?:varying|precision|with(?:out)? time zone))*(?:\(\d+(?:,\d+)?\))?"
    r"(?: with(?:out)? time zone)?(?:\[\])*"
)
NAME = r'(?:"(?:[^"]|"")+"|[a-z_][\w$]*)'
VALUE = r"(?:§\d+§|-?\d+(?:\.\d+)?|true|false)"
COMPARISON = re.compile(rf"^({NAME}) (>=|<=|<>|=|>|<) ({VALUE})$")
TURNED = re.compile(rf"^({VALUE}) (>=|<=|<>|=|>|<) ({NAME})$")
LENGTH = re.compile(rf"^(?:char_length|length|character_length|octet_length)\(({NAME})\) (>=|<=|=|>|<) (\d+)$")
NOT_EMPTY = re.compile(rf"^(?:(?:char_length|length)\()?(?:btrim\()?({NAME})\)*(?: <> §\d+§| > 0)$")
ONE_OF = re.compile(rf"^({NAME}) = ANY \(ARRAY\[(.*)\]\)$")
DIFFERENT = re.compile(rf"^({NAME}) <> ({NAME})$")
BETWEEN_COLUMNS = re.compile(rf"^({NAME}) (>=|<=|>|<) ({NAME})$")
IS_NULL = re.compile(rf"^({NAME}) IS NULL$")
IS_NOT_NULL = re.compile(rf"^({NAME}) IS NOT NULL$")
FLAG = re.compile(rf"^(NOT )?({NAME})$")
MIRROR = {">=": "<=", "<=": ">=", ">": "<", "<": ">", "=": "=", "<>": "<>"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one column may hold. Bounds are texts, as the server prints them; `after` and `before` order columns."""

    low: str | None = None
    low_open: bool = False
    high: str | None = None
    high_open: bool = False
    options: tuple[str, ...] | None = None
    never: tuple[str, ...] = ()
    shortest: int = 0
    longest: int | None = None
    not_null: bool = False
    late: bool = False
    early: bool = False
    differs: tuple[str, ...] = ()

    def also(self, other: Limits) -> Limits:
        """Both limits at once."""
        return Limits(
            low=other.low if _tighter(self.low, other.low, up=True) else self.low,
            low_open=other.low_open if _tighter(self.low, other.low, up=True) else self.low_open,
            high=other.high if _tighter(self.high, other.high, up=False) else self.high,
            high_open=other.high_open if _tighter(self.high, other.high, up=False) else self.high_open,
            options=_common(self.options, other.options),
            never=self.never + other.never,
            shortest=max(self.shortest, other.shortest),
            longest=min((n for n in (self.longest, other.longest) if n is not None), default=None),
            not_null=self.not_null or other.not_null,
            late=self.late or other.late,
            early=self.early or other.early,
            differs=self.differs + other.differs,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a definition says: limits per column, or `understood` false and the columns it may mention."""

    limits: dict[str, Limits] = field(default_factory=dict)
    understood: bool = True


def _tighter(old: str | None, new: str | None, *, up: bool) -> bool:
    if new is None or old is None:
        return new is not None
    try:
        return float(new) > float(old) if up else float(new) < float(old)
    except ValueError:
        return new > old if up else new < old


def _common(one: tuple[str, ...] | None, other: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if one is None or other is None:
        return one if other is None else other
    return tuple(each for each in one if each in other)


def read(definition: str) -> Reading:
    """The limits that a CHECK, or the predicate of an index, sets."""
    text, literals = _bare(definition)
    total = Reading()
    for part in _split(text, " AND "):
        found = _part(part, literals)
        if found is None:
            return replace(total, understood=False)
        for column, limits in found.items():
            known = total.limits.get(column)
            total.limits[column] = known.also(limits) if known else limits
    return total


def conditions(predicate: str) -> Iterator[tuple[str, str]]:
    """Column and value of those conjuncts of an index predicate that ask for one value."""
    text, literals = _bare(predicate)
    for part in _split(text, " AND "):
        for column, limits in (_part(part, literals) or {}).items():
            if limits.options is not None and len(limits.options) == 1:
                yield column, limits.options[0]


def mentioned(definition: str, columns: Iterable[str]) -> tuple[str, ...]:
    """Those of these columns whose names stand in a definition."""
    text = LITERAL.sub("''", definition)
    words = {_unquoted(word) for word in re.findall(NAME, text)}
    return tuple(column for column in columns if column in words)


def _bare(definition: str) -> tuple[str, list[str]]:
    """The text without literals, casts and needless parentheses; literals are numbered between paragraph signs."""
    literals: list[str] = []

    def keep(found: re.Match[str]) -> str:
        literals.append(found[0].removeprefix("E")[1:-1].replace("''", "'"))
        return f"§{len(literals) - 1}§"

    text = LITERAL.sub(keep, definition)
    text = re.sub(r"\bVALUE\b", "value", text)
    text = re.sub(r"^CHECK |( NOT VALID| NO INHERIT)+$", "", text)
    text = re.sub(r"\s+", " ", CAST.sub("", text)).strip()
    before = ""
    while before != text:
        before = text
        text = re.sub(rf"(?<![\w\"])\(({NAME}|{VALUE})\)", r"\1", text)
        text = re.sub(r"\(\((ARRAY\[[^\]]*\])\)\)", r"(\1)", text)
    return _unwrapped(text), literals


def _unwrapped(text: str) -> str:
    while text.startswith("(") and _closing(text) == len(text) - 1:
        text = text[1:-1].strip()
    return text


def _closing(text: str) -> int:
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return place
    return -1


def _split(text: str, word: str) -> Iterator[str]:
    """The parts between a word at the top level of parentheses."""
    depth, start = 0, 0
    text = _unwrapped(text)
    for place, letter in enumerate(text):
        depth += (letter in "([") - (letter in ")]")
        if depth == 0 and text.startswith(word, place):
            yield from _split(text[start:place], word)
            start = place + len(word)
    last = _unwrapped(text[start:])
    if start or last != text:
        yield from _split(last, word)
    else:
        yield text


def _part(text: str, literals: list[str]) -> dict[str, Limits] | None:
    """One conjunct. `x IS NULL OR …` says nothing about values that are there."""
    ways = list(_split(text, " OR "))
    if len(ways) > 1:
        ways = [way for way in ways if not IS_NULL.match(way)] or ways[:1]
    if len(ways) == 1:
        return _atoms(ways[0], literals)
    found = [_atom(way, literals) for way in ways]
    if any(each is None or len(each) != 1 for each in found):
        return None
    columns = {column for each in found if each for column in each}
    options = [each[column].options for each in found if each for column in each]
    if len(columns) != 1 or None in options:
        return None
    return {columns.pop(): Limits(options=tuple(word for each in options if each for word in each))}


def _atoms(text: str, literals: list[str]) -> dict[str, Limits] | None:
    """A part that was an alternative to NULL may itself be a conjunction."""
    total: dict[str, Limits] = {}
    for part in _split(text, " AND "):
        found = _atom(part, literals)
        if found is None:
            return None
        for column, limits in found.items():
            total[column] = total[column].also(limits) if column in total else limits
    return total


def _atom(text: str, literals: list[str]) -> dict[str, Limits] | None:
    """One comparison, or None when it is of no known form."""
    if found := COMPARISON.match(text):
        return _compared(found[1], found[2], _value(found[3], literals))
    if found := TURNED.match(text):
        return _compared(found[3], MIRROR[found[2]], _value(found[1], literals))
    if found := ONE_OF.match(text):
        words = [word.strip().strip("()") for word in found[2].split(",")]
        if all(re.fullmatch(VALUE, word) for word in words):
            return {_unquoted(found[1]): Limits(options=tuple(_value(word, literals) for word in words))}
        return None
    if found := LENGTH.match(text):
        return {_unquoted(found[1]): _length(found[2], int(found[3]))}
    return _odd_atom(text)


def _odd_atom(text: str) -> dict[str, Limits] | None:
    if found := NOT_EMPTY.match(text):
        return {_unquoted(found[1]): Limits(shortest=1)}
    if found := IS_NOT_NULL.match(text):
        return {_unquoted(found[1]): Limits(not_null=True)}
    if found := FLAG.match(text):
        return {_unquoted(found[2]): Limits(options=("f" if found[1] else "t",))}
    if found := DIFFERENT.match(text):
        return {_unquoted(found[1]): Limits(differs=(_unquoted(found[2]),))}
    if (found := BETWEEN_COLUMNS.match(text)) and found[1] != found[3]:
        late, early = (found[1], found[3]) if ">" in found[2] else (found[3], found[1])
        return {_unquoted(late): Limits(late=True), _unquoted(early): Limits(early=True)}
    return None


def _compared(name: str, operator: str, value: str) -> dict[str, Limits]:
    meaning = {
        ">=": Limits(low=value),
        ">": Limits(low=value, low_open=True),
        "<=": Limits(high=value),
        "<": Limits(high=value, high_open=True),
        "=": Limits(options=(value,)),
        "<>": Limits(never=(value,)),
    }
    return {_unquoted(name): meaning[operator]}


def _length(operator: str, number: int) -> Limits:
    low = number + (operator == ">") if operator in (">", ">=", "=") else 0
    high = number - (operator == "<") if operator in ("<", "<=", "=") else None
    return Limits(shortest=low, longest=high)


def _value(word: str, literals: list[str]) -> str:
    if word.startswith("§"):
        return literals[int(word.strip("§"))]
    return {"true": "t", "false": "f"}.get(word, word)


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
