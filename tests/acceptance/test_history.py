"""A key that we add is a migration like any other: Prisma, Alembic and Django know it, apply it, and miss it after."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tests.acceptance.desk import Desk, counts, keys, value
from tests.acceptance.migrated import (
    KEYS,
    AlembicProject,
    DjangoProject,
    PrismaProject,
    Project,
    dump,
    without_prisma,
)
from tests.conftest import MATRIX, ClusterUrl


@dataclass(slots=True, kw_only=True)
class World:
    """A project, its database with everything applied but the keys, and the runbook that stands for them."""

    desk: Desk
    project: Project
    url: str
    fresh: Callable[[], str]
    runbook: str = ""
    migration: str = ""

    def deploy(self, **options: Any) -> Any:
        """`invoke deploy` of the runbook."""
        return self.desk.deploy(runbook=self.runbook, **options)

    def generate(self, *words: str) -> Any:
        """`invoke generate --migration` into the project's folder."""
        into = ("--runbook", self.runbook, "--out", str(self.project.migrations), "--name", KEYS)
        return self.desk.typed("generate", "--migration", self.project.tool, *into, *words)

    def remember(self, **more: str) -> None:
        """Write `history.toml`."""
        lines = {"tool": self.project.tool, "folder": str(self.project.migrations), "migration": self.migration, **more}
        text = "".join(f'{key} = "{word}"\n' for key, word in lines.items())
        (Path(self.runbook) / "history.toml").write_text(text, encoding="utf-8")


@pytest.fixture
def fresh(cluster_url: ClusterUrl) -> Iterator[Callable[[], str]]:
    """Makes empty databases on PostgreSQL 16."""
    made: list[str] = []

    def make() -> str:
        made.append(servers.fresh_database(cluster_url(16)))
        return made[-1]

    yield make
    for url in made:
        servers.drop_database(url)


def world_of(desk: Desk, project: Project, fresh: Callable[[], str]) -> World:
    """The tool has applied what there was; then the keys were written as a migration, which is pending."""
    url = fresh()
    desk.environment("staging", url)
    project.apply(url)
    world = World(desk=desk, project=project, url=url, fresh=fresh, runbook=desk.runbook(project.contract, "shop"))
    written = world.generate("--env", "staging")
    assert written.returncode == 0, written.stderr
    return world


THOROUGH = pytest.mark.parametrize("thorough", [False, pytest.param(True, marks=MATRIX)])
"""The matrix asks each tool once more; every question is a process of its own."""


@THOROUGH
def test_alembic(desk: Desk, tmp_path: Path, fresh: Callable[[], str], *, thorough: bool) -> None:
    """Pending, then applied by our deployment, pending after our way back, then applied by Alembic; the same dump."""
    world = world_of(desk, AlembicProject.made(tmp_path / "alembic"), fresh)
    (path,) = world.project.migrations.glob(f"*_{KEYS}.py")
    world.migration = path.name.split("_")[0]
    world.remember()
    if thorough:
        assert "aaa111" in world.project.status(world.url)
    answer = world.deploy()
    assert (answer.exit_code, counts(answer)) == (0, {"added": 4})
    done = world.project.run(world.url, "current", "upgrade head")
    assert f"{world.migration} (head)" in done
    online = dump(world.url)
    assert desk.rollback(runbook=world.runbook).exit_code == 0
    assert keys(world.url) == {}
    assert value(world.url, "select version_num from alembic_version") == "aaa111"
    world.project.apply(world.url)
    assert dump(world.url) == online
    empty = world.fresh()
    world.project.run(empty, "upgrade head", "downgrade -1", "upgrade head")
    assert dump(empty) == online


@THOROUGH
def test_django(desk: Desk, tmp_path: Path, fresh: Callable[[], str], *, thorough: bool) -> None:
    """The same for Django."""
    world = world_of(desk, DjangoProject.made(tmp_path / "django"), fresh)
    world.migration = f"0002_{KEYS}"
    world.remember()
    if thorough:
        assert f"[ ] {world.migration}" in world.project.status(world.url)
    answer = world.deploy()
    assert (answer.exit_code, counts(answer)) == (0, {"added": 4})
    done = world.project.run(world.url, "showmigrations", "migrate")
    assert f"[X] {world.migration}" in done
    assert "No migrations to apply" in done
    online = dump(world.url)
    assert desk.rollback(runbook=world.runbook).exit_code == 0
    assert keys(world.url) == {}
    assert f"[ ] {world.migration}" in world.project.run(world.url, "showmigrations", "migrate")
    assert dump(world.url) == online
    empty = world.fresh()
    world.project.run(empty, "migrate", "migrate shop 0001", "migrate")
    assert dump(empty) == online


@pytest.mark.skipif(bool(without_prisma()), reason=without_prisma())
@THOROUGH
def test_prisma(desk: Desk, tmp_path: Path, fresh: Callable[[], str], *, thorough: bool) -> None:
    """The same for Prisma; its schema and the database do not differ, which it finds by itself."""
    project = PrismaProject.made(tmp_path / "prisma-project")
    world = world_of(desk, project, fresh)
    world.migration = KEYS
    world.remember()
    if thorough:
        assert KEYS in project.status(world.url)
    answer = world.deploy()
    assert (answer.exit_code, counts(answer)) == (0, {"added": 3})
    assert "Database schema is up to date" in project.status(world.url)
    online = dump(world.url)
    if thorough:
        assert "No pending migrations to apply" in project.apply(world.url)
        assert "No difference detected" in project.differences(world.url)
        empty = fresh()
        project.apply(empty)
        assert dump(empty) == online
        assert desk.rollback(runbook=world.runbook).exit_code == 0
        assert KEYS in project.status(world.url)
    else:
        assert desk.rollback(runbook=world.runbook).exit_code == 0
    assert keys(world.url) == {}
    assert KEYS in project.apply(world.url)
    assert dump(world.url) == online
