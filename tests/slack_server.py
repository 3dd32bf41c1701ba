"""A real HTTP server that speaks the part of Slack's API that we use, with faults by script."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self, cast
from urllib.parse import parse_qsl, urlsplit

CHANNEL = "C0123456789"
TOKEN = "xoxb-1-the-token"
SCOPES = "chat:write,files:write,channels:read,channels:history"

Message = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class Fault:
    """What goes wrong with one request. `taken`: Slack does what was asked for, and only the answer is lost.

    With `hang` the answer waits until the server is closed or `SlackServer.released` is set.
    """

    status: int = 0
    error: str = ""
    retry_after: float = 0.0
    hang: bool = False
    taken: bool = False
    drop: bool = False


@dataclass(slots=True, kw_only=True)
class SlackServer:
    """One channel of one workspace. `messages` is what it shows, in order; `calls` what it was asked."""

    channel_name: str = "releases"
    scopes: str = SCOPES
    tokens: set[str] = field(default_factory=lambda: {TOKEN})
    revoked: set[str] = field(default_factory=set)
    messages: list[Message] = field(default_factory=list)
    calls: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    uploads: dict[str, bytes] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    socket_url: str = ""
    port: int = 0
    released: threading.Event = field(default_factory=threading.Event)
    changed: threading.Condition = field(default_factory=threading.Condition)
    _server: ThreadingHTTPServer | None = None
    _clock: int = 1_767_225_600_000_000

    @property
    def base_url(self) -> str:
        """What stands in the inventory as `slack.base_url`."""
        return f"http://127.0.0.1:{self.port}/api/"

    def __enter__(self) -> Self:
        # The port is chosen once: closed and opened again, the server is where it was.
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> None:
        """Listen, on the same port as before."""
        server = _Server(("127.0.0.1", self.port), _Handler)
        server.slack = self
        self.port = server.server_address[1]
        self._server = server
        self.released.clear()
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        """Refuse connections from here on; what hangs is let go."""
        server, self._server = self._server, None
        if server is not None:
            self.released.set()
            server.shutdown()
            server.server_close()

    def fail(self, method: str, *faults: Fault) -> None:
        """The next requests of a method (`*` for any) meet these, one each."""
        with self.changed:
            self.faults.setdefault(method, []).extend(faults)

    def wait_for(self, reached: Callable[[], bool], *, seconds: float = 20.0) -> None:
        """Until something is so; looked at after each request."""
        with self.changed:
            assert self.changed.wait_for(reached, timeout=seconds), "Slack was not asked for it"

    def tops(self) -> list[Message]:
        """The messages of the channel itself."""
        return [each for each in self.messages if each["thread_ts"] is None]

    def thread(self, ts: str) -> list[Message]:
        """The replies to a message, oldest first."""
        return [each for each in self.messages if each["thread_ts"] == ts]

    def count(self, method: str) -> int:
        """How often a method was called."""
        return sum(name == method for name, _ in self.calls)

    def answer(self, method: str, token: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """What Slack answers to a call."""
        self.calls.append((method, given))
        if not token:
            return {"ok": False, "error": "not_authed"}
        if token in self.revoked:
            return {"ok": False, "error": "token_revoked"}
        if token not in self.tokens:
            return {"ok": False, "error": "invalid_auth"}
        act = getattr(self, "_" + method.replace(".", "_"), None)
        return act(given) if act else {"ok": False, "error": "unknown_method"}

    def fault(self, method: str) -> Fault | None:
        """What goes wrong with this request."""
        with self.changed:
            for name in (method, "*"):
                if self.faults.get(name):
                    return self.faults[name].pop(0)
        return None

    def _ts(self) -> str:
        self._clock += 1_000_000
        return f"{self._clock // 1_000_000}.{self._clock % 1_000_000:06d}"

    def _here(self, given: Mapping[str, Any]) -> bool:
        return given.get("channel") in {CHANNEL, f"#{self.channel_name}", self.channel_name}

    def _needs(self, scope: str) -> dict[str, Any] | None:
        if scope in self.scopes.split(","):
            return None
        return {"ok": False, "error": "missing_scope", "needed": scope, "provided": self.scopes}

    def _auth_test(self, _: Mapping[str, Any]) -> dict[str, Any]:
        return {"ok": True, "url": "https://example.slack.com/", "team": "T", "user": "bot", "bot_id": "B1"}

    def _chat_postMessage(self, given: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802  Slack's name
        lack = self._needs("chat:write")
        if lack:
            return lack
        if not self._here(given):
            return {"ok": False, "error": "channel_not_found"}
        message = self._put(given)
        return {"ok": True, "channel": CHANNEL, "ts": message["ts"], "message": message}

    def _put(self, given: Mapping[str, Any], **more: Any) -> Message:
        keys = ("text", "blocks", "metadata")
        message: Message = {"ts": self._ts(), "thread_ts": given.get("thread_ts"), "edits": 0, "files": []}
        message |= {key: given.get(key) for key in keys} | more
        self.messages.append(message)
        return message

    def _chat_update(self, given: Mapping[str, Any]) -> dict[str, Any]:
        if given.get("channel") != CHANNEL:
            return {"ok": False, "error": "channel_not_found"}
        for message in self.messages:
            if message["ts"] == given["ts"]:
                message |= {key: given[key] for key in ("text", "blocks", "metadata") if key in given}
                message["edits"] += 1
                return {"ok": True, "channel": CHANNEL, "ts": message["ts"]}
        return {"ok": False, "error": "message_not_found"}

    def _chat_postEphemeral(self, given: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802  Slack's name
        return {"ok": True, "message_ts": self._ts()} if self._here(given) else {"ok": False, "error": "x"}

    def _chat_getPermalink(self, given: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802  Slack's name
        ts = str(given["message_ts"])
        return {"ok": True, "permalink": f"https://example.slack.com/archives/{CHANNEL}/p{ts.replace('.', '')}"}

    def _conversations_list(self, _: Mapping[str, Any]) -> dict[str, Any]:
        lack = self._needs("channels:read")
        return lack or {"ok": True, "channels": [{"id": CHANNEL, "name": self.channel_name, "is_member": True}]}

    def _conversations_history(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return self._read(given, list(reversed(self.tops())))

    def _conversations_replies(self, given: Mapping[str, Any]) -> dict[str, Any]:
        top = [each for each in self.messages if each["ts"] == given.get("ts")]
        if not top:
            return {"ok": False, "error": "thread_not_found"}
        return self._read(given, [*top, *self.thread(str(given["ts"]))])

    def _read(self, given: Mapping[str, Any], found: list[Message]) -> dict[str, Any]:
        lack = self._needs("channels:history")
        if lack:
            return lack
        if given.get("channel") != CHANNEL:
            return {"ok": False, "error": "channel_not_found"}
        begin = int(given.get("cursor") or 0)
        # Small pages, so that whoever reads has to turn them.
        end = begin + min(int(given.get("limit", 100)), 5)
        told = found[begin:end]
        if str(given.get("include_all_metadata", "")).lower() not in {"1", "true"}:
            told = [{**each, "metadata": None} for each in told]
        following = str(end) if end < len(found) else ""
        return {"ok": True, "messages": told, "response_metadata": {"next_cursor": following}}

    def _files_getUploadURLExternal(self, given: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802  Slack's name
        lack = self._needs("files:write")
        if lack:
            return lack
        name = f"F{len(self.names) + 1}"
        self.names[name] = str(given["filename"])
        return {"ok": True, "file_id": name, "upload_url": f"http://127.0.0.1:{self.port}/upload/{name}"}

    def _files_completeUploadExternal(self, given: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802  Slack's name
        files = given["files"]
        told = json.loads(files) if isinstance(files, str) else files
        shown = [{"id": each["id"], "title": each.get("title"), "name": self.names[each["id"]]} for each in told]
        channel = given.get("channel_id")
        if channel is not None and channel != CHANNEL:
            return {"ok": False, "error": "channel_not_found"}
        self._put(given, files=shown, text="")
        return {"ok": True, "files": shown}

    def _apps_connections_open(self, _: Mapping[str, Any]) -> dict[str, Any]:
        return {"ok": True, "url": self.socket_url} if self.socket_url else {"ok": False, "error": "not_allowed"}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    slack: SlackServer

    def handle_error(self, *_: Any) -> None:
        """A client that hung up is no news."""


Answered = tuple[int, dict[str, Any]]
Outcome = Answered | Literal["drop"]


class _Handler(BaseHTTPRequestHandler):
    @property
    def slack(self) -> SlackServer:
        """Whom it speaks for."""
        return cast("_Server", self.server).slack

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """A call with its arguments in the query."""
        self._serve()

    def do_POST(self) -> None:
        """A call with its arguments in the body, or the bytes of a file."""
        self._serve()

    def _serve(self) -> None:
        place = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if place.path.startswith("/upload/"):
            self.slack.uploads[place.path.removeprefix("/upload/")] = body
            self._send(200, b"OK", {})
            return
        method = place.path.removeprefix("/api/")
        outcome = self._outcome(method, {**dict(parse_qsl(place.query)), **self._given(body)})
        with self.slack.changed:
            self.slack.changed.notify_all()
        if outcome == "drop":
            self.close_connection = True
            self.connection.close()
            return
        status, document = outcome
        more = {"X-OAuth-Scopes": self.slack.scopes}
        if "retry_after" in document:
            more["Retry-After"] = str(document.pop("retry_after"))
        self._send(status, json.dumps(document).encode(), more)

    def _given(self, body: bytes) -> dict[str, Any]:
        if "json" in (self.headers.get("Content-Type") or ""):
            return dict(json.loads(body or b"{}"))
        return dict(parse_qsl(body.decode()))

    def _outcome(self, method: str, given: dict[str, Any]) -> Outcome:
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or str(given.pop("token", ""))
        fault = self.slack.fault(method)
        if fault is None or fault.taken:
            with self.slack.changed:
                answered = self.slack.answer(method, token, given)
        else:
            with self.slack.changed:
                self.slack.calls.append((method, given))
        if fault is None:
            return 200, answered
        if fault.hang:
            self.slack.released.wait(60)
            return "drop"
        if fault.drop:
            return "drop"
        if fault.status == 429:
            return 429, {"ok": False, "error": "ratelimited", "retry_after": fault.retry_after}
        return fault.status or 200, {"ok": False, "error": fault.error or "internal_error"}

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
