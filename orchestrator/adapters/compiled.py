"""Compiled templates, kept from one process to the next: compiling those of a report takes longer than filling them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from pickle import UnpicklingError

from jinja2 import BytecodeCache, FileSystemBytecodeCache
from jinja2.bccache import Bucket


class Kept(FileSystemBytecodeCache):
    """Jinja's own, which compares what it finds with the template. What it cannot read or write costs time only."""

    def load_bytecode(self, bucket: Bucket) -> None:
        """What was compiled before, where it can be read."""
        try:
            super().load_bytecode(bucket)
        except (OSError, EOFError, UnpicklingError, ValueError):
            bucket.reset()

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep what was compiled, where that is possible."""
        with suppress(OSError):
            super().dump_bytecode(bucket)


def kept(options: Mapping[str, object]) -> BytecodeCache | None:
    """The cache of an environment with these options; None where there is no folder that only this user can write to.

    What is compiled depends on the options and on Jinja, too: others have names of their own.
    """
    made_by = hashlib.sha256(repr((sorted(options.items()), version("jinja2"))).encode()).hexdigest()[:16]
    try:
        return Kept(pattern=f"orchestrator-{made_by}-%s.cache")
    except (OSError, RuntimeError):
        return None
