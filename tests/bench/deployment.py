"""A deployment as a program of its own: `python -m tests.bench.deployment FOLDER` deploys what FOLDER describes."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from orchestrator.app import runs
from orchestrator.app.request import Request
from orchestrator.core.outcome import OrchestratorError

ENVIRONMENT = "bench"
INVENTORY = """\
[environment]
name = "bench"
kind = "staging"
[database]
url = {{ file = {url} }}
[policy]
{policy}
[backup]
mode = "none"
"""


def prepare(folder: Path, url: str, policy: Mapping[str, object], *, more: str = "") -> None:
    """Write the inventory of one environment: that database, no backup, those policies, and `more` tables of it."""
    (folder / "inventory").mkdir(parents=True)
    place = folder / "url"
    place.write_text(url, encoding="utf-8")
    # A JSON string or number is a TOML one too.
    lines = "\n".join(f"{name} = {json.dumps(value)}" for name, value in policy.items())
    text = INVENTORY.format(url=json.dumps(str(place)), policy=lines) + more
    (folder / "inventory" / f"{ENVIRONMENT}.toml").write_text(text, encoding="utf-8")


def main() -> int:
    """Deploy; the exit code is the command's own."""
    folder = Path(sys.argv[1])
    request = Request(env=ENVIRONMENT, inventory=folder / "inventory", runs=folder / "runs", json=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return runs.deploy(request, yes=True, until=None, confirm=lambda _: False).exit_code
    except OrchestratorError as error:
        print(error, file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
