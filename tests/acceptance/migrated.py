"""An application with a history: the same five tables and the same keys in the words of Prisma, Alembic and Django.

Each tool runs as its users run it, in a child process of its own.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.adapters.programs import server_installation
from tests.acceptance.desk import ROOT, value

TABLES = (
    """CREATE TABLE "customers" ("id" BIGINT NOT NULL, "best" BIGINT,"""
    """ CONSTRAINT "customers_pkey" PRIMARY KEY ("id"))""",
    """CREATE TABLE "places" ("country" TEXT NOT NULL, "code" TEXT NOT NULL,"""
    """ CONSTRAINT "places_pkey" PRIMARY KEY ("country", "code"))""",
    """CREATE TABLE "orders" ("id" BIGINT NOT NULL, "customer_id" BIGINT NOT NULL, "country" TEXT, "code" TEXT,"""
    """ CONSTRAINT "orders_pkey" PRIMARY KEY ("id"))""",
    """CREATE TABLE "Odd: 100%s" ("id" BIGINT NOT NULL, "the ""order"":id" BIGINT,"""
    """ CONSTRAINT "odd_pkey" PRIMARY KEY ("id"))""",
)

CONTRACT = r"""
[[foreign_key]]
table = "orders"
columns = ["customer_id"]
references = { table = "customers", columns = ["id"] }
on_delete = "cascade"
priority = "critical"

[[foreign_key]]
table = "customers"
columns = ["best"]
references = { table = "customers", columns = ["id"] }
on_delete = "set null"
on_update = "cascade"

[[foreign_key]]
table = "orders"
columns = ["country", "code"]
references = { table = "places", columns = ["country", "code"] }
on_delete = "restrict"
name = "orders of a place"
"""

ODD = r"""
[[foreign_key]]
table = "Odd: 100%s"
columns = ["the \"order\":id"]
references = { table = "orders", columns = ["id"] }
deferrable = "initially deferred"
name = "it's :odd % \"quoted\" ::text"
"""
"""What no tool may stumble over; Prisma's schema language has no word for a deferred key."""

SCHEMA = """
datasource db {
  provider = "postgresql"
}
model customers {
  id              BigInt      @id
  best            BigInt?
  best_customer   customers?  @relation("best", fields: [best], references: [id], map: "fk_customers_best")
  best_of         customers[] @relation("best")
  orders          orders[]
}
model places {
  country String
  code    String
  orders  orders[]
  @@id([country, code])
}
model orders {
  id          BigInt    @id
  customer_id BigInt
  country     String?
  code        String?
  customer    customers @relation(fields: [customer_id], references: [id], onDelete: Cascade, onUpdate: NoAction,
    map: "fk_orders_customer_id")
  place       places?   @relation(fields: [country, code], references: [country, code], onDelete: Restrict,
    onUpdate: NoAction, map: "orders of a place")
}
""".replace(",\n    ", ", ")

FIRST = "20260101000000_tables"
KEYS = "20260201000000_keys"


@dataclass(slots=True, kw_only=True)
class Project:
    """A project of one tool: its folder of migrations, and the command line that it is used through."""

    folder: Path
    tool: str
    migrations: Path
    odd: bool = True
    extra: Mapping[str, str] = field(default_factory=dict)

    def run(self, url: str, *words: str, failing: bool = False) -> str:
        """What the tool said, on that database; it must not fail, unless that is expected."""
        raise NotImplementedError

    def status(self, url: str) -> str:
        """What the tool says is applied, on that database."""
        raise NotImplementedError

    def apply(self, url: str) -> str:
        """Let the tool apply what is pending; what it said."""
        raise NotImplementedError

    @property
    def contract(self) -> str:
        """The keys, with those that this tool can say."""
        return CONTRACT + (ODD if self.odd else "")

    def child(self, url: str, *words: str, failing: bool = False) -> str:
        """Run a program in the project's folder, with nothing but its own variables."""
        kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "LANG") if name in os.environ}
        done = subprocess.run(
            words,
            cwd=self.folder,
            env={**kept, "HOME": str(self.folder), "DATABASE_URL": url, **self.extra},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode == 0) or failing, (words, done.stdout, done.stderr)
        return done.stdout + done.stderr


ALEMBIC_INI = "[alembic]\nscript_location = %(here)s\n"
ALEMBIC_ENV = """
import os
from alembic import context
from sqlalchemy import create_engine

url = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://", 1)
with create_engine(url).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
ALEMBIC_RUN = "import sys; from alembic.config import main\nfor each in sys.argv[1:]: main(each.split())"


@dataclass(slots=True, kw_only=True)
class AlembicProject(Project):
    """Alembic; psycopg under SQLAlchemy."""

    @classmethod
    def made(cls, folder: Path) -> AlembicProject:
        """With one revision, which makes the tables."""
        versions = folder / "versions"
        versions.mkdir(parents=True)
        (folder / "alembic.ini").write_text(ALEMBIC_INI)
        (folder / "env.py").write_text(ALEMBIC_ENV)
        lines = "".join(f"    op.execute({each.replace(':', chr(92) + ':')!r})\n" for each in TABLES)
        (versions / "tables.py").write_text(
            "from alembic import op\n\nrevision: str = 'aaa111'\ndown_revision = None\n\n\ndef upgrade() -> None:\n"
            f"{lines}\n\ndef downgrade() -> None:\n    raise NotImplementedError\n"
        )
        return cls(folder=folder, tool="alembic", migrations=versions)

    def run(self, url: str, *words: str, failing: bool = False) -> str:
        """Commands, one after the other, in one process."""
        return self.child(url, sys.executable, "-c", ALEMBIC_RUN, *words, failing=failing)

    def status(self, url: str) -> str:
        """`alembic current`."""
        return self.run(url, "current")

    def apply(self, url: str) -> str:
        """`alembic upgrade head`."""
        return self.run(url, "upgrade head")


DJANGO_SETTINGS = """
import os
from urllib.parse import parse_qsl, urlsplit

at = urlsplit(os.environ["DATABASE_URL"])
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": at.path[1:], "USER": at.username,
    "PASSWORD": at.password or "", "HOST": dict(parse_qsl(at.query)).get("host") or at.hostname, "PORT": at.port or ""}}
INSTALLED_APPS = ["shop"]
SECRET_KEY = "none"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
"""
DJANGO_RUN = (
    "import sys, django; from django.core.management import call_command; django.setup()\n"
    "for each in sys.argv[1:]: call_command(*each.split())"
)


@dataclass(slots=True, kw_only=True)
class DjangoProject(Project):
    """Django, with one app."""

    @classmethod
    def made(cls, folder: Path) -> DjangoProject:
        """With one migration, which makes the tables."""
        migrations = folder / "shop" / "migrations"
        migrations.mkdir(parents=True)
        (folder / "shop" / "__init__.py").touch()
        (migrations / "__init__.py").touch()
        (folder / "settings.py").write_text(DJANGO_SETTINGS)
        (migrations / "0001_initial.py").write_text(
            "from django.db import migrations\n\n\nclass Migration(migrations.Migration):\n    initial = True\n"
            f"    dependencies = []\n    operations = [migrations.RunSQL([{', '.join(map(repr, TABLES))}])]\n"
        )
        return cls(folder=folder, tool="django", migrations=migrations, extra={"DJANGO_SETTINGS_MODULE": "settings"})

    def run(self, url: str, *words: str, failing: bool = False) -> str:
        """Commands, one after the other, in one process."""
        return self.child(url, sys.executable, "-c", DJANGO_RUN, *words, failing=failing)

    def status(self, url: str) -> str:
        """`manage.py showmigrations`."""
        return self.run(url, "showmigrations")

    def apply(self, url: str) -> str:
        """`manage.py migrate`."""
        return self.run(url, "migrate")


PRISMA = Path(os.environ.get("PRISMA_HOME") or ROOT / "tests/prisma")
"""The folder with the npm packages prisma, @prisma/adapter-pg and @prisma/schema-engine-wasm in its node_modules."""

ENGINE = Path(__file__).parents[1] / "prisma" / "schema-engine.mjs"
PRISMA_CONFIG = """
import { defineConfig } from 'prisma/config'
export default defineConfig({ schema: 'prisma/schema.prisma', migrations: { path: 'prisma/migrations' },
  datasource: { url: process.env.DATABASE_URL! } })
"""


def without_prisma() -> str:
    """Why Prisma cannot be run here; empty when it can."""
    if shutil.which("node") is None:
        return "no node on this machine"
    needed = ("prisma", "@prisma/adapter-pg", "@prisma/schema-engine-wasm")
    missing = [name for name in needed if not (PRISMA / "node_modules" / name).is_dir()]
    return f"no {missing[0]}: npm install in tests/prisma, or PRISMA_HOME" if missing else ""


@dataclass(slots=True, kw_only=True)
class PrismaProject(Project):
    """Prisma's command line, with its engine as WebAssembly."""

    @classmethod
    def made(cls, folder: Path) -> PrismaProject:
        """With one migration, which makes the tables."""
        migrations = folder / "prisma" / "migrations"
        (migrations / FIRST).mkdir(parents=True)
        (folder / "node_modules").symlink_to(PRISMA / "node_modules")
        shutil.copy(ENGINE, folder)
        (folder / "prisma.config.ts").write_text(PRISMA_CONFIG)
        (folder / "prisma" / "schema.prisma").write_text(SCHEMA)
        (migrations / "migration_lock.toml").write_text('provider = "postgresql"\n')
        (migrations / FIRST / "migration.sql").write_text("".join(f"{each};\n" for each in TABLES[:3]))
        engine = {"PRISMA_SCHEMA_ENGINE_BINARY": str(folder / ENGINE.name), "PRISMA_HIDE_UPDATE_MESSAGE": "1"}
        return cls(folder=folder, tool="prisma", migrations=migrations, odd=False, extra=engine)

    def run(self, url: str, *words: str, failing: bool = False) -> str:
        """One command."""
        return self.child(url, "node", "node_modules/prisma/build/index.js", *words, failing=failing)

    def status(self, url: str) -> str:
        """`prisma migrate status`, which ends with 1 when something is pending."""
        return self.run(url, "migrate", "status", failing=True)

    def apply(self, url: str) -> str:
        """`prisma migrate deploy`."""
        return self.run(url, "migrate", "deploy")

    def differences(self, url: str) -> str:
        """`prisma migrate diff` between the database and the schema."""
        words = ("--from-config-datasource", "--to-schema", "prisma/schema.prisma", "--exit-code")
        return self.run(url, "migrate", "diff", *words, failing=True)


def dump(url: str) -> str:
    """The schema as pg_dump tells it, without the ledger and without the words that differ each time."""
    tools = server_installation(int(value(url, "show server_version_num")) // 10000)
    command = (str(tools.program("pg_dump")), "--schema-only", "--exclude-schema=orchestrator", "--dbname", url)
    said = subprocess.run(command, capture_output=True, text=True, env=tools.environment(), timeout=60, check=True)
    return re.sub(r"^\\(un)?restrict .*\n", "", said.stdout, flags=re.MULTILINE)
