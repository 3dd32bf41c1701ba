"""One channel of Slack: what is posted, changed, looked up and uploaded, and what an answer that never came means."""

from __future__ import annotations

import logging
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPException
from typing import Any, Final
from urllib.error import URLError

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackRequestError
from slack_sdk.models.metadata import Metadata

from orchestrator.adapters.slack_words import Said
from orchestrator.core.inventory import Secret, Slack
from orchestrator.core.messages import Place

ANSWER_WITHIN_S: Final = 10
"""Slack answers in well under a second; after that the message may stand there or not."""

MARK: Final = "orchestrator_message"
"""The type of our metadata."""

PAGES, PER_PAGE = 50, 200
"""How far back is looked, at most; Slack allows 50 such pages a minute to an app of one workspace."""

TRANSIENT: Final = frozenset(
    {"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"}
)
"""What Slack says of itself, https://docs.slack.dev/reference/methods/chat.postMessage: it passes by itself."""

ONLY_THIS: Final = frozenset(
    {
        "message_not_found", "thread_not_found", "cant_update_message", "edit_window_closed", "invalid_blocks",
        "invalid_blocks_format", "msg_too_long", "msg_blocks_too_long", "no_text", "metadata_too_large",
        "invalid_metadata_format", "file_uploads_disabled", "posting_to_channel_denied", "invalid_arguments",
    }
)  # fmt: skip
"""What is wrong with one message alone; others may go on."""

UNSENT: Final = (ConnectionRefusedError, socket.gaierror, ssl.SSLCertVerificationError)

ID: Final = re.compile(r"[CGD][A-Z0-9]{6,}")
"""A channel's id; a name is in lower case."""


class NotDelivered(Exception):
    """Slack could not be asked, or did not say. `uncertain`: what was asked for may have happened all the same."""

    def __init__(self, reason: str, *, uncertain: bool, retry_after_s: float | None = None, away: bool = False) -> None:
        """Say why, and when to come again; `away` when nobody answers there at all."""
        super().__init__(reason)
        self.uncertain = uncertain
        self.retry_after_s = retry_after_s
        self.away = away


class RefusedForGood(Exception):
    """Slack says no, and will say so again. `whole`: to everything, not to this message alone."""

    def __init__(self, error: str, *, detail: str = "", whole: bool) -> None:
        """Keep Slack's own word for it."""
        super().__init__(f"{error} ({detail})" if detail else error)
        self.error = error
        self.whole = whole


@dataclass(slots=True, kw_only=True)
class SlackChannel:
    """The channel of an environment. `id` is known from the first message on; `reads` until Slack forbids it."""

    settings: Slack
    token: Secret
    id: str = ""
    reads: bool = True
    _client: WebClient | None = field(init=False, default=None, repr=False)

    def post(self, said: Said, *, name: str, run: str, thread: str | None = None) -> Place:
        """Post a message with its name in the metadata. Raises NotDelivered, RefusedForGood."""
        answer = self._ask(
            "chat_postMessage",
            channel=self.id or self.settings.channel,
            text=said.text,
            blocks=said.blocks,
            metadata=_metadata(name, run),
            thread_ts=thread,
            mrkdwn=False,
            unfurl_links=False,
            unfurl_media=False,
        )
        self.id = str(answer["channel"])
        return Place(channel=self.id, ts=str(answer["ts"]))

    def change(self, place: Place, said: Said, *, name: str, run: str) -> None:
        """Change a message in place; doing it twice is doing it once. Raises NotDelivered, RefusedForGood."""
        metadata = _metadata(name, run)
        self._ask(
            "chat_update", channel=place.channel, ts=place.ts, text=said.text, blocks=said.blocks, metadata=metadata
        )

    def upload(self, text: str, *, filename: str, title: str, under: Place) -> str:
        """Put a file under a message; its id. Raises NotDelivered, RefusedForGood."""
        answer = self._ask(
            "files_upload_v2",
            content=text,
            filename=filename,
            title=title,
            channel=under.channel,
            thread_ts=under.ts,
        )
        return str(answer["files"][0]["id"])

    def link(self, place: Place) -> str:
        """A link to a message; without Slack's own one that opens in a browser."""
        with suppress(NotDelivered, RefusedForGood):
            answer = self._ask("chat_getPermalink", channel=place.channel, message_ts=place.ts)
            return str(answer["permalink"])
        return f"https://slack.com/archives/{place.channel}/p{place.ts.replace('.', '')}"

    def beside(self, since: datetime) -> Mapping[str, Place]:
        """Our messages in the channel itself by their names. Raises NotDelivered, RefusedForGood."""
        channel = self._known_id()
        if not channel:
            return {}
        pages = self._pages("conversations_history", channel=channel, oldest=f"{since.timestamp():.6f}")
        return dict(_named(pages, channel))

    def under(self, place: Place) -> Mapping[str, Place]:
        """Our messages and files in a thread by their names. Raises NotDelivered, RefusedForGood."""
        return dict(_named(self._pages("conversations_replies", channel=place.channel, ts=place.ts), place.channel))

    def scopes(self) -> frozenset[str]:
        """What the token may do, as Slack's header says it. Raises NotDelivered, RefusedForGood."""
        answer = self._ask("auth_test")
        told = {str(key).lower(): str(value) for key, value in answer.headers.items()}.get("x-oauth-scopes", "")
        return frozenset(filter(None, (each.strip() for each in told.split(","))))

    def _known_id(self) -> str:
        """The channel's id, which reading needs; empty when it cannot be found out."""
        named = self.settings.channel
        if not self.id and ID.fullmatch(named):
            self.id = named
        if not self.id:
            with suppress(RefusedForGood):
                for page in self._pages("conversations_list", exclude_archived=True):
                    names = {each.get("name"): each.get("id") for each in page.get("channels", ())}
                    if named.removeprefix("#") in names:
                        self.id = str(names[named.removeprefix("#")])
                        break
        return self.id

    def _pages(self, method: str, **given: Any) -> Iterator[Mapping[str, Any]]:
        cursor = ""
        more = {} if method == "conversations_list" else {"include_all_metadata": True}
        for _ in range(PAGES):
            answer = self._ask(method, **given, **more, limit=PER_PAGE, **({"cursor": cursor} if cursor else {}))
            yield answer.data
            cursor = (answer.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                return

    def _ask(self, method: str, **given: Any) -> Any:
        try:
            return getattr(self._made(), method)(**given)
        except SlackApiError as error:
            raise _meaning(error) from None
        except ValueError:
            # The library would quote the header that it cannot send, and the token stands in it.
            word = "the token is none that can be sent"
            raise RefusedForGood(word, whole=True) from None
        except (SlackRequestError, OSError, HTTPException) as error:
            reason = getattr(error, "reason", None)
            # Whoever could not even connect has sent nothing; all else may only have been too late for us.
            unsent = isinstance(error, URLError) and isinstance(reason, UNSENT)
            told = str(reason or error) or type(error).__name__
            raise NotDelivered(told, uncertain=not unsent, away=unsent) from None

    def _made(self) -> WebClient:
        if self._client is None:
            # It tells of requests and answers; they are nobody's business.
            silent = logging.getLogger("orchestrator.slack")
            silent.setLevel(logging.CRITICAL + 1)
            base = {"base_url": self.settings.base_url.rstrip("/") + "/"} if self.settings.base_url else {}
            self._client = WebClient(
                self.token.reveal(),
                timeout=ANSWER_WITHIN_S,
                # Theirs would send again what may have arrived.
                retry_handlers=[],
                logger=silent,
                **base,  # type: ignore[arg-type]
            )
        return self._client


def _metadata(name: str, run: str) -> Metadata:
    return Metadata(event_type=MARK, event_payload={"id": name, "run": run})


def _named(pages: Iterator[Mapping[str, Any]], channel: str) -> Iterator[tuple[str, Place]]:
    for page in pages:
        for each in page.get("messages", ()):
            place = Place(channel=channel, ts=str(each.get("ts")))
            metadata = each.get("metadata") or {}
            if metadata.get("event_type") == MARK:
                yield str((metadata.get("event_payload") or {}).get("id")), place
            for file in each.get("files") or ():
                yield str(file.get("name")), place


def _meaning(error: SlackApiError) -> NotDelivered | RefusedForGood:
    """What an answer that is no yes comes to."""
    response: Any = error.response
    status, headers = response.status_code, response.headers
    data = response.data if isinstance(response.data, dict) else {}
    word = str(data.get("error") or f"HTTP {status}")
    if status == 429:  # noqa: PLR2004  Too Many Requests: nothing was done
        return NotDelivered("rate limited", uncertain=False, retry_after_s=_seconds(headers))
    if status >= 500 or word in TRANSIENT:  # noqa: PLR2004  the server's own errors
        return NotDelivered(word if status < 500 else f"HTTP {status}", uncertain=True)  # noqa: PLR2004
    if status != 200 or len(word) > 100:  # noqa: PLR2004  a proxy's page, not Slack's word
        return NotDelivered(f"HTTP {status}, which is not Slack's answer", uncertain=True)
    detail = f"needed: {data['needed']}" if data.get("needed") else ""
    return RefusedForGood(word, detail=detail, whole=word not in ONLY_THIS)


def _seconds(headers: Mapping[str, str]) -> float:
    told = {str(key).lower(): value for key, value in headers.items()}.get("retry-after", "1")
    try:
        return max(0.0, float(told))
    except ValueError:
        return 1.0
