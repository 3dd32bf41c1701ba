"""Compiled templates from one process to the next."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from jinja2 import DictLoader, Environment

from orchestrator.adapters.compiled import kept

SOURCE = "{{ name }} stands."


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files lie for this test."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def filled(source: str = SOURCE, *, keep: bool = False) -> tuple[str, bool]:
    """What a process writes that begins now, and whether it had to compile."""
    environment = Environment(
        loader=DictLoader({"page": source}), bytecode_cache=kept({"keep": keep}), keep_trailing_newline=keep
    )
    compiled: list[str] = []
    compile_ = environment.compile
    environment.compile = lambda *a, **k: compiled.append("once") or compile_(*a, **k)  # type: ignore[assignment,func-returns-value]
    return environment.get_template("page").render(name="It"), bool(compiled)


def test_the_next_process_compiles_nothing_and_a_changed_template_is_compiled_again(folder: Path) -> None:
    """Forward, another text, the first text again; other options never take what was made without them."""
    assert filled() == ("It stands.", True)
    assert filled() == ("It stands.", False)
    assert filled("{{ name }} fell.") == ("It fell.", True)
    assert filled() == ("It stands.", True)
    assert filled("{{ name }}\n", keep=True) == ("It\n", True)


def test_what_cannot_be_read_is_compiled(folder: Path) -> None:
    """A file cut off at any place, one of nonsense: the text is the same, and the next process has it again."""
    filled()
    (file,) = folder.rglob("*.cache")
    whole = file.read_bytes()
    for damaged in (*(whole[:size] for size in range(0, len(whole), 40)), b"nonsense", whole[:30] + b"\xff" * 30):
        file.write_bytes(damaged)
        assert filled() == ("It stands.", True)
        assert filled() == ("It stands.", False)


def test_a_folder_that_others_can_write_to_is_not_trusted(folder: Path) -> None:
    """Jinja takes the rights away from others; what is no folder at all is not used, and nothing fails."""
    filled()
    (place,) = folder.iterdir()
    place.chmod(0o777)
    assert filled() == ("It stands.", False)
    assert stat.S_IMODE(place.stat().st_mode) == stat.S_IRWXU
    for each in place.iterdir():
        each.unlink()
    place.rmdir()
    place.write_text("in the way")
    assert filled() == ("It stands.", True)
    assert filled() == ("It stands.", True)
