"""The short form of `invoke bench`: that figures come out, never what they are."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from orchestrator.adapters.ddl import qualified
from tests.bench import auditing, online, pages, stage
from tests.bench.__main__ import arguments, repeated
from tests.bench.figures import Window, figures, percentile
from tests.bench.obstacles import standing
from tests.bench.online import Matrix, Online
from tests.bench.stage import Stage
from tests.bench.trial import covered

ROWS = 500
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def set_(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A stage with a few rows."""
    folder = tmp_path_factory.mktemp("bench")
    with stage.opened(folder=folder, rows=ROWS, major=16, url=None, keep=None) as made:
        made.prepare()
        yield made


@pytest.fixture(scope="module")
def found(set_: Stage, tmp_path_factory: pytest.TempPathFactory) -> Online:
    """One round of two ways."""
    matrix = Matrix(
        ways=("b", "c"),
        workers=("1",),
        states=("changed",),
        orders=("child",),
        obstacles=("none",),
        rounds=1,
    )
    return online.measure(tmp_path_factory.mktemp("trials"), set_, matrix, writers=2, limit_s=60)


def test_ways_are_measured_under_load(found: Online) -> None:
    """All keys come in, writes are recorded during and after, and our statements are those of the journal."""
    assert found.keys == 44
    assert len(found.trials) == 2
    for each in found.trials:
        assert each.finished, each.error
        assert each.wall_s > 0
        assert each.during.writes > 0
        assert each.baseline.writes > 0
        assert each.during.longest_ms >= each.during.p99_ms >= each.during.p50_ms > 0
        assert len(each.statements) == (88 if each.condition.way == "c" else 0)


def test_the_bound_beside_an_idle_transaction(found: Online) -> None:
    """Its time and then the keys of the blocked table, by our run of the same round without it; for ours only."""
    matrix = replace(found.matrix, obstacles=("none", "idle"))
    late = [replace(each, condition=replace(each.condition, obstacle="idle"), wall_s=9.0) for each in found.trials]
    rows = list(replace(found, matrix=matrix, trials=(*found.trials, *late)).rows_of_table())
    (bound,) = [each for each in rows if each.bound_s is not None]
    assert (bound.condition.way, bound.condition.obstacle) == ("c", "idle")
    assert found.idle_s < (bound.bound_s or 0) < found.idle_s + found.trials[1].wall_s
    assert rows[0].ratio == 1


def test_an_idle_transaction_blocks_its_table_until_it_goes(set_: Stage) -> None:
    """An ADD would wait for it."""
    with (
        set_.trial("vacuumed") as url,
        psycopg.connect(url, autocommit=True) as other,
        standing("idle", set_, url) as idle,
    ):
        assert idle.table
        lock = sql.SQL("lock table {} in share row exclusive mode nowait").format(qualified(idle.table))
        with pytest.raises(psycopg.errors.LockNotAvailable), other.transaction():
            other.execute(lock)
        idle.go()
        with other.transaction():
            other.execute(lock)


def test_lines_document_page_and_chart_tell_the_same(found: Online, tmp_path: Path) -> None:
    """Every row is in the table, in the JSON and on the page; the chart is XML with title and description."""
    command = repeated(arguments(["--rows", "500", "--ways", "b,c"]))
    page_at, chart_at = pages.write(found, command=command, others=[["start: quick"]], folder=tmp_path)
    page, told = page_at.read_text(encoding="utf-8"), online.lines(found)
    assert sum(line.startswith(("  by hand ", "  this project,")) for line in told) >= 2
    assert len(re.findall(r"^\| (?:by hand|this project, 1 worker) \| changed", page, re.MULTILINE)) == 2
    assert "invoke bench --sections" in page
    assert "start: quick" in page
    assert len(json.loads(json.dumps(online.document(found)))["trials"]) == 2
    drawn = ET.parse(chart_at).getroot()
    assert drawn.find(f"{SVG}title") is not None
    assert drawn.find(f"{SVG}desc") is not None
    assert len(drawn.findall(f"{SVG}rect")) == 1 + 2 * 2


def test_an_autovacuum_is_really_at_work(set_: Stage) -> None:
    """While the obstacle stands, a worker holds its lock on the largest table; afterwards it is gone."""
    holds = (
        "select count(*) from pg_locks l join pg_stat_activity a using (pid)"
        " where a.backend_type = 'autovacuum worker' and l.mode = 'ShareUpdateExclusiveLock' and l.granted"
        " and l.relation = %s::regclass"
    )
    with set_.trial("vacuumed") as url, psycopg.connect(url, autocommit=True) as watcher:
        table = qualified(set_.children[0]).as_string(None)
        with standing("autovacuum", set_, url):
            assert watcher.execute(holds, (table,)).fetchone() == (1,)


def test_the_audit_is_compared_with_plain_counts(set_: Stage) -> None:
    """Both count the same, and our process tells its memory."""
    (one,) = auditing.measure(set_, states=("vacuumed",), rounds=1)
    assert one.orphans == 0
    assert one.relations == 45
    assert one.peak_bytes > 0
    assert one.ratio > 0


def test_figures_of_a_window(tmp_path: Path) -> None:
    """A write that waits into the window counts there, unless it belongs to what was before; nothing outside does."""
    lines = ["w 1.0 500.0", "w 2.0 1500.0", "t 2.0 4.0 40P01", "w 4.0 1.0", "t 4.0 4.1 committed", "w 9.0 1.0"]
    (tmp_path / "writer-0").write_text("\n".join([*lines, "w 4.5"]), encoding="ascii")
    whole = figures(tmp_path, Window(began=3, ended=5))
    assert (whole.writes, whole.longest_ms, whole.aborted) == (2, 1500, {"40P01": 1})
    later = figures(tmp_path, Window(began=3, ended=5), begun_within=True)
    assert (later.writes, later.longest_ms, later.aborted) == (1, 1, {})


def test_nearest_rank_and_covered_time() -> None:
    """A percentile is a value that was measured; what ran side by side counts once."""
    assert percentile([1, 2, 3, 4], 0.5) == 2
    assert percentile([], 0.99) == 0
    assert covered([(0, 2), (1, 3), (5, 6)]) == 4


@pytest.mark.parametrize("words", [["--ways", "d"], ["--rows", "none"], ["--workers", "0"], ["--sections", ""]])
def test_unknown_words_are_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, with what is known."""
    with pytest.raises(SystemExit) as ended:
        arguments(words)
    assert ended.value.code == 2
    assert "known" in (said := capsys.readouterr().err) or "must be" in said
