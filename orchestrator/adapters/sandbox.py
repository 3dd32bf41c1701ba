"""What a template may do: read plain values, and nothing that reaches the world through one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Final

from jinja2.environment import TemplateModule
from jinja2.runtime import BlockReference, LoopContext, Macro, TemplateReference
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Cycler, Joiner, Namespace

from orchestrator.core.inventory import Secret

PLAIN: Final = (
    *(str, int, float, Decimal, Enum, date, time, timedelta),
    *(Mapping, list, tuple, set, frozenset),
    *(LoopContext, Macro, BlockReference, TemplateReference, TemplateModule, Cycler, Joiner, Namespace),
)
"""Values whose attributes are all harmless: data, and what Jinja itself puts into a template."""

DRAWING: Final = tuple(f"orchestrator.adapters.{name}" for name in ("charts", "key_picture", "lock_chart"))
PURE: Final = ("orchestrator.core", *DRAWING)
"""Methods of their values decide, tell and draw; the import rules keep files, sockets and drivers out of the core."""


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, which hides underscores and changes nothing, with a list of the values that may be looked into.

    Jinja alone would let a template call any public method of any value: `path.unlink()`, `secret.reveal()`.
    A template that never ends, or that fills the memory, is not stopped: it is the user's own file.
    """

    def is_safe_attribute(self, obj: object, attr: str, value: object) -> bool:
        """Whether a template may read that attribute."""
        return super().is_safe_attribute(obj, attr, value) and _harmless(obj, value)


def _harmless(obj: object, value: object) -> bool:
    if isinstance(obj, PLAIN):
        return True
    if isinstance(obj, Secret | type) or not is_dataclass(obj):
        return False
    return not callable(value) or type(obj).__module__.startswith(PURE)
