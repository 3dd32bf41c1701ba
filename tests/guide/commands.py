"""`python -m tests.guide.commands` writes docs/reference/commands.md from the tasks themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from invoke.collection import Collection
from invoke.parser.argument import Argument
from invoke.tasks import Task

import tasks
from orchestrator.door import COMMON

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reference/commands.md"
OWN = ("demo", "check", "test", "matrix", "bench", "chaos")
HEAD = """# Commands

Made from the tasks by `python -m tests.guide.commands`; do not edit. `invoke --help TASK` shows the same.

Every task but {own} takes:

{common}
"""


def page() -> str:
    """The whole page."""
    found = Collection.from_module(tasks).tasks
    common = "\n".join(f"- `{_flag(name, default)}`: {text}" for name, (default, text) in COMMON.items())
    head = HEAD.format(own=", ".join(f"`{each}`" for each in OWN), common=common)
    return head + "".join(_task(name, found[name]) for name in sorted(found))


def _task(name: str, task: Task) -> str:  # type: ignore[type-arg]  # Invoke's own is not generic at run time
    told = (task.__doc__ or "").strip().splitlines()[0]
    return f"\n## {name}\n\n{told}\n" + "".join(["\n", *options] if (options := list(_options(name, task))) else [])


def _options(name: str, task: Task) -> Iterator[str]:  # type: ignore[type-arg]
    for each in task.get_arguments():
        if name in OWN or each.name not in COMMON:
            yield f"- `{_flag(str(each.name), each.default)}`: {_help(task, each)}".rstrip(": ") + "\n"


def _help(task: Task, argument: Argument) -> str:  # type: ignore[type-arg]
    """What an option is for; Invoke takes the texts out of a task as it hands out its arguments."""
    return str(argument.help or task.help.get(str(argument.name)) or "")


def _flag(name: str, default: object) -> str:
    word = f"--{name.strip('_').replace('_', '-')}"
    return word if isinstance(default, bool) else f"{word} …" if default is None else f"{word} {default}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
