"""A Slack that speaks Socket Mode: an HTTP server that hands out an address, and a websocket behind it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any
from urllib.parse import parse_qs

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from orchestrator.adapters.slack_buttons import APPROVE, DENY, value_of
from orchestrator.core.clicks import Button

WITHIN_S = 6


@dataclass(slots=True, kw_only=True)
class SocketSlack:
    """Sends clicks to whoever is connected, and keeps what was acknowledged and what people were told."""

    api: str = ""
    ws: str = ""
    opened: int = 0
    lines: list[ServerConnection] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    told: list[tuple[str, str]] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def until(self, true: Any) -> None:
        """Wait for a condition on what has come in."""
        with self._changed:
            assert self._changed.wait_for(true, WITHIN_S), (self.acknowledged, self.told)

    def connected(self, times: int = 1) -> None:
        """Wait until somebody has connected for the n-th time."""
        self.until(lambda: self.opened >= times and self.lines)

    def click(self, who: str, button: Button, *, deny: bool = False, at: str | None = None) -> dict[str, Any]:
        """Somebody clicks; gives back the envelope, so that it can be delivered again."""
        action = {
            "action_id": DENY if deny else APPROVE,
            "value": value_of(button),
            "action_ts": at or f"17{next(self._numbers):08}.0001",
        }
        payload = {
            "type": "block_actions",
            "user": {"id": who},
            "container": {"channel_id": "C01RELEASES", "message_ts": "1700000000.000100"},
            "actions": [action],
        }
        return self.interactive(payload)

    def interactive(self, payload: dict[str, Any]) -> dict[str, Any]:
        """An envelope with any payload."""
        envelope = {"envelope_id": f"e{next(self._numbers)}", "type": "interactive", "payload": payload}
        self.send(envelope)
        return envelope

    def send(self, message: dict[str, Any]) -> None:
        """Over the newest connection."""
        self.lines[-1].send(json.dumps(message))

    def answered(self, envelope: dict[str, Any], times: int = 1) -> None:
        """Wait until an envelope was acknowledged so many times."""
        self.until(lambda: self.acknowledged.count(envelope["envelope_id"]) >= times)

    def heard(self, who: str, words: str) -> None:
        """Wait until somebody was told something."""
        self.until(lambda: any(each == who and words in text for each, text in self.told))

    def note(self, act: Any) -> None:
        """Change what is kept, and let those who wait look again."""
        with self._changed:
            act()
            self._changed.notify_all()

    def line(self, connection: ServerConnection) -> None:
        """One connection, for as long as it lasts."""

        def begun() -> None:
            self.opened += 1
            self.lines.append(connection)

        connection.send(json.dumps({"type": "hello", "num_connections": 1}))
        self.note(begun)
        try:
            for text in connection:
                found = json.loads(text)
                self.note(lambda found=found: self.acknowledged.append(found["envelope_id"]))
        except ConnectionClosed:
            pass
        self.note(lambda: self.lines.remove(connection))


@contextmanager
def socket_slack() -> Iterator[SocketSlack]:
    """Both servers, for a block."""
    slack = SocketSlack()

    class Api(BaseHTTPRequestHandler):
        """Slack's Web API, as far as a listener asks it."""

        def do_POST(self) -> None:
            """Answer the two methods."""
            size = int(self.headers.get("Content-Length") or 0)
            sent = self.rfile.read(size).decode()
            form = json.loads(sent) if sent.startswith("{") else {key: each[0] for key, each in parse_qs(sent).items()}
            method = self.path.removeprefix("/api/")
            answer: dict[str, Any] = {"ok": False, "error": "unknown_method"}
            if method == "apps.connections.open":
                known = self.headers.get("Authorization") == "Bearer xapp-known"
                answer = {"ok": True, "url": slack.ws} if known else {"ok": False, "error": "invalid_auth"}
            elif method == "chat.postEphemeral":
                slack.note(lambda: slack.told.append((form["user"], form["text"])))
                answer = {"ok": True, "message_ts": "1700000000.000200"}
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as http, serve(slack.line, "127.0.0.1", 0) as socket:
        slack.api = f"http://127.0.0.1:{http.server_address[1]}/api/"
        slack.ws = f"ws://127.0.0.1:{socket.socket.getsockname()[1]}/"
        threads = [threading.Thread(target=each.serve_forever, daemon=True) for each in (http, socket)]
        for each in threads:
            each.start()
        yield slack
        http.shutdown()
        socket.shutdown()
        for each in threads:
            each.join()
