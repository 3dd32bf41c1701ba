"""Another environment on an embedded server is reached although no command keeps it running."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from orchestrator.app.opening import open_site
from orchestrator.app.request import Request
from orchestrator.app.site import embedded_cluster
from orchestrator.core.outcome import OrchestratorError, Refused

INVENTORY = '[environment]\nname = "{0}"\nkind = "staging"\n[database]\nurl = {{ embedded = "{0}" }}\n'


def test_a_stopped_embedded_server_is_started_for_the_command_and_stopped_after_it(tmp_path: Path) -> None:
    """Otherwise the gates that ask staging could never open; one that was never made is not made."""
    inventory = tmp_path / "inventory"
    inventory.mkdir()
    for name in ("one", "two", "never"):
        (inventory / f"{name}.toml").write_text(INVENTORY.format(name), encoding="utf-8")
    one, two = embedded_cluster(inventory, "one"), embedded_cluster(inventory, "two")
    try:
        with two:
            pass
        request = Request(env="one", inventory=inventory, runs=tmp_path / "runs", json=True)
        with ExitStack() as stack, pytest.raises(Refused, match="a task that only reads makes nothing"):
            open_site(request, stack, read_only=True)
        assert not one.made
        with ExitStack() as stack:
            site = open_site(request, stack, read_only=False)
            site.reach("two")
            assert two.running
            with pytest.raises(OrchestratorError, match="does not exist yet"):
                site.reach("never")
        assert not two.running
    finally:
        one.discard()
        two.discard()
