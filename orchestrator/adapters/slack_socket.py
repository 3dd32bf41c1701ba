"""Slack's Socket Mode: clicks come in over a websocket that we opened, are acknowledged there, and people are told."""

from __future__ import annotations

import logging
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from queue import Empty, SimpleQueue
from typing import Any, Final

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.socket_mode import SocketModeClient
from slack_sdk.socket_mode.client import BaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse

from orchestrator.adapters.slack_buttons import APPROVE, DENY, read_button
from orchestrator.core.clicks import Click, Pressed
from orchestrator.core.inventory import Secret
from orchestrator.core.outcome import Refused

ANSWER_WITHIN_S: Final = 3
"""What we ask of Slack while a click may wait behind it."""

LOOK_EVERY_S: Final = 5.0
"""How often the connection is looked at, and made anew when it is gone."""

PRESSED: Final[Mapping[str, Pressed]] = {APPROVE: "approve", DENY: "deny"}

ERRORS: Final = (SlackClientError, OSError, HTTPException)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One delivery of Slack's: what it wants acknowledged, and the clicks on our buttons that are in it."""

    envelope: str
    clicks: tuple[Click, ...]


@dataclass(slots=True, kw_only=True)
class SlackSocket:
    """The connection to Slack. Deliveries are queued by the client's thread and taken by the one who serves them."""

    token: Secret
    app_token: Secret
    base_url: str | None = None
    tell: Callable[[str], None]
    _deliveries: SimpleQueue[Delivery] = field(default_factory=SimpleQueue)
    _client: SocketModeClient | None = None
    # One thread of their own: nobody's click waits for what is told to another.
    _whispers: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(max_workers=1))

    @contextmanager
    def connected(self) -> Iterator[SlackSocket]:
        """Connected inside the block; a broken connection is made anew. Raises Refused when there is none at first."""
        log = _log(self.tell)
        place = self.base_url or WebClient.BASE_URL
        # Without retries: an answer that comes late is no answer to a click.
        web = WebClient(self.token.reveal(), place, ANSWER_WITHIN_S, retry_handlers=[], logger=log)
        client = SocketModeClient(
            self.app_token.reveal(), logger=log, web_client=web, concurrency=1, ping_interval=LOOK_EVERY_S
        )
        client.socket_mode_request_listeners.append(self._hear)
        self._client = client
        try:
            try:
                client.connect()
            except ERRORS as error:
                raise Refused(f"Slack's Socket Mode: {_why(error)} (slack.app_token, connections:write)") from None
            yield self
        finally:
            self._whispers.shutdown()
            _let_go(client)
            client.close()

    def next(self, seconds: float) -> Delivery | None:
        """The next delivery, None when there is none within the time."""
        with suppress(Empty):
            return self._deliveries.get(timeout=seconds)
        return None

    def acknowledge(self, delivery: Delivery) -> bool:
        """Tell Slack that a delivery is dealt with; what it does not hear it delivers again."""
        if self._client is None:
            return False
        try:
            self._client.send_socket_mode_response(SocketModeResponse(envelope_id=delivery.envelope))
        except Exception as error:  # noqa: BLE001  whatever a broken websocket raises: it is not heard, and comes again
            self.tell(f"not acknowledged: {_why(error)}")
            return False
        return True

    def whisper(self, click: Click, text: str) -> None:
        """Say something that only the person who clicked sees, soon; a Slack that does not take it is told of."""
        if self._client is not None:
            self._whispers.submit(self._whisper, self._client.web_client, click, text)

    def _whisper(self, web: WebClient, click: Click, text: str) -> None:
        try:
            web.chat_postEphemeral(channel=click.channel, user=click.slack, text=_escaped(text))
        except ERRORS as error:
            self.tell(f"{click.slack} was not told: {_why(error)}")

    def _hear(self, _: BaseSocketModeClient, request: SocketModeRequest) -> None:
        clicks = tuple(_clicks(request.payload)) if request.type == "interactive" else ()
        self._deliveries.put(Delivery(envelope=request.envelope_id, clicks=clicks))


def _let_go(client: SocketModeClient) -> None:
    """Wake the client's reader, which otherwise sits in its receive for up to 3 s before it can be closed."""
    client.auto_reconnect_enabled = False
    client.current_session_state.terminated = True
    client.closed = True
    client.message_queue.put(None)
    session = client.current_session
    with suppress(OSError):
        if session is not None and session.sock is not None:
            session.sock.shutdown(socket.SHUT_RDWR)


def _clicks(payload: Mapping[str, Any]) -> Iterator[Click]:
    """The clicks on our buttons; what else is in a payload is nobody's answer."""
    if payload.get("type") != "block_actions":
        return
    for action in payload.get("actions") or ():
        with suppress(KeyError, TypeError, ValueError, AttributeError, RecursionError):
            yield Click(
                pressed=PRESSED[action["action_id"]],
                button=read_button(action["value"]),
                slack=str(payload["user"]["id"]),
                channel=str(payload["container"]["channel_id"]),
                message=str(payload["container"]["message_ts"]),
                at=str(action["action_ts"]),
            )


def _escaped(text: str) -> str:
    """As https://docs.slack.dev/messaging/formatting-message-text asks for it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _why(error: Exception) -> str:
    """One line; Slack's own word where it gave one. Addresses hold tickets, so none is shown."""
    if isinstance(error, SlackApiError):
        return str(error.response.get("error", "no reason given"))
    return _plain(str(error) or type(error).__name__)


def _plain(text: str) -> str:
    return " ".join(re.sub(r"(?:wss?|https?)://\S+", "(address)", text).split())


class _Told(logging.Handler):
    """What the client complains of, a line each; the same one once until something else is said."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._tell, self._last = tell, ""

    def emit(self, record: logging.LogRecord) -> None:
        """Say it without the traceback."""
        error = record.exc_info[1] if record.exc_info else None
        text = (
            _plain(re.sub(r"\(session id: [^,)]*,? ?", "(", record.getMessage())) if error is None else _why_of(error)
        )
        if text != self._last:
            self._last = text
            self._tell(f"Slack: {text}")


def _why_of(error: BaseException) -> str:
    return _why(error) if isinstance(error, Exception) else type(error).__name__


def _log(tell: Callable[[str], None]) -> logging.Logger:
    log = logging.Logger("orchestrator.slack_socket", logging.INFO)  # noqa: LOG001  its own, not one of the process
    log.addHandler(_Told(tell))
    return log


@contextmanager
def ended_by_signals(stop: threading.Event) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM ask for a clean end. Only the main thread can do this."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.signal(each, lambda *_: stop.set()) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
