"""What calls `invoke audit --record` every hour: a service with its timer for systemd, or a line for cron."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

MINUTE: Final = 17
"""Not on the hour, when everything else begins."""

SERVICE, TIMER, CRON = "orphan-audit.service", "orphan-audit.timer", "orphan-audit.cron"


def schedule_files(
    command: Sequence[str], *, place: Path, environment: str, variables: Sequence[str]
) -> dict[str, str]:
    """The files by name. `command` is run in `place`; `variables` are what the inventory takes from the environment."""
    needs = ", ".join(variables)
    return {
        SERVICE: _unit(
            [f"Description=Orphan audit of {environment}"],
            {
                "Service": [
                    "Type=oneshot",
                    *(
                        [f"# It needs {needs}: lines NAME=value in a file that only its user may read."]
                        if needs
                        else []
                    ),
                    *([f"EnvironmentFile=/etc/orchestrator/{_escaped(environment)}.env"] if needs else []),
                    f"WorkingDirectory={_escaped(str(place))}",
                    f"ExecStart={' '.join(_word(each) for each in command)}",
                ]
            },
        ),
        TIMER: _unit(
            [f"Description=Orphan audit of {environment}, every hour"],
            {
                "Timer": [f"OnCalendar=*-*-* *:{MINUTE}:00", "Persistent=true"],
                "Install": ["WantedBy=timers.target"],
            },
        ),
        CRON: "".join(
            [
                *([f"# It needs {needs}: lines NAME=value above it in the crontab.\n"] if needs else []),
                f"{MINUTE} * * * * {_cron(command, place)}\n",
            ]
        ),
    }


def _unit(about: Sequence[str], sections: Mapping[str, Sequence[str]]) -> str:
    blocks = {"Unit": about, **sections}
    return "\n".join("\n".join([f"[{name}]", *lines, ""]) for name, lines in blocks.items())


def _escaped(text: str) -> str:
    """A per cent sign begins a specifier in a unit file (systemd.unit(5))."""
    return text.replace("%", "%%")


def _word(text: str) -> str:
    """A word of ExecStart: quoted, with `$` doubled, which would name a variable (systemd.service(5))."""
    escaped = _escaped(text).replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{escaped}"' if escaped != text or set(text) & set(" '\t;") else text


def _cron(command: Sequence[str], place: Path) -> str:
    """A per cent sign would be a line break (crontab(5))."""
    return f"cd {shlex.quote(str(place))} && {shlex.join(command)}".replace("%", "\\%")
