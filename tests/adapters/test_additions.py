"""`additions.toml`: indexes and checks in the server's own words."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.adapters.additions import ADDITIONS, additions_lines, additions_of
from orchestrator.adapters.runbooks import load_runbook
from orchestrator.core.additions import Addition, Additions, concurrently
from orchestrator.core.catalog import TableName
from orchestrator.core.outcome import BadDocument

TABLE = TableName(schema="s 1", name='odd "table"')


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Quotes and lines in a definition come back as they were; no key is needed beside them."""
    index = Addition(
        table=TABLE, name="i\x7f", definition="CREATE UNIQUE INDEX i ON t USING btree (\"a\nb\") WHERE 'x\\'"
    )
    check = Addition(table=TABLE, name="c", definition="CHECK ((a > 0))")
    made = Additions(indexes=(index,), checks=(check,))
    (tmp_path / ADDITIONS).write_text("\n".join(additions_lines(made)))
    (tmp_path / "foreign_keys.toml").write_text("foreign_key = []\n")
    assert additions_of(tmp_path) == made
    assert load_runbook(str(tmp_path), root=tmp_path).contract.tables == (TABLE,)
    assert concurrently(index.definition).startswith("CREATE UNIQUE INDEX CONCURRENTLY i ON")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[index]]\ntable = "t"\nname = "i"\ndefinition = "drop table t"', r"index\[1\].definition"),
        ('[[check]]\ntable = "t"\nname = "c"\ndefinition = "(a > 0)"', r"check\[1\].definition"),
        ('[[check]]\ntable = "t"\nname = "c"', "definition: is missing"),
        ('[[unique]]\ntable = "t"', "unique"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, words: str) -> None:
    """One line, with file and key."""
    (tmp_path / ADDITIONS).write_text(text)
    with pytest.raises(BadDocument, match=words):
        additions_of(tmp_path)
