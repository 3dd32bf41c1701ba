"""Checks of the history that another tool keeps: folder against table, because Prisma itself says nothing of either."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from orchestrator.core import history as judged
from orchestrator.core.checks import Check, Judgement, Row, Severity, Subject, failed, none_of, passed, unknown
from orchestrator.core.contract import Contract
from orchestrator.core.history import Applied, History

PROBE = "history"
TRIED = "it was run on a copy, and did what this runbook says and nothing else"
Lines = Callable[[tuple[Applied, ...]], Sequence[str]]


def history_checks(
    history: History, whole: Contract, *, writes: judged.Writes, others: Callable[[Subject], Iterable[str]]
) -> tuple[Check, ...]:
    """All of them for one history; `whole` is the runbook's contract, `writes` the SQL of a relation's key.

    `others` has what else a migration may do: drop a key that stands NOT VALID, build an index that is planned or
    stands.
    """

    def check(name: str, title: str, lines: Lines, well: str, remedy: str, severity: Severity = "critical") -> Check:
        def judge(_: Subject, rows: tuple[Row, ...]) -> Judgement:
            return none_of(lines(_applied(rows)), well=well)

        return _check(name, title, judge, well, remedy, severity)

    return (
        _check(
            "table",
            f"Can the history of {history.tool} be written?",
            _judge_table,
            f"{history.table} is there, with the rights to write it",
            f"let {history.tool} make its table first, or give this role the rights; history.toml names the table",
        ),
        check(
            "edited",
            "Is every applied migration's file what it was?",
            lambda rows: tuple(judged.edited(history, rows)),
            "every checksum is the file's",
            "bring the file back as it was, and write a new migration for the change",
        ),
        check(
            "unknown",
            "Is every applied migration in the folder?",
            lambda rows: tuple(judged.unknown(history, rows)),
            "all are",
            "check out the version of the application that this database belongs to",
        ),
        check(
            "unfinished",
            "Did every migration come to its end?",
            lambda rows: tuple(judged.unfinished(rows)),
            "all did",
            "mend what it left, then prisma migrate resolve",
        ),
        check(
            "before",
            f"Is everything applied that comes before {history.migration.name}?",
            lambda rows: tuple(judged.lacking(history, rows)),
            "all is",
            f"let {history.tool} apply these first",
        ),
        check(
            "others",
            "Which other migrations are pending?",
            lambda rows: tuple(judged.others(history, rows)),
            "none",
            f"{history.tool} applies them afterwards",
            "optional",
        ),
        _content(history, whole, writes, others),
        _covered(history, writes),
        _recorded(history, writes),
    )


def _check(
    name: str,
    title: str,
    judge: Callable[[Subject, tuple[Row, ...]], Judgement],
    expected: str,
    remedy: str,
    severity: Severity = "critical",
    probe: str | None = PROBE,
) -> Check:
    return Check(
        id=f"history.{name}",
        title=title,
        severity=severity,
        expected=expected,
        remedy=remedy,
        judge=judge,
        probe=probe,
    )


def _applied(rows: tuple[Row, ...]) -> tuple[Applied, ...]:
    """The rows of the table; the first of an answer tells what keeps us from writing it."""
    return tuple(each for row in rows[1:] if isinstance(each := row["applied"], Applied))


def _judge_table(_: Subject, rows: tuple[Row, ...]) -> Judgement:
    problem = str(rows[0]["problem"])
    return failed(problem) if problem else passed("it can")


def _content(
    history: History, whole: Contract, writes: judged.Writes, others: Callable[[Subject], Iterable[str]]
) -> Check:
    """A migration that creates a table must not be recorded by a run that adds keys only."""
    readable = history.migration.statements is not None

    def judge(subject: Subject, rows: tuple[Row, ...]) -> Judgement:
        if history.migration.name in judged.in_effect(history, _applied(rows)):
            return passed("recorded already")
        if history.tried:
            return passed(TRIED)
        if not readable:
            return unknown("it is more than SQL, and is not run to find out")
        promised = (*map(writes, whole.promised), *others(subject))
        return none_of(tuple(judged.foreign(history, promised)), well="only keys of the contract")

    return _check(
        "content",
        f"Does {history.migration.name} do nothing but what this contract says?",
        judge,
        "only keys of the contract, with their definitions",
        "make contract and migration agree: invoke generate writes one that does;"
        " policy.create_missing_indexes builds its indexes; invoke deploy --migration tries it on a copy",
        "critical" if readable else "optional",
    )


def _covered(history: History, writes: judged.Writes) -> Check:
    """A key that no migration adds is missing when the tool builds a database anew."""

    def judge(subject: Subject, _: tuple[Row, ...]) -> Judgement:
        if history.tried:
            return passed(TRIED)
        if history.migration.statements is None:
            return unknown("it is more than SQL, and is not run to find out")
        missing = [
            (each.relation, writes(each.relation)) for each in subject.plan.relations if each.status == "missing"
        ]
        return none_of(tuple(judged.left_out(history, missing)), well="every key that is added")

    return _check(
        "covered",
        f"Does {history.migration.name} add every key that this run adds?",
        judge,
        "every key that is added",
        "write a migration with these, too: without one a new database lacks them",
        "important",
        None,
    )


def _recorded(history: History, writes: judged.Writes) -> Check:
    def judge(subject: Subject, rows: tuple[Row, ...]) -> Judgement:
        standing = history.migration.name in judged.in_effect(history, _applied(rows))
        why = judged.not_written(subject.plan, history, _applied(rows), writes)
        return failed(why) if why and not standing else passed(why or "yes, with the last statement")

    return _check(
        "recorded",
        f"Does this run record {history.migration.name} as applied?",
        judge,
        "yes, with the last statement",
        "deploy the rest of the contract, too",
        "optional",
    )
