"""Prisma's real command line, where node and an installation are there; else the test is skipped."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

PRISMA = os.environ.get("PRISMA_HOME")
"""A folder with Prisma's CLI 7 and its engine: node_modules/, schema-engine.mjs if it has one, prisma.config.ts and the
schema that this names.
"""

WANTED = "a folder with Prisma's CLI 7 (node_modules), a prisma.config.ts, and the schema that it names"


def prisma(*words: str, url: str) -> subprocess.CompletedProcess[str]:
    """`prisma …` against a database."""
    if PRISMA is None or shutil.which("node") is None or not Path(PRISMA, "prisma.config.ts").is_file():
        pytest.skip(f"node is not installed, or PRISMA_HOME does not name {WANTED}")
    engine = Path(PRISMA) / "schema-engine.mjs"
    own = {"PRISMA_SCHEMA_ENGINE_BINARY": str(engine)} if engine.exists() else {}
    return subprocess.run(
        ["node", "node_modules/.bin/prisma", *words],
        cwd=PRISMA,
        env={**os.environ, **own, "DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
