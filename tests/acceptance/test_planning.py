"""`invoke plan` reads contract and catalog side by side; what is told does not depend on which is done first."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from orchestrator.app import planning
from orchestrator.app.request import Request
from orchestrator.core.outcome import BadDocument, CannotConnect, Refused

LINE = '[[foreign_key]]\ntable = "a"\ncolumns = ["b_id"]\nreferences = {{ table = "b", columns = ["id"] }}\n{more}'
AWAY = '{ env = "AWAY_URL" }'
EMBEDDED = '{ embedded = "own" }'


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Request:
    """A runbook without a mistake, for a server that is away."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWAY_URL", f"postgresql://someone@127.0.0.1:{closed.getsockname()[1]}/app")
    for name in ("inventory", "book"):
        (tmp_path / name).mkdir()
    request = Request(env="here", runbook=str(tmp_path / "book"), inventory=tmp_path / "inventory", json=True)
    _contract(request, "")
    _environment(request, AWAY)
    return request


def _contract(request: Request, more: str) -> None:
    (Path(request.runbook) / "foreign_keys.toml").write_text(LINE.format(more=more), encoding="utf-8")


def _environment(request: Request, url: str) -> None:
    text = f'[environment]\nname = "here"\nkind = "staging"\n\n[database]\nurl = {url}\n'
    (request.inventory / "here.toml").write_text(text, encoding="utf-8")


def test_a_server_that_is_away(asked: Request) -> None:
    """It is told when there is nothing else to tell."""
    with pytest.raises(CannotConnect, match="cannot connect"):
        planning.plan(asked, form=None)


def test_a_mistake_in_the_contract_is_told_before_the_server_that_is_away(asked: Request) -> None:
    """With its file and its key; the person who wrote it can mend it without a server."""
    _contract(asked, "nmae = 'x'")
    with pytest.raises(BadDocument, match=r"foreign_key\[1\].nmae: unknown key"):
        planning.plan(asked, form=None)


def test_a_table_that_no_line_names_is_told_before_the_server_that_is_away(asked: Request) -> None:
    """`--only` is held against the contract alone."""
    missing = Request(env=asked.env, runbook=asked.runbook, inventory=asked.inventory, only=("nonsense",))
    with pytest.raises(Refused, match="--only: no table 'nonsense'"):
        planning.plan(missing, form=None)


def test_no_server_is_made_for_a_contract_that_cannot_be_read(asked: Request) -> None:
    """An embedded one would have to be started, and made before the first time."""
    _environment(asked, EMBEDDED)
    _contract(asked, "nmae = 'x'")
    with pytest.raises(BadDocument, match="unknown key"):
        planning.plan(asked, form=None)
    assert not (asked.inventory.parent / ".embedded").exists()
