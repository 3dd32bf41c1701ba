"""The search for secrets finds one; without that its silence would say nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import known_secrets


@pytest.mark.parametrize("written", ["s3cr&et/word", "s3cr%26et%2Fword", "s3cr&amp;et/word"])
def test_a_secret_is_found_in_every_form(tmp_path: Path, written: str) -> None:
    """Plain, in a URL, in a page; not in the folder of a server, and not in what the test itself wrote."""
    for place in ("runs/r1/report.html", "cluster/log.txt", "inventory/x.md", "base/PG_VERSION", "base/x.log"):
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"<p>postgresql://me:{written}@h/d</p>", encoding="utf-8")
    assert known_secrets.leaks(tmp_path, {"s3cr&et/word"}) == [str(tmp_path / "runs/r1/report.html")]
    assert known_secrets.leaks(tmp_path, {"another-word"}) == []


def test_passwords_of_urls_and_tokens_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """As an environment has them; a word of a few letters is left out."""
    monkeypatch.setattr(known_secrets, "KNOWN", set())
    for text in ("postgresql://me:long-word@h/d", "host=h password='quoted-word' user=u", "xoxb-1-2", "x://a:pw@h"):
        known_secrets.remember(text)
    assert sorted(known_secrets.KNOWN) == ["long-word", "quoted-word", "xoxb-1-2"]
