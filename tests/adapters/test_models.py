"""Django's and SQLAlchemy's models: the keys are those that the framework itself makes in a database."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from orchestrator.adapters.introspection import read_catalog
from orchestrator.adapters.models import Project, model_keys
from orchestrator.core.catalog_keys import keys_of
from orchestrator.core.contract import Relation
from orchestrator.core.outcome import BadDocument, Refused
from orchestrator.core.server_names import foreign_key_name

SETTINGS = """
from os import environ
print("noise on stdout, as projects make it")
SECRET_KEY = "x"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "shop"]
DATABASES = {"lite": {"ENGINE": "django.db.backends.sqlite3"}, "default": {
    "ENGINE": "django.db.backends.postgresql", "NAME": environ["SHOP_dbname"], "USER": environ["SHOP_user"],
    "HOST": environ["SHOP_host"], "PORT": environ["SHOP_port"], "PASSWORD": environ["SHOP_password"]}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
"""

DJANGO = """
import uuid
from django.conf import settings
from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.db import models

class Stamped(models.Model):
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    class Meta:
        abstract = True

class Product(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    code = models.CharField(max_length=20, unique=True)
    parent = models.ForeignKey("self", models.SET_NULL, null=True)
    related = models.ManyToManyField("self")
    tags = models.ManyToManyField("Tag")
    shelves = models.ManyToManyField("Shelf", through="Placing")
    loose = models.ManyToManyField("Tag", db_constraint=False, related_name="+")

class Tag(models.Model):
    pass

class Shelf(models.Model):
    class Meta:
        db_table = "The Shelves"

class Placing(Stamped):
    product = models.ForeignKey(Product, models.CASCADE, to_field="code", db_column="product code")
    shelf = models.ForeignKey(Shelf, models.DO_NOTHING, db_column="Shelf")

class Book(Product):
    editor = models.OneToOneField(settings.AUTH_USER_MODEL, models.RESTRICT)

class Novel(Book):
    sequel = models.ForeignKey("Book", models.CASCADE, null=True, related_name="+")

class Shown(Novel):
    class Meta:
        proxy = True

class TheVeryLongNameOfAModelThatKeepsEverythingAboutTheShelvesOfAllShops(models.Model):
    the_very_long_name_of_a_column_that_leads_to_a_shown_novel_of_ours = models.ForeignKey(Shown, models.CASCADE)
    soft = models.ForeignKey(Tag, models.CASCADE, db_constraint=False)
    kind = models.ForeignKey(ContentType, models.CASCADE)
    thing = GenericForeignKey("kind", "id")

class Invoice(models.Model):
    pk = models.CompositePrimaryKey("year", "number")
    year = models.IntegerField()
    number = models.IntegerField()
    buyer = models.ForeignKey("Customer", models.CASCADE)
    class Meta:
        db_table = 'sales"."invoice'

class Customer(models.Model):
    class Meta:
        db_table = 'sales"."customer'

class Receipt(models.Model):
    year = models.IntegerField()
    invoice = models.ForeignObject(Invoice, models.CASCADE, from_fields=["year", "id"], to_fields=["year", "number"])

class Legacy(models.Model):
    tag = models.ForeignKey(Tag, models.CASCADE)
    class Meta:
        managed = False
"""

MIGRATE = """
import django
from django.core.management import call_command
django.setup()
call_command("migrate", "auth")
call_command("migrate", run_syncdb=True)
"""

SQLALCHEMY = """
from sqlalchemy import Column, ForeignKey, ForeignKeyConstraint as Key, Integer, MetaData, Table
from sqlalchemy.orm import DeclarativeBase, mapped_column
print("noise")
metadata = MetaData()
LONG = "a_table_whose_name_alone_is_almost_as_long_as_the_server_allows"
Table("parent", metadata, Column("a", Integer, primary_key=True), Column("b", Integer, primary_key=True))
Table("single", metadata, Column("id", Integer, primary_key=True), Column("up", ForeignKey("single.id")))
Table("child", metadata,
    Column("id", Integer, primary_key=True), Column("x", Integer), Column("y", Integer),
    Column("one", ForeignKey("single.id", ondelete="cascade", onupdate="SET DEFAULT", name="by % name")),
    Column("two", ForeignKey("single.id", deferrable=True, initially="DEFERRED")),
    Column("three", ForeignKey("single.id", deferrable=True, ondelete="RESTRICT")),
    Column("four", ForeignKey("single.id", initially="DEFERRED", onupdate="CASCADE")),
    Column("five", ForeignKey("single.id", deferrable=False, initially="IMMEDIATE", ondelete="SET  NULL")),
    Key(["x", "y"], ["parent.a", "parent.b"], match="FULL"),
    Column("p", Integer), Column("q", Integer),
    Key(["p", "q"], ["parent.a", "parent.b"], ondelete='SET NULL ("q")', name='quoted "name"'))
Table(LONG, metadata, Column("id", Integer, primary_key=True), Column("größe_" * 6, ForeignKey("single.id")),
    Column("größe_" * 5, ForeignKey("single.id")), Column("größe_" * 5 + "x", ForeignKey("single.id")))
Table("a_b", metadata, Column("id", Integer, primary_key=True), Column("c", ForeignKey("single.id")))
Table("a", metadata, Column("id", Integer, primary_key=True), Column("b_c", ForeignKey("single.id")))
Table("egg", metadata, Column("id", Integer, primary_key=True), Column("hen", ForeignKey("hen.id", name="laid")))
Table("hen", metadata, Column("id", Integer, primary_key=True),
    Column("egg", ForeignKey("egg.id", use_alter=True, name="hatched")))
Table("far", metadata, Column("id", Integer, primary_key=True), Column("c", ForeignKey("single.id")),
    schema="Other Schema")
mine = Key(["other"], ["single.id"], name="elsewhere")
Table("mysql_only", metadata, Column("id", Integer, primary_key=True), Column("other", Integer), mine.ddl_if("mysql"))
Table("near", metadata, Column("id", ForeignKey("Other Schema.far.id"), primary_key=True))

class Base(DeclarativeBase):
    metadata = MetaData(schema="orm", naming_convention={
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s"})

class Root(Base):
    __tablename__ = "root_of_all_that_is_mapped"
    id = mapped_column(Integer, primary_key=True)
    root = mapped_column(ForeignKey("orm.root_of_all_that_is_mapped.id"))
"""

CREATE_ALL = """
import sys
from app_models import Base, metadata
from sqlalchemy import create_engine
from sqlalchemy.schema import CreateSchema
with create_engine(sys.argv[1]).begin() as connection:
    for name in ("Other Schema", "orm"):
        connection.execute(CreateSchema(name))
    metadata.create_all(connection)
    Base.metadata.create_all(connection)
"""


def made(url: str) -> set[Relation]:
    """The keys that stand in a database."""
    with psycopg.connect(url, autocommit=True, row_factory=dict_row) as connection:
        return set(keys_of(read_catalog(connection), where="here")[0])


def run(code: str, *words: str, folder: Path) -> None:
    """A program of the project."""
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def django(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose tables Django itself has made."""
    (tmp_path / "shop").mkdir()
    for name, text in {"settings.py": SETTINGS, "shop/__init__.py": "", "shop/models.py": DJANGO}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    for key, value in conninfo_to_dict(database).items():
        monkeypatch.setenv(f"SHOP_{key}", str(value))
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("create schema sales")
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "settings")
    run(MIGRATE, folder=tmp_path)
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE")
    return tmp_path


def test_django_makes_exactly_these_keys(database: str, django: Path) -> None:
    """Names, actions and deferrability; what it makes no constraint for is deferred, with the reason."""
    keys = model_keys("django", ("settings",), Project(folder=django), default_schema="public")
    assert {each for each in keys if each.deferred is None} == made(database)
    waiting = {f"{each.table.name}.{each.columns[0]}": each.deferred for each in keys if each.deferred}
    loose = "Django makes no constraint for it (db_constraint=False)"
    assert waiting == {
        "shop_product_loose.product_id": loose,
        "shop_product_loose.tag_id": loose,
        "shop_theverylongnameofamodelthatkeepseverythingabouttheshelb095.soft_id": loose,
        "shop_receipt.year": "Django makes no constraint of a ForeignObject",
        "shop_legacy.tag_id": "Django does not manage its table (managed=False)",
    }
    assert {each.deferrable for each in keys if len(each.columns) == 1} == {"initially deferred"}


def test_sqlalchemy_makes_exactly_these_keys(database: str, tmp_path: Path) -> None:
    """Also those that the server names, with the number behind a name that is taken."""
    (tmp_path / "app_models.py").write_text(SQLALCHEMY, encoding="utf-8")
    run(CREATE_ALL, database.replace("postgresql://", "postgresql+psycopg://"), folder=tmp_path)
    project = Project(folder=tmp_path)
    tables, mapped, same = (
        model_keys("sqlalchemy", ("app_models", attribute), project, default_schema="public")
        for attribute in ("metadata", "Base.metadata", "Base")
    )
    assert (len(set(tables)), len(tables), len(mapped)) == (18, 18, 1)
    assert {each for each in (*tables, *mapped) if each.deferred is None} == made(database)
    assert [each.name for each in tables if each.deferred] == ["elsewhere"]
    assert mapped == same


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import nothing_of_that_name", "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("raise SystemExit('not today')", "SystemExit: not today"),
        ("import os; os._exit(0)", "ended the program before it answered"),
        ("import os; os._exit(3)", "failed with exit code 3"),
        ("metadata = 1", "TypeError: broken:metadata is no MetaData and has none"),
        ("x = 1", "AttributeError: module 'broken' has no attribute 'metadata'"),
        ("from sqlalchemy import *\nmetadata = MetaData()\nTable('a', metadata, Column('b', ForeignKey('c.id')))",
         "NoReferencedTableError: "),
    ],
)  # fmt: skip
def test_what_the_projects_code_raises_is_one_line(text: str, words: str, tmp_path: Path) -> None:
    """The code runs in a program apart: it cannot end ours."""
    (tmp_path / "broken.py").write_text(text, encoding="utf-8")
    with pytest.raises(Refused, match=r"^sqlalchemy:broken:metadata:? ") as caught:
        model_keys("sqlalchemy", ("broken", "metadata"), Project(folder=tmp_path), default_schema="public")
    assert words in str(caught.value)


def test_a_project_without_postgresql_is_refused(tmp_path: Path) -> None:
    """The names depend on the database."""
    (tmp_path / "lite.py").write_text("DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3'}}", "utf-8")
    with pytest.raises(Refused, match="django:lite: LookupError: no database in DATABASES is PostgreSQL"):
        model_keys("django", ("lite",), Project(folder=tmp_path), default_schema="public")


def test_an_action_that_is_none_is_a_bad_document(tmp_path: Path) -> None:
    """SQLAlchemy takes any text in a dialect's place."""
    text = (
        "from sqlalchemy import *\nmetadata = MetaData()\nTable('a', metadata, Column('b', Integer, primary_key=True),"
        " Column('c', ForeignKey('a.b', ondelete='EXPLODE')))"
    )
    (tmp_path / "odd.py").write_text(text, encoding="utf-8")
    with pytest.raises(BadDocument, match=r"sqlalchemy:odd:metadata: foreign_key\[1\].on_delete"):
        model_keys("sqlalchemy", ("odd", "metadata"), Project(folder=tmp_path), default_schema="public")


@pytest.mark.parametrize(
    ("project", "words"),
    [(Project(folder=Path("/nowhere")), "--project /nowhere"), (Project(python="no-python"), "--python no-python")],
)
def test_a_project_that_is_not_there_is_refused(project: Project, words: str) -> None:
    """Before anything is started."""
    with pytest.raises(Refused, match=words):
        model_keys("django", ("settings",), project, default_schema="public")


def test_names_of_the_server_are_numbered() -> None:
    """The first free one."""
    assert foreign_key_name("a", ("b", "c"), {"a_b_c_fkey", "a_b_c_fkey1"}) == "a_b_c_fkey2"
