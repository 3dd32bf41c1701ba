"""The folder of a session: in memory only where there is room, and removed when nobody holds it any more."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from orchestrator.adapters import embedded
from tests import places


def test_only_the_dead_are_forgotten(tmp_path: Path) -> None:
    """A session that holds its lock keeps its folder, one that was killed does not, and nothing else is touched."""
    alive, dead, other = (tmp_path / name for name in (f"{places.PREFIX}a", f"{places.PREFIX}b", "c"))
    for folder in (alive, dead, other):
        folder.mkdir()
        (folder / "lock").touch()
    with (alive / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        places._forget_the_dead(tmp_path)
    assert set(tmp_path.iterdir()) == {alive, other}


def test_a_small_memory_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without room, or without such a file system, the disk is good enough."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(places, "ROOM", 2**62)
    assert places._parent() == tmp_path
    monkeypatch.setattr(places, "MEMORY", tmp_path / "none")
    assert places._parent() == tmp_path


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's data lies elsewhere")
def test_what_a_program_of_a_test_left_is_discarded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its folder is found through LOCATION; a server that still runs is told."""
    elsewhere, folder = places.scratch() / "elsewhere", tmp_path / "cluster"
    elsewhere.mkdir(mode=0o711)
    with monkeypatch.context() as patch:
        patch.setattr(embedded, "_PUBLIC_PLACE", elsewhere)
        cluster = embedded.Cluster(directory=folder)
        cluster.start()
    (told,) = places.discard_clusters(tmp_path)
    assert "belongs to another process" in told
    cluster.stop()
    assert places.discard_clusters(tmp_path) == []
    assert list(elsewhere.iterdir()) == []
