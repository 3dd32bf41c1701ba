"""Words from templates: the report of a run in three forms, and the plan as a script.

Templates get a Summary or a Plan and add no number of their own. Names come from databases and are shown
literally.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from itertools import takewhile
from pathlib import Path
from typing import Final, Literal

from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import SandboxedEnvironment

from orchestrator.adapters.ddl import lock_table
from orchestrator.adapters.terminal import safety
from orchestrator.core.answers import report_document
from orchestrator.core.checklist import CheckedPhase, checklist_document
from orchestrator.core.fates import RelationRow
from orchestrator.core.locks import Lock
from orchestrator.core.plan import Plan
from orchestrator.core.summary import StepRow, Summary

Samples = Mapping[str, list[Mapping[str, str | None]]]


def templates_folder() -> Path:
    """Inside the package when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "templates"
    return installed if installed.is_dir() else package.parent / "templates"


TEMPLATES: Final = templates_folder()

HEADLINES: Final[Mapping[str, str]] = {
    "done": "Done",
    "failed": "Failed after work began",
    "refused": "Refused before the first change",
    "held": "Held: it can go on later",
    "running": "Not finished",
    "interrupted": "Interrupted before its end",
    "abandoned": "Abandoned before its end",
}

FATE_WORDS: Final[Mapping[str, str]] = {"present": "already there", "missing": "not there"}

ATTENTION: Final = ("failed", "missing", "added", "present", "deferred")
"""Relations that need somebody are told first; within a fate the contract's order stays."""

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000

TICKS_MS: Final = (
    *(1, 2, 5, 10, 20, 50, 100, 200, 500),
    *(count * SECOND for count in (1, 2, 5, 10, 20, 30)),
    *(count * MINUTE for count in (1, 2, 5, 10, 20, 30)),
    *(count * HOUR for count in (1, 2, 4, 8, 12)),
    *(count * DAY for count in (1, 2, 5, 10, 30, 100)),
)
MOST_TICKS = 3


def render(template: str, **values: object) -> str:
    """A template of the folder `templates/`, filled. A value that it asks for and does not get is an error."""
    return _environment().get_template(template).render(**values)


def report(
    summary: Summary,
    *,
    format: Literal["html", "md", "json"],  # noqa: A002  the flag's own name
    samples: Samples,
    budget_ms: int,
    checklist: Sequence[CheckedPhase] = (),
) -> str:
    """The report of a run; `samples` are the orphan keys per relation that are kept on this machine."""
    if format == "json":
        more = {"lock_budget_ms": budget_ms, "checklist": checklist_document(checklist)}
        document = report_document(summary, samples) | more
        document |= {"comparison": [asdict(each) for each in summary.comparison]}
        return json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    return render(
        f"report.{format}.j2",
        summary=summary,
        badge=badge(summary),
        headline=headline(summary),
        safety=sentence(safety(summary)),
        relations=sorted(summary.relations, key=lambda row: (not row.orphans, ATTENTION.index(row.fate))),
        orphaned=[row for row in summary.relations if row.orphans],
        counted=sum(row.orphans is not None for row in summary.relations),
        passes=[each for each in summary.findings if each.status == "pass"],
        samples=samples,
        budget_ms=budget_ms,
        chart=chart(summary.steps),
        checklist=checklist,
    )


def plan_script(plan: Plan) -> str:
    """`plan --format sql`: a script that psql can run, one transaction per statement, its locks first."""
    return render("plan.sql.j2", plan=plan)


def badge(summary: Summary) -> str:
    """The verdict; the state where a GO on the way would tell more than the end keeps."""
    ended_well = summary.state == "done"
    return summary.verdict if summary.verdict and (ended_well or summary.verdict != "GO") else summary.state


def headline(summary: Summary) -> str:
    """How the run ended, in a few words."""
    ending = " with differences" if summary.differences else ""
    if summary.rolled_back:
        return f"Failed, and walked back{ending}"
    if summary.task == "rollback" and summary.state == "done":
        return f"Walked back{ending}"
    if summary.dry_run and summary.state == "done":
        return "Dry run: nothing was changed"
    if summary.task == "rehearse" and summary.state == "done":
        return "Rehearsed on a copy, which is gone"
    return HEADLINES[summary.state]


def sentence(text: str) -> str:
    """Words that stood within a line, as a sentence."""
    return f"{text[:1].upper()}{text[1:]}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A step on the time axis; `left` and `width` are percentages of it."""

    step: StepRow
    left: float
    width: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A mark on the time axis; `left` is a percentage of it."""

    label: str
    left: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """The steps that began, on one time axis."""

    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]


def chart(steps: Sequence[StepRow]) -> Chart:
    """The chart of a run's steps; a step that has not ended is a mark where it began."""
    begun = [(each, each.start_ms, each.duration_ms or 0.0) for each in steps if each.start_ms is not None]
    whole = max((start + length for _, start, length in begun), default=0.0) or 1.0
    bars = (Bar(step=step, left=share(start, whole), width=share(length, whole)) for step, start, length in begun)
    return Chart(bars=tuple(bars), ticks=tuple(_ticks(whole)))


def _ticks(whole: float) -> Iterator[Tick]:
    apart = next((each for each in TICKS_MS if whole / each <= MOST_TICKS), TICKS_MS[-1])
    for mark in takewhile(lambda mark: mark <= whole, (count * apart for count in range(MOST_TICKS + 1))):
        label = duration(mark).replace(".0 ", " ").replace(" 00 s", "").replace(" 00 min", "")
        yield Tick(label=label, left=share(mark, whole))


def share(part: float, whole: float) -> float:
    """Percentage, never above 100."""
    return round(min(100.0, 100 * part / whole), 2) if whole else 0.0


def duration(ms: float | None) -> str:
    """`340 ms`, `1.2 s`, `2 min 05 s`, `3 h 20 min`; a dash for what was not measured."""
    if ms is None:
        return "\N{EN DASH}"
    if round(ms) < SECOND:
        return f"{ms:.1f} ms" if 0 < ms < 10 else f"{ms:.0f} ms"  # noqa: PLR2004  two digits tell enough
    if round(ms, -2) < MINUTE:
        return f"{ms / SECOND:.1f} s"
    minutes, seconds = divmod(round(ms / SECOND), 60)
    hours, left = divmod(minutes, 60)
    return f"{hours} h {left:02d} min" if hours else f"{minutes} min {seconds:02d} s"


def size(count: int) -> str:
    """`12.3 MiB`."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1023.95:  # noqa: PLR2004  what would be shown as 1024.0
            return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def moment(at: datetime) -> str:
    """`2026-12-14 09:30 UTC`."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def grouped(count: int) -> str:
    """`1234`, `1 234 567`: from five digits on, with spaces that do not break."""
    return str(count) if count < 10_000 else f"{count:,}".replace(",", "\N{NO-BREAK SPACE}")  # noqa: PLR2004


def fate_word(fate: str) -> str:
    """A fate as people say it."""
    return FATE_WORDS.get(fate, fate)


def where(row: RelationRow) -> str:
    """Table and columns of a relation."""
    return f"{row.schema}.{row.table}({', '.join(row.columns)})"


def literal(text: object) -> str:
    """Text for one line or table cell of Markdown: what means something to Markdown or HTML is shown, not obeyed."""
    line = " ".join(str(text).splitlines())
    line = re.sub(r"([\\`*\[\]|~])", r"\\\1", line.replace("&", "&amp;"))
    line = line.replace("<", "&lt;").replace(">", "&gt;")
    line = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", line)
    return re.sub(r"^([#+=-])|^(\d+)([.)])(?=\s|$)", r"\2\\\1\3", line)


def fenced(text: str, language: str = "") -> str:
    """A code block of Markdown, with a fence longer than any in the text."""
    longest = max(map(len, re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def comment(text: object, indent: str = "") -> str:
    """An SQL comment, on each of its lines: a name may hold a line break."""
    return "\n".join(f"-- {indent}{line}" for line in str(text).splitlines())


def commands(text: str) -> list[tuple[bool, str]]:
    """The text in parts: whether it is something to type, and what."""
    parts = re.split(r"(invoke [a-z]+(?: --?[a-z-]+(?: [^\s,;:()-][^\s,;:()]*)?)+)", text)
    return [(part.startswith("invoke "), part) for part in parts if part]


def source_hash(script: str) -> str:
    """What a Content-Security-Policy calls this inline script, so that no other runs."""
    return b64encode(sha256(script.encode()).digest()).decode()


def lock_sql(lock: Lock) -> str:
    """LOCK TABLE, with its names quoted."""
    return lock_table(lock).as_string(None)


def _is_html(template: str | None) -> bool:
    return template is not None and template.endswith(".html.j2")


@cache
def _environment() -> SandboxedEnvironment:
    environment = SandboxedEnvironment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=_is_html,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "commands": commands,
        "comment": comment,
        "duration": duration,
        "fate_word": fate_word,
        "fenced": fenced,
        "grouped": grouped,
        "literal": literal,
        "lock_sql": lock_sql,
        "moment": moment,
        "size": size,
        "source_hash": source_hash,
        "where": where,
    }
    environment.globals["share"] = share
    return environment
