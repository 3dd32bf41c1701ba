"""A health URL, asked once: its status and how long it took. No redirection is followed, no page is read."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any

from orchestrator import __version__
from orchestrator.adapters.redaction import redacted
from orchestrator.core.hosts import HealthSeen


class _Stay(urllib.request.HTTPRedirectHandler):
    """A login page answers 200, too: where the URL leads elsewhere, that is the answer."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow nothing."""


def ask(url: str, *, within_s: float) -> HealthSeen:
    """What it answers; never raises for what a server or the network does."""
    opener = urllib.request.build_opener(_Stay())
    request = urllib.request.Request(url, headers={"User-Agent": f"orchestrator/{__version__}"})  # noqa: S310  http(s)
    began = time.perf_counter()
    try:
        with opener.open(request, timeout=within_s) as answer:
            return HealthSeen(status=answer.status, latency_ms=_since(began))
    except urllib.error.HTTPError as error:
        with error:
            return HealthSeen(status=error.code, latency_ms=_since(began))
    except (OSError, HTTPException, ValueError) as error:
        return HealthSeen(latency_ms=_since(began), problem=_problem(error))


def _since(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 3)


def _problem(error: Exception) -> str:
    reason: Any = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, TimeoutError):
        return "no answer in time"
    told = reason.strerror if isinstance(reason, OSError) and reason.strerror else str(reason)
    return redacted(" ".join(told.split())) or type(reason).__name__
