"""The door: quick to open, and nothing behind it but the app."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import orchestrator

ROOT = Path(__file__).parents[1]

HEAVY = (
    "psycopg",
    "holidays",
    "icalendar",
    "fabric",
    "paramiko",
    "slack_sdk",
    "jinja2",
    "rich",
    "pydantic",
    "structlog",
)

LISTED = """
import json, sys
from invoke.main import program
program.run(["invoke", "--list"], exit=False)
print(json.dumps(sorted(sys.modules)))
"""

RUNNING = ("deploy", "rollback", "resume", "hold", "approve", "verify", "notify")
READING = (
    "decide",
    "timeline",
    "plan",
    "preflight",
    "audit",
    "validate",
    "backup",
    "status",
    "history",
    "report",
    "docs",
    "hosts",
    "seed",
)


def python(*words: str) -> subprocess.CompletedProcess[str]:
    """A Python of its own in the repository."""
    return subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def test_listing_loads_no_driver() -> None:
    """`invoke --list` answers without the database driver, SSH, Slack, templates or the terminal library."""
    answer = python("-c", LISTED)
    assert answer.returncode == 0, answer.stderr
    loaded = set(json.loads(answer.stdout.splitlines()[-1]))
    assert loaded.isdisjoint(HEAVY)
    assert "deploy" in answer.stdout


@pytest.mark.parametrize("task", [*RUNNING, *READING])
def test_every_task_takes_the_common_options(task: str) -> None:
    """Environment, runbook, inventory, runs and JSON, under the same names everywhere; asking for help does nothing."""
    answer = python("-m", "invoke", task, "--help")
    assert answer.returncode == 0
    options = set(re.findall(r"--([a-z-]+)", answer.stdout))
    assert {"env", "runbook", "inventory", "runs", "json"} <= options


@pytest.mark.parametrize("words", [("nonsense",), ("deploy", "--nonsense")])
def test_an_unknown_task_or_flag_is_invokes_own_error(words: tuple[str, ...]) -> None:
    """Exit code 1 and no traceback."""
    answer = python("-m", "invoke", *words)
    assert answer.returncode == 1
    assert "Traceback" not in answer.stderr


def test_the_door_knows_only_the_app_and_the_exit_codes() -> None:
    """tasks.py, and what its tasks have in common, import nothing of the engine but its roof and the outcomes."""
    for file in ("tasks.py", "orchestrator/door.py"):
        tree = ast.parse((ROOT / file).read_text("utf-8"))
        modules = {each.module for each in ast.walk(tree) if isinstance(each, ast.ImportFrom) and each.module}
        inside = {name for name in modules if name.startswith("orchestrator")} - {"orchestrator.door"}
        assert inside
        assert all(name.startswith("orchestrator.app") or name == "orchestrator.core.outcome" for name in inside)


def test_the_version_is_one() -> None:
    """pyproject.toml and the package say the same version."""
    told = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    assert told is not None
    assert told.group(1) == orchestrator.__version__


@pytest.mark.parametrize("path", sorted((ROOT / "runbooks").glob("*/runbook.py")), ids=lambda path: path.parent.name)
def test_a_runbook_imports_only_the_floor(path: Path) -> None:
    """A runbook is values: nothing of it can reach a database by itself."""
    tree = ast.parse(path.read_text("utf-8"))
    modules = {each.module or "" for each in ast.walk(tree) if isinstance(each, ast.ImportFrom)}
    modules |= {name.name for each in ast.walk(tree) if isinstance(each, ast.Import) for name in each.names}
    assert all(name.startswith("orchestrator.core.") for name in modules)
