"""What stands in a column: a function from numbers to texts in COPY format, different for different numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from hashlib import sha256
from math import ceil, floor

from orchestrator.core.seeding.limits import Limits

Write = Callable[[int], str]

NULL = "\\N"
MANY = 10**9
UUID_LENGTH = 36
STEM_ROOM = 12
"""A text of so many letters has room for a word and a number; a shorter one is only a number."""

SPAN = 2000
"""From so many different values a column is filled that need not be unique."""

FIRST_DAY = date(2024, 1, 1)
FIRST_INSTANT = datetime(2024, 1, 1, tzinfo=UTC)
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
TYPE = re.compile(r"^(?P<word>[^(]*?)\s*(?:\((?P<size>-?\d+)(?:,(?P<scale>-?\d+))?\))?(?P<rest>[^()]*)$")
WHOLE = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1, "oid": 2**31 - 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnType:
    """A type with domains looked through: its printed form, an enum's labels, the checks of its domains on VALUE."""

    base: str
    labels: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    not_null: bool = False
    has_default: bool = False
    array: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A column to be written. `capacity` counts its different values, `span` those that filling draws from.

    `counts`: a whole number, fit to count the children of one parent.
    """

    column: str
    capacity: int
    write: Write
    nullable: bool = False
    options: tuple[str, ...] = ()
    span: int = SPAN
    counts: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a field stands: its name and a number that tells its values from those of other columns."""

    column: str
    stem: str
    mark: str
    nullable: bool
    uuid_like: bool = False


def escaped(text: str) -> str:
    """A text in COPY format."""
    for letter, written in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
        text = text.replace(letter, written)
    return text


def mark_of(*words: object) -> str:
    """31 hexadecimal digits that are the same in every process."""
    return sha256("/".join(map(str, words)).encode()).hexdigest()[:31]


def field_of(place: Place, kind: ColumnType, limits: Limits) -> Field | None:
    """The field of a column, or None when no value of its type is known here."""
    options = _options(kind, limits)
    if options is not None:
        return _chosen(place, options, array=kind.array)
    plain = _plain(place, kind.base, limits)
    if plain is None:
        return None
    capacity, span, write = plain
    return Field(
        column=place.column,
        capacity=capacity,
        span=min(span, capacity),
        write=_in_array(write) if kind.array else write,
        nullable=place.nullable,
        counts=not kind.array and kind.base in WHOLE,
    )


def _options(kind: ColumnType, limits: Limits) -> tuple[str, ...] | None:
    options = limits.options
    if kind.labels:
        options = tuple(each for each in kind.labels if options is None or each in options)
    elif kind.base == "boolean":
        options = tuple(each for each in ("t", "f") if options is None or each in options)
    return None if options is None else tuple(each for each in options if each not in limits.never)


def _chosen(place: Place, options: tuple[str, ...], *, array: bool) -> Field | None:
    words = [escaped(each) for each in options]
    if not words:
        return None
    write: Write = words.__getitem__
    return Field(
        column=place.column,
        capacity=len(words),
        span=len(words),
        write=_in_array(write) if array else write,
        nullable=place.nullable,
        options=options,
    )


def _in_array(write: Write) -> Write:
    """An array of one element: quoted for the array first, which COPY then escapes once more."""

    def written(number: int) -> str:
        inner = write(number).replace("\\\\", "\\\\\\\\").replace('"', '\\\\"')
        return f'{{"{inner}"}}'

    return written


def _plain(place: Place, base: str, limits: Limits) -> tuple[int, int, Write] | None:
    """Capacity, span and writer for a type as format_type prints it."""
    found = TYPE.match(base)
    # A server built without libxml takes no xml at all: it is only tried where a value must be.
    if found is None or (base == "xml" and place.nullable):
        return None
    word = (found["word"] + found["rest"]).strip()
    size = int(found["size"]) if found["size"] else None
    if word in WHOLE:
        return _whole(limits, WHOLE[word])
    if word in ("numeric", "real", "double precision"):
        return _numeric(limits, size if word == "numeric" else None, int(found["scale"] or 0) if size else 2)
    if word in ("text", "character varying", "character", "citext", "name", '"char"', "bpchar"):
        single = word in ("character", '"char"') and size is None
        return _text(place, limits, 1 if single else 63 if word == "name" else size)
    return _moment(word, limits) or _other(place, word, size)


def _whole(limits: Limits, largest: int) -> tuple[int, int, Write] | None:
    low, high = _bounds(limits, Fraction(1))
    first = ceil(low) if low is not None else 1 if high is None or high >= 1 else floor(high) - SPAN
    last = min(largest, floor(high) if high is not None else largest)
    if limits.late:
        first = max(first, min((first + last) // 2, first + SPAN))
    elif limits.early:
        last = min((first + last) // 2, first + SPAN) - 1
    return _avoiding(limits, last - first + 1, lambda number: str(first + number))


def _numeric(limits: Limits, size: int | None, scale: int) -> tuple[int, int, Write] | None:
    step = Fraction(1, 10 ** max(scale, 0)) if scale >= 0 else Fraction(10**-scale)
    low, high = _bounds(limits, step)
    largest = Fraction(10 ** (size - scale)) - step if size else Fraction(10**6)
    first = low if low is not None else step if high is None or high >= step else high - 100
    last = min(largest, high) if high is not None else largest
    if limits.late:
        first = (first + last) / 2
    elif limits.early:
        last = (first + last) / 2 - step
    begin = ceil(first / step)
    digits = max(scale, 0)

    def write(number: int) -> str:
        value = (begin + number) * step
        return f"{value.numerator // value.denominator}" if not digits else f"{float(value):.{digits}f}"

    return _avoiding(limits, floor(last / step) - begin + 1, write)


def _bounds(limits: Limits, step: Fraction) -> tuple[Fraction | None, Fraction | None]:
    """Lowest and highest allowed number; open bounds are moved by one step."""
    try:
        low = Fraction(limits.low) if limits.low is not None else None
        high = Fraction(limits.high) if limits.high is not None else None
    except ValueError:
        return None, None
    low = low + step if low is not None and limits.low_open else low
    return low, high - step if high is not None and limits.high_open else high


def _avoiding(limits: Limits, capacity: int, write: Write) -> tuple[int, int, Write] | None:
    """Leave out what `<>` forbids: it is replaced by the value after the last."""
    if capacity < 1:
        return None
    forbidden = {number for number in range(min(capacity, SPAN)) if write(number) in limits.never}
    if not forbidden:
        return min(capacity, MANY), SPAN, write
    allowed = [number for number in range(min(capacity, SPAN)) if number not in forbidden]
    return (len(allowed), SPAN, lambda number: write(allowed[number])) if allowed else None


def _text(place: Place, limits: Limits, size: int | None) -> tuple[int, int, Write]:
    room = min(each for each in (size, limits.longest, 10**6) if each is not None)
    if place.uuid_like and room >= UUID_LENGTH >= limits.shortest:
        return MANY, SPAN, _uuid(place)
    if room >= STEM_ROOM:
        stem = escaped(place.stem.replace(" ", "_")[: room - 10].encode("ascii", "replace").decode())
        stem = stem.ljust(max(0, limits.shortest - 10), "x")
        return MANY, SPAN, lambda number: f"{stem}-{number:09d}"
    width = max(1, room)

    def short(number: int) -> str:
        letters = []
        for _ in range(width):
            number, digit = divmod(number, 36)
            letters.append(DIGITS[digit])
        return "".join(reversed(letters))

    return min(36**width, MANY), SPAN, short


def _uuid(place: Place) -> Write:
    """Increasing at the front, so that an index grows at its right edge; the rest tells columns apart."""
    mark = place.mark
    tail = f"-{mark[:4]}-4{mark[4:7]}-8{mark[7:10]}-{mark[10:22]}"
    return lambda number: f"{number:08x}{tail}"


def _moment(word: str, limits: Limits) -> tuple[int, int, Write] | None:
    """Days and instants; bounds that are read narrow them."""
    if word == "date":
        first, last = _days(limits)
        return (last - first).days + 1, 700, lambda n: (first + timedelta(days=n)).isoformat()
    if word.startswith("timestamp"):
        first, last = _days(limits)
        start = datetime(first.year, first.month, first.day, tzinfo=UTC)
        zone = "+00" if word.endswith("with time zone") and "without" not in word else ""
        room = max(1, min(MANY, int((last - first).total_seconds() // 60)))
        return room, 10**6, lambda n: f"{start + timedelta(minutes=n):%Y-%m-%d %H:%M:%S}{zone}"
    if word.startswith("time"):
        return 86400, 86400, lambda n: f"{n // 3600:02d}:{n // 60 % 60:02d}:{n % 60:02d}"
    return (MANY, SPAN, lambda n: f"{n + 1} seconds") if word.startswith("interval") else None


def _days(limits: Limits) -> tuple[date, date]:
    first = _day(limits.low) or FIRST_DAY
    last = _day(limits.high) or first + timedelta(days=700_000)
    first = first + timedelta(days=1) if limits.low and limits.low_open else first
    if limits.high and not _day(limits.low):
        first = min(first, last - timedelta(days=700))
    middle = first + timedelta(days=min(365, (last - first).days // 2))
    if limits.late:
        return middle, last
    return (first, middle - timedelta(days=1)) if limits.early else (first, last - timedelta(days=limits.high_open))


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text[:10]) if text else None
    except ValueError:
        return None


def _other(place: Place, word: str, size: int | None) -> tuple[int, int, Write] | None:
    """The types with one form of their own."""
    width = size or 1
    known: dict[str, tuple[int, int, Write]] = {
        "uuid": (MANY, SPAN, _uuid(place)),
        "json": (MANY, SPAN, lambda n: f'{{"n": {n}}}'),
        "jsonb": (MANY, SPAN, lambda n: f'{{"n": {n}}}'),
        "bytea": (MANY, SPAN, lambda n: f"\\\\x{n:08x}"),
        "inet": (2**24, SPAN, lambda n: f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}"),
        "cidr": (2**24, SPAN, lambda n: f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}/32"),
        "macaddr": (2**24, SPAN, lambda n: f"02:00:00:{n >> 16:02x}:{n >> 8 & 255:02x}:{n & 255:02x}"),
        "money": (10**6, SPAN, lambda n: f"{n + 1}.00"),
        "xml": (MANY, SPAN, lambda n: f"<n>{n}</n>"),
        "tsvector": (MANY, SPAN, lambda n: f"word{n}"),
        "tsquery": (MANY, SPAN, lambda n: f"word{n}"),
        "ltree": (MANY, SPAN, lambda n: f"top.n{n}"),
        "hstore": (MANY, SPAN, lambda n: f"n=>{n}"),
        "bit": (2 ** min(width, 29), SPAN, lambda n: f"{n:0{width}b}"),
        "bit varying": (2 ** min(size or 29, 29), SPAN, lambda n: f"{n:b}"),
        "point": (MANY, SPAN, lambda n: f"({n},1)"),
        "int4range": (10**6, SPAN, lambda n: f"[{n},{n + 1})"),
        "int8range": (10**6, SPAN, lambda n: f"[{n},{n + 1})"),
        "numrange": (10**6, SPAN, lambda n: f"[{n},{n + 1})"),
        "daterange": (10**6, SPAN, lambda n: f"[{FIRST_DAY + timedelta(days=n)},)"),
    }
    return known.get(word)
