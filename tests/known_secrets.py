"""Every password and token that this session's tests hand to the product, and the search for them in what it wrote."""

from __future__ import annotations

import html
import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

SHORTEST: Final = 6
"""Characters; a shorter secret stands in any text by chance."""

GIVEN: Final = frozenset({"inventory", "cluster", "primary", "standby", "pooler"})
"""Folders of what a test wrote or a server keeps for itself: a password may stand there."""

WRITTEN: Final = frozenset(
    {".html", ".json", ".jsonl", ".log", ".md", ".sql", ".txt", ".xml", ".svg", ".prom", ".waiting"}
)
"""Endings of what people read, send on and keep."""

KNOWN: set[str] = set()


def remember(text: str) -> None:
    """Take in the password of a URL or of libpq's words, or a token of Slack."""
    found = re.findall(r"//[^/:@]+:([^@]+)@", text) + re.findall(r"password='?([^'\s]+)", text)
    found += [text] if text.startswith(("xoxb-", "xapp-")) else []
    KNOWN.update(each for each in found if len(each) >= SHORTEST)


def forms(secret: str) -> set[bytes]:
    """A secret as it could stand in a file: plain, in a URL, in JSON, in a page."""
    texts = {secret, quote(secret), quote(secret, safe=""), json.dumps(secret)[1:-1], html.escape(secret)}
    return {each.encode() for each in texts}


def leaks(folder: Path, secrets: Iterable[str]) -> list[str]:
    """The files below a folder that the product wrote and that hold one of the secrets; the secret is not named."""
    searched = sorted({form for each in secrets for form in forms(each)})
    return [str(path) for path in _written(folder) if searched and any(form in path.read_bytes() for form in searched)]


def _written(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        if "PG_VERSION" in files:
            folders.clear()
            continue
        folders[:] = [each for each in folders if each not in GIVEN]
        yield from (path for name in files if (path := Path(place, name)).suffix in WRITTEN and path.is_file())
