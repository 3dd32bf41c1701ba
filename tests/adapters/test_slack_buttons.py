"""The blocks that ask for an approval."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.adapters.slack_buttons import approval_blocks, read_button, value_of
from orchestrator.core.clicks import Button

HOSTILE = "*bold* <!here> {{ 1 }} `x` &amp; <https://example.org|x>"
BUTTON = Button(
    environment=HOSTILE, run="20260101T000000000-abcd", digest="d" * 64, fingerprint="f" * 64, hold="h" * 64
)


def test_the_blocks_say_what_is_asked_and_how_to_answer_by_command() -> None:
    """Two buttons, each with a dialog; what people wrote is plain text, in which Slack reads no markup."""
    made: list[dict[str, Any]] = [
        each.to_dict() for each in approval_blocks(BUTTON, question=HOSTILE, command="invoke x")
    ]
    text = made[0]["text"]
    assert text == {"type": "plain_text", "emoji": False, "text": f"{HOSTILE}\nBy command: invoke x"}
    buttons = made[1]["elements"]
    assert [each["style"] for each in buttons] == ["primary", "danger"]
    for each in buttons:
        assert read_button(each["value"]) == BUTTON
        assert each["confirm"]["text"]["type"] == "plain_text"
        assert BUTTON.run in each["confirm"]["text"]["text"]
        assert len(each["value"]) < 2000


def test_long_texts_fit() -> None:
    """Slack refuses a message that is over one of its limits."""
    made = [each.to_dict() for each in approval_blocks(BUTTON, question="x" * 4000, command="invoke x")]
    assert len(made[0]["text"]["text"]) == 3000


@pytest.mark.parametrize(
    "value", ["", "{", "[]", "{}", "1", json.dumps({"run": "x"}), value_of(BUTTON).replace('"d', "7")]
)
def test_other_values_are_not_ours(value: str) -> None:
    """A click on a button that somebody else made is no click of ours."""
    with pytest.raises(ValueError, match=r".*"):
        read_button(value)
