"""The last line that keeps secrets out of words: passwords and tokens in use, and any URL that holds a password.

The first line is the type `Secret`, which cannot be printed. This one is for texts that come from outside, such as what
a server says or how a session calls itself, and stands where such a text comes in (`plain_line`, blockers, probes) and
where lines leave us (log, screen, the error line). It does not stand before reports, the plan's script and JSON: they
repeat the journal to the letter, and a table may be called like somebody's password.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, quote_plus

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from orchestrator.core.inventory import Secret

STARS: Final = "***"
WORD: Final = 12
"""A secret shorter than this is only found as a whole word: `app` in `application` tells nobody anything."""
LEAST: Final = 3
"""One of fewer characters is not looked for: the stars would take every such digit away, and so tell which it is."""

_URL: Final = re.compile(r"([a-z][a-z0-9+.-]*://[^\s:/?#@]*):[^\s@]+@|([?&](?:ssl)?password=)[^&\s]+", re.IGNORECASE)


class _Known:
    """The secrets of this process, as one pattern; longer ones are looked for first."""

    def __init__(self) -> None:
        self.texts: set[str] = set()
        self.pattern: re.Pattern[str] | None = None

    def add(self, text: str) -> None:
        """Look for this text from now on, also as it stands in a URL."""
        forms = {text, quote(text, safe=""), quote_plus(text)}
        if len(text.strip()) < LEAST or forms <= self.texts:
            return
        self.texts |= forms
        longest = sorted(self.texts, key=len, reverse=True)
        self.pattern = re.compile("|".join(map(_form, longest)))


def _form(text: str) -> str:
    found = re.escape(text)
    return found if len(text) >= WORD else rf"(?<!\w){found}(?!\w)"


_known: Final = _Known()


def hidden(secret: Secret) -> Secret:
    """Look for a secret in every line from now on; of a connection string only its passwords are secret."""
    value = secret.reveal()
    try:
        parts = conninfo_to_dict(value)
    except ProgrammingError:
        _known.add(value)
    else:
        for key in ("password", "sslpassword"):
            _known.add(str(parts.get(key) or ""))
    return secret


def hide(password: str) -> None:
    """The same for a password that came another way, such as from a .pgpass file."""
    _known.add(password)


def redacted(text: str) -> str:
    """The text with stars for every secret in use and for every password in a URL."""
    if _known.pattern:
        text = _known.pattern.sub(STARS, text)
    return without_url_passwords(text)


def without_url_passwords(text: str) -> str:
    """The text with stars for the password of every URL; for names that we also have to recognise."""
    return _URL.sub(_starred, text) if "://" in text else text


def _starred(found: re.Match[str]) -> str:
    return f"{found[1]}:{STARS}@" if found[1] else f"{found[2]}{STARS}"
