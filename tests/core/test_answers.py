"""Answers as JSON: written piece by piece, and read back as they were."""

from __future__ import annotations

import json

import pytest

from orchestrator.core.answers import Document, json_text


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"run": "r"},
        {"list": [], "of": {}},
        {"list": [{"a": [1, [2]]}, {}, None, "x"], "nested": {"list": [{"b": 1}]}, "number": 1.5, "no": None},
        {"odd": 'quotes " \\ and \n lines', 'key "': ["ünïcode \N{SNOWMAN}", "\ud800"]},
    ],
)
def test_what_is_written_is_read_back(document: Document) -> None:
    """Whatever is in it."""
    assert json.loads("".join(json_text(document))) == document


def test_an_item_of_a_list_has_a_line() -> None:
    """So that a large plan can be read, searched and compared line by line."""
    text = "".join(json_text({"plan": "p", "relations": [{"id": 1}, {"id": 2}]}))
    assert text.splitlines() == [
        "{",
        '  "plan": "p",',
        '  "relations": [',
        '    {"id": 1},',
        '    {"id": 2}',
        "  ]",
        "}",
    ]
