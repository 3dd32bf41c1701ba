"""The blocks that ask for an approval in Slack: Approve and Deny with a dialog, and the command beside them."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Final

from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    ButtonElement,
    ConfirmObject,
    PlainTextObject,
    SectionBlock,
)

from orchestrator.core.approval import SHOWN
from orchestrator.core.clicks import Button

APPROVE: Final = "orchestrator_approve"
DENY: Final = "orchestrator_deny"
"""The action ids of our two buttons: others are not ours."""

BLOCK: Final = "orchestrator_approval"

LONGEST_DIALOG: Final = 300
LONGEST_TEXT: Final = 3000
"""In characters, https://docs.slack.dev/reference/block-kit."""


def approval_blocks(button: Button, *, question: str, command: str) -> tuple[Block, ...]:
    """What is asked, how to answer by `command`, and the two buttons. The texts are plain: no markup is read."""
    said = f"{question}\nBy command: {command}"
    what = f"run {button.run} on {button.environment}"
    plan = f", plan {button.digest[:SHOWN]}" if button.digest else ""
    return (
        SectionBlock(text=_plain(said, LONGEST_TEXT)),
        ActionsBlock(
            block_id=BLOCK,
            elements=[
                ButtonElement(
                    text="Approve",
                    action_id=APPROVE,
                    value=value_of(button),
                    style="primary",
                    confirm=_dialog(f"Approve {what}{plan}?", "Approve"),
                ),
                ButtonElement(
                    text="Deny",
                    action_id=DENY,
                    value=value_of(button),
                    style="danger",
                    confirm=_dialog(f"Deny {what}{plan}? The run then ends as refused.", "Deny"),
                ),
            ],
        ),
    )


def _dialog(text: str, word: str) -> ConfirmObject:
    return ConfirmObject(title=f"{word}?", text=_plain(text, LONGEST_DIALOG), confirm=word, deny="Cancel")


def _plain(text: str, longest: int) -> PlainTextObject:
    short = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return PlainTextObject(text=short, emoji=False)


def value_of(button: Button) -> str:
    """What Slack hands back with a click."""
    return json.dumps(asdict(button), ensure_ascii=False, separators=(",", ":"))


def read_button(value: str) -> Button:
    """The button of a click. Raises ValueError for a value that is not ours."""
    found = json.loads(value)
    names = {each.name for each in fields(Button)}
    if not isinstance(found, dict) or set(found) != names or not all(isinstance(each, str) for each in found.values()):
        message = "not a value of our buttons"
        raise ValueError(message)
    return Button(**found)
