"""The lease as a value: when another run may take it, and what the second starter is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from orchestrator.core.lease import Lease, Owner, free

NOW = datetime(2026, 3, 3, 22, 0, tzinfo=UTC)
HELD = Lease(
    token=7,
    run="20260303T215900000-beef",
    holder="app_owner",
    owner=Owner(host="laptop", machine="boot/pid", pid=42, started="100", os_user="ayu"),
    taken_at=NOW - timedelta(minutes=5),
    heartbeat_at=NOW - timedelta(seconds=3),
    expires_at=NOW + timedelta(seconds=17),
    released=False,
    now=NOW,
)


def test_a_lease_that_is_kept_is_not_free() -> None:
    """Somebody renewed it a moment ago."""
    assert not free(HELD, gone=False)


def test_a_lease_is_free_when_given_back_expired_deserted_or_never_taken() -> None:
    """Each of these is enough."""
    assert free(None, gone=False)
    assert free(replace(HELD, released=True), gone=False)
    assert free(replace(HELD, expires_at=NOW), gone=False)
    assert free(HELD, gone=True)


def test_the_second_starter_is_told_who_since_when_and_from_where() -> None:
    """And how long it takes until the lease ends by itself."""
    told = HELD.told()
    for word in (HELD.run, "laptop", "ayu", "app_owner", "2026-03-03 21:55:00 UTC", "3 s ago", "17 s"):
        assert word in told
