"""The copy of a journal on a disk that fills up, and one that a crash cut off: what was whole stays readable."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.adapters import events
from orchestrator.adapters.runs import JOURNAL, JournalCopy, RunFolder
from orchestrator.core.entry import Entry
from orchestrator.core.outcome import Refused

RUN = "20260101T000000000-beef"


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """The folder of a run, with nothing in it."""
    return RunFolder(root=tmp_path / "runs", run=RUN)


def entry(seq: int, word: str = "plan") -> Entry:
    """An event of some hundred bytes."""
    return Entry(
        run=RUN,
        seq=seq,
        at=datetime(2026, 1, 1, tzinfo=UTC),
        actor="ayu",
        kind="step_started",
        data=f'{{"step":"{word}"}}',
        previous="0" * 64,
        hash="1" * 64,
    )


@contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """No file can grow beyond so many bytes: a write gets that far, and then fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.skipif(sys.platform == "win32", reason="resource limits are Unix's")
def test_a_line_that_a_full_disk_cut_takes_no_other_with_it(folder: RunFolder) -> None:
    """Half a line is taken away again; it and the next one are written when there is room."""
    copy = JournalCopy(folder=folder)
    copy.add(entry(1))
    path = folder.path / JOURNAL
    before = path.read_bytes()
    with files_end_at(len(before) + 100):
        copy.add(entry(2))
        assert path.read_bytes() == before
    assert copy.behind == 1
    copy.add(entry(3))
    assert copy.behind == 0
    assert [each.seq for each in folder.entries()] == [1, 2, 3]


@pytest.mark.parametrize("cut", [1, 2, 30])
def test_a_last_line_that_was_cut_inside_a_character(folder: RunFolder, cut: int) -> None:
    """A crash knows nothing of UTF-8: the line before is read, and the rest is passed over."""
    copy = JournalCopy(folder=folder)
    copy.add(entry(1, "\N{SNOWMAN}"))
    torn = events.to_line(entry(2, "\N{SNOWMAN}")).encode()
    end = torn.index("\N{SNOWMAN}".encode()) + cut
    with (folder.path / JOURNAL).open("ab") as file:
        file.write(torn[:end])
    assert [each.data for each in folder.entries()] == ['{"step":"\N{SNOWMAN}"}']


def test_a_line_that_is_none_is_named(folder: RunFolder) -> None:
    """In the middle of a copy it is no crash: whoever reads it is told in one line which file."""
    folder.append(JOURNAL, events.to_line(entry(1)))
    with (folder.path / JOURNAL).open("ab") as file:
        file.write(b"\xff\xfe\n")
    with pytest.raises(Refused, match=r"journal\.jsonl is no journal"):
        list(folder.entries())
