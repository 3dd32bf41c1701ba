"""Answers as JSON: written piece by piece, and read back as they were."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.adapters.json_text import json_text
from orchestrator.core.answers import Document


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"run": "r"},
        {"list": [], "of": {}},
        {"list": [{"a": [1, [2]]}, {}, None, "x"], "nested": {"list": [{"b": 1}]}, "number": 1.5, "no": None},
        {"numbers": [2**64, -(2**63), 0.1, 1e16, 1e-7, True], "keys": {1: "one", None: "none"}},
        {"odd": 'quotes " \\ and \n lines', 'key "': ["ünïcode \N{SNOWMAN}", "\ud800"]},
    ],
)
def test_what_is_written_is_read_back(document: Document) -> None:
    """Whatever is in it."""
    assert json.loads("".join(json_text(document))) == json.loads(json.dumps(document))


def test_an_item_of_a_list_has_a_line() -> None:
    """So that a large plan can be read, searched and compared line by line."""
    text = "".join(json_text({"plan": "p", "relations": [{"id": 1}, {"id": 2}]}))
    assert text.splitlines() == [
        "{",
        '  "plan": "p",',
        '  "relations": [',
        '    {"id":1},',
        '    {"id":2}',
        "  ]",
        "}",
    ]


@pytest.mark.parametrize("beside", ["plain", "\ud800"])
def test_what_json_has_no_form_for_is_text(beside: str) -> None:
    """Whichever encoder writes it: half of a surrogate pair takes the other one."""
    said = json.loads("".join(json_text({"at": datetime(2026, 1, 2, tzinfo=UTC), "in": Path("a/b"), "it": beside})))
    assert said == {"at": "2026-01-02 00:00:00+00:00", "in": "a/b", "it": beside}
