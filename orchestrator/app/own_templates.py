"""Which templates of the user's own a task renders with: those of the inventory, and those in the runbook's folder."""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from pathlib import Path

from orchestrator.adapters.inventory import environment_names, load_environment
from orchestrator.adapters.overrides import Overrides, own_folders, using
from orchestrator.adapters.runbooks import RunbookFolder, load_runbook
from orchestrator.adapters.terminal import Screen
from orchestrator.app.request import Request
from orchestrator.app.site import RUNBOOKS
from orchestrator.core.inventory import Environment
from orchestrator.core.outcome import OrchestratorError
from orchestrator.core.run import Run


def own_templates(
    environment: Environment | None, runbook: Path | None, screen: Screen, *, keeps: bool = True
) -> AbstractContextManager[Overrides]:
    """In force as long as the block; what fails is told on the screen. Raises Refused for a folder that is none."""
    folders = own_folders(environment, runbook)
    return using(Overrides(folders=folders, keeps=keeps, tell=lambda line: screen.line(line, status="FAIL")))


def for_request(request: Request, folder: RunbookFolder) -> AbstractContextManager[Overrides]:
    """For a task that may do without an environment. Raises Refused, BadDocument."""
    environment = load_environment(request.inventory, request.env) if request.env else None
    return own_templates(environment, folder.path, Screen(json=True))


def for_run(request: Request, run: Run) -> AbstractContextManager[Overrides]:
    """For a run that is long over: its runbook and its environment, as far as they are at hand. Raises Refused."""
    started = run.started
    named = load_environment(request.inventory, request.env) if request.env else None
    environment = named or _environment(request, started.environment if started else "")
    folder = None
    with suppress(OrchestratorError):
        folder = load_runbook(request.runbook, root=RUNBOOKS)
    same = folder is not None and started is not None and started.runbook == folder.runbook.name
    return own_templates(environment, folder.path if folder and same else None, Screen(json=True))


def _environment(request: Request, name: str) -> Environment | None:
    """The environment that a run calls itself by; its file may have another name, or be gone."""
    with suppress(OrchestratorError):
        for stem in environment_names(request.inventory):
            with suppress(OrchestratorError):
                found = load_environment(request.inventory, stem)
                if found.name == name:
                    return found
    return None
