"""The words of Slack's messages, from templates, in blocks whose text is shown as it is.

Names, notes and reasons stand in `rich_text`, where nothing means anything: no mrkdwn, no mention, no emoji. The plain
`text` beside the blocks, which notifications show, has Slack's three control characters escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from slack_sdk.models.blocks import (
    Block,
    MarkdownTextObject,
    RichTextBlock,
    RichTextElementParts,
    RichTextSectionElement,
    SectionBlock,
)

from orchestrator.adapters.redaction import redacted
from orchestrator.adapters.render import badge, headline
from orchestrator.adapters.slack_buttons import approval_blocks
from orchestrator.adapters.templates import render
from orchestrator.core.approval import SHOWN, told
from orchestrator.core.clicks import Button
from orchestrator.core.journal import AnswerHeard
from orchestrator.core.messages import Message, Standing, lines_of
from orchestrator.core.summary import Summary

MOST: Final = 2800
"""Characters of one message; Slack takes 3000 in a block."""

REASONS: Final = 6
"""Lines of reasons in one message; the report has them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A message as Slack takes it."""

    text: str
    blocks: Sequence[Block]


def run_message(summary: Summary, standing: Standing, *, report: str) -> Said:
    """The run's own message, as it stands now."""
    word = headline(summary) if standing.ended else "Interrupted" if summary.state == "interrupted" else "Running"
    return _said(
        render(
            "slack_run.j2",
            summary=summary,
            standing=standing,
            badge=badge(summary),
            headline=word,
            report=report,
            reasons=lines_of(summary.reasons, most=REASONS),
            next_steps=lines_of(summary.next_steps, most=REASONS),
        )
    )


def line(message: Message, summary: Summary) -> Said:
    """A line of the thread."""
    event: Any = message.event
    orphans = (f"{row.id}: {row.orphans}" for row in summary.relations if row.orphans)
    return _said(
        render(
            "slack_line.j2",
            topic=message.topic,
            event=event,
            at=f"{message.at:%H:%M:%S} UTC",
            reasons=lines_of(getattr(event, "reasons", ()), most=REASONS),
            orphans=lines_of(orphans, most=REASONS),
            answers=tuple(told((event,))) if isinstance(event, AnswerHeard) else (),
        )
    )


def alert(message: Message, summary: Summary, *, link: str, button: Button | None = None) -> Said:
    """The message that calls somebody, with a link to the run's own, and buttons for what the run asks.

    A scheduled audit has no message of its own to link to.
    """
    event: Any = message.event
    words = render(
        "slack_alert.j2",
        topic=message.topic,
        summary=summary,
        event=event,
        reasons=lines_of(getattr(event, "reasons", ()), most=REASONS),
        alerts=lines_of((f"{name}: {rows}" for name, rows in getattr(event, "alerts", ())), most=REASONS),
        uncounted=lines_of((f"{name}: {why}" for name, why in getattr(event, "uncounted", ())), most=REASONS),
        next_steps=lines_of(summary.next_steps, most=REASONS),
    )
    said = _said(words)
    call = f"<!here> <{escaped(link)}|the run's message>" if link else "<!here>"
    # These words are ours alone: a mention works in mrkdwn, and in nothing that shows text as it is.
    section = SectionBlock(text=MarkdownTextObject(text=call, verbatim=True))
    asked = _buttons(button, summary) if button else ()
    return Said(text=f"<!here> {said.text}\n{escaped(link)}".strip(), blocks=[section, *said.blocks, *asked])


def _buttons(button: Button, summary: Summary) -> Sequence[Block]:
    """The buttons, and the command for when nobody listens."""
    commands = (each for each in summary.next_steps if "invoke approve" in each)
    what = "Accept the HOLD?" if button.hold else f"Approve plan {button.digest[:SHOWN]}?"
    usual = f'invoke approve --env {button.environment} --run {button.run} --note "why"'
    question = f"{what} Clicks count while invoke approve --listen runs."
    return approval_blocks(button, question=question, command=next(commands, usual))


def test_message(environment: str, *, missing: Sequence[str]) -> Said:
    """What `notify --test` sends."""
    return _said(render("slack_test.j2", environment=environment, missing=missing))


def escaped(text: str) -> str:
    """Slack's three control characters, as https://docs.slack.dev/messaging/formatting-message-text asks for."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _said(words: str) -> Said:
    """The first line is the title. Like every line that leaves us, it holds no password and no token."""
    words = redacted(words.strip())
    whole = words if len(words) <= MOST else words[:MOST] + "\N{HORIZONTAL ELLIPSIS}"
    title, _, rest = whole.partition("\n")
    parts = RichTextElementParts
    elements = [parts.Text(text=title, style=parts.TextStyle(bold=True))]
    if rest.strip():
        elements.append(parts.Text(text=f"\n{rest}"))
    return Said(text=escaped(whole), blocks=[RichTextBlock(elements=[RichTextSectionElement(elements=elements)])])
