"""Templates of the user's own: found before the built-in ones, kept in a sandbox, and never in the way."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
from jinja2 import UndefinedError

from orchestrator.adapters.overrides import Overrides, in_force, own_folders, using
from orchestrator.adapters.render import report
from orchestrator.adapters.templates import render
from orchestrator.core.inventory import Database, Environment, EnvironmentHead, Secret, Source, Templates
from orchestrator.core.outcome import BadDocument, Refused
from tests.journals import BUDGET_MS, fully_done, hostile_contract, summary_of, the_plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.core.summary import Summary


@pytest.fixture(scope="module")
def summary() -> Summary:
    """A run over tables whose names mean something to HTML and Jinja."""
    return summary_of(fully_done(the_plan(hostile_contract())))


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Own]:
    """Two folders of own templates, in force: the user's first, then the runbook's."""
    made = Own(tmp_path)
    with using(made.overrides):
        yield made


class Own:
    """Own templates, and what was told about them."""

    def __init__(self, root: Path) -> None:
        self.user, self.runbook = root / "user", root / "runbook"
        self.user.mkdir()
        self.runbook.mkdir()
        self.told: list[str] = []
        self.overrides = Overrides(folders=(self.user, self.runbook), tell=self.told.append)

    def write(self, name: str, text: str) -> Path:
        """An own template of the user's folder."""
        (self.user / name).write_text(text, encoding="utf-8")
        return self.user / name


def made(summary: Summary, form: Literal["html", "md"] = "html") -> str:
    """The report of the run."""
    return report(summary, format=form, samples={}, budget_ms=BUDGET_MS)


def test_the_users_folder_before_the_runbooks_before_the_built_in(own: Own, summary: Summary) -> None:
    """A name is looked for in this order; what nobody overrides is the built-in template."""
    own.write("report.md.j2", "the user's {{ summary.run }}")
    (own.runbook / "report.md.j2").write_text("the runbook's", encoding="utf-8")
    (own.runbook / "report_times.html.j2").write_text("<p>our times</p>", encoding="utf-8")
    assert made(summary, "md") == "the user's r1"
    page = made(summary)
    assert "<p>our times</p>" in page
    assert "</html>" in page
    assert own.told == []


def test_nothing_is_overridden_once_the_block_has_ended(tmp_path: Path, summary: Summary) -> None:
    """One task's templates are not those of the next one in the same process."""
    plain = made(summary, "md")
    inner = Own(tmp_path)
    inner.write("report.md.j2", "mine")
    with using(inner.overrides):
        assert made(summary, "md") == "mine"
    assert made(summary, "md") == plain
    assert in_force().folders == ()


def test_an_own_template_may_stand_on_the_built_in_one(own: Own, summary: Summary) -> None:
    """`builtin/` is the way to a template that is overridden."""
    own.write("report.md.j2", 'Our heading\n\n{% include "builtin/report.md.j2" %}')
    page = made(summary, "md")
    with using(Overrides()):
        assert page == "Our heading\n\n" + made(summary, "md")


BROKEN = {
    "syntax": ("one\n{% if %}", "line 2"),
    "undefined name": ("one\ntwo\n{{ nobody }}", "line 3: 'nobody' is undefined"),
    "undefined attribute": ("{{ summary.nothing }}", "line 1"),
    "unsafe attribute": ("{{ summary.__class__.__mro__ }}", "line 1: access to attribute '__class__'"),
    "unsafe by filter": ("{{ summary | attr('__class__') }}", "line 1"),
    "unsafe by map": ("{{ [summary] | map(attribute='__class__') | first }}", "line 1"),
    "unsafe by format": ("{{ '{0.__class__}'.format(summary) }}", "line 1"),
    "function's globals": ("{{ share.__globals__ }}", "line 1"),
    "an error of Python's": ("\n{{ 1 / 0 }}", "line 2: division by zero"),
    "no such template": ('\n{% include "nobody.j2" %}', "line 2"),
    "includes itself": ('{% include "report.md.j2" %}', "line 1"),
    "out of the folder": ('{% include "../../secret" %}', "line 1"),
    "no such filter": ("{{ summary | shout }}", "line 1"),
}


@pytest.mark.parametrize(("text", "told"), BROKEN.values(), ids=BROKEN)
def test_a_broken_one_is_told_once_and_the_built_in_one_used(own: Own, summary: Summary, text: str, told: str) -> None:
    """Template and line, one line of text; the report is the built-in one, to the byte."""
    with using(Overrides()):
        plain = made(summary, "md")
    path = own.write("report.md.j2", text)
    assert made(summary, "md") == plain
    assert made(summary, "md") == plain
    (line,) = own.told
    assert line.startswith(f"own template {path}, {told}")
    assert line.endswith("the built-in one is used")
    assert "\n" not in line
    assert own.overrides.told == [line.removesuffix("; the built-in one is used")]


def test_bytes_that_are_no_text_are_told(own: Own, summary: Summary) -> None:
    """A file in another encoding is a broken template."""
    own.write("report.md.j2", "").write_bytes(b"\xff\xfe")
    made(summary, "md")
    assert "cannot be read" in own.told[0]


def test_an_error_in_an_included_one_leaves_only_that_one_out(own: Own, summary: Summary) -> None:
    """The other overrides of the same page hold."""
    own.write("report_times.html.j2", "<p>our times</p>")
    path = own.write("report_relations.html.j2", "<p>\n{{ relations.nobody.knows }}</p>")
    page = made(summary)
    assert "<p>our times</p>" in page
    assert 'id="relations"' in page
    assert [line.split(": ")[0] for line in own.told] == [f"own template {path}, line 2"]


def test_a_macro_that_is_missing_is_told_where_it_is_called(own: Own, summary: Summary) -> None:
    """The error shows in a built-in template; it comes from the own one that does not fit there."""
    path = own.write("report_words.html.j2", "{% macro word(text) %}{{ text }}{% endmacro %}")
    with using(Overrides()):
        plain = made(summary)
    assert made(summary) == plain
    assert own.told[0].startswith(f"own template {path} does not fit report")


def test_an_error_of_a_built_in_template_is_not_hidden(own: Own) -> None:
    """Without an own template to blame the caller sees it."""
    with pytest.raises(UndefinedError):
        render("report.md.j2")
    assert own.told == []


def test_names_stay_escaped_in_pages_of_ones_own(own: Own, summary: Summary) -> None:
    """In an override, in a part under a new name, and in CSS and JavaScript that stand in a page."""
    own.write("report_times.html.j2", '{% include "row.part" %}{% for row in relations %}{{ row.table }};{% endfor %}')
    own.write("row.part", "{% for row in relations %}[{{ row.table }}]{% endfor %}")
    own.write("report.css", "/* {{ relations[1].table }} {{ relations[0].table }} {{ '</style>' }} */")
    page = made(summary)
    assert own.told == []
    assert "[&lt;script&gt;alert(1)&lt;/script&gt;]" in page
    assert "<script>alert" not in page
    assert "{{ 7*7 }}" in page
    assert "&lt;/style&gt;" in page


class Reaching:
    """A value with a method that reaches the world."""

    def delete(self) -> str:
        """Never called."""
        raise AssertionError


@pytest.mark.parametrize(
    "text",
    [
        "{{ secret.reveal() }}",
        "{{ path.unlink() }}",
        "{{ path.read_text() }}",
        "{{ it.delete() }}",
        "{{ rows.clear() }}",
    ],
)
def test_no_value_lets_a_template_into_the_world(own: Own, tmp_path: Path, text: str) -> None:
    """Jinja's own sandbox would call any public method: files, secrets, lists that others still need."""
    file = tmp_path / "file"
    file.write_text("hidden", encoding="utf-8")
    own.write("plan.sql.j2", text)
    rows = [1]
    with pytest.raises(UndefinedError):
        render("plan.sql.j2", secret=Secret("hidden"), path=file, it=Reaching(), rows=rows)
    assert "line 1" in own.told[0]
    assert "unsafe" in own.told[0]
    assert (file.read_text("utf-8"), rows) == ("hidden", [1])


def test_a_secret_shows_as_stars(own: Own) -> None:
    """By its type, wherever it stands."""
    own.write("plan.sql.j2", "{{ secret }} {{ [secret] }}")
    assert render("plan.sql.j2", secret=Secret("hidden")) == "Secret(***) [Secret(***)]"


def environment(directory: Path | str | None) -> Environment:
    """An environment with that folder of templates."""
    return Environment(
        environment=EnvironmentHead(name="staging", kind="staging"),
        database=Database(url=Source(env="X")),
        templates=Templates(directory=None if directory is None else str(directory)),
    )


def test_the_folders_of_inventory_and_runbook(own: Own, tmp_path: Path) -> None:
    """The user's before the runbook's; neither is needed."""
    (tmp_path / "book" / "templates").mkdir(parents=True)
    assert own_folders(environment(own.user), tmp_path / "book") == (own.user, tmp_path / "book" / "templates")
    assert own_folders(environment(None), tmp_path) == ()


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    """Said before anything is rendered: file, key and what is wrong."""
    file = tmp_path / "templates"
    file.write_text("", encoding="utf-8")
    with pytest.raises(BadDocument, match=r"staging: templates.directory: .*nowhere does not exist"):
        own_folders(environment(tmp_path / "nowhere"), None)
    with pytest.raises(BadDocument, match="is no folder"):
        own_folders(environment(file), None)
    with pytest.raises(BadDocument, match="does not exist"):
        own_folders(environment("~nobody-has-this-name/x"), None)
    with pytest.raises(Refused, match="is no folder"):
        own_folders(None, tmp_path)
