"""The report in a real browser, opened from disk with the network off."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from orchestrator.adapters.render import report
from orchestrator.adapters.runbooks import load_contract
from orchestrator.core.journal import AnswerHeard
from orchestrator.core.prediction import compare, predict
from orchestrator.core.summary import Summary
from tests import servers
from tests.acceptance.desk import MASTER, ROOT
from tests.adapters.test_evidence import sample
from tests.browser.real_runs import real_reports
from tests.conftest import ClusterUrl
from tests.journals import BUDGET_MS, fully_done, summary_of, the_plan

CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")
AXE = Path(os.environ.get("AXE_CORE") or ROOT / "node_modules" / "axe-core" / "axe.min.js")
"""The script of the npm package axe-core: `npm install --no-save axe-core`, or its path in AXE_CORE."""

KEPT = os.environ.get("REPORT_SCREENSHOTS")
"""Where screenshots are kept; by default a temporary folder."""

WHOLE = bool(os.environ.get("REPORT_WHOLE"))
"""Pictures of the whole page rather than of one window of it: for people, and ten times as slow."""

Scheme = Literal["light", "dark"]
RUNS = ("done", "failed", "held", "rolled-back", "everything")
WIDE = ViewportSize(width=1400, height=900)
LAPTOP = ViewportSize(width=1100, height=800)
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
SHOWN = """() => [...document.querySelectorAll("#relations-table tbody tr")]
    .filter((row) => row.getClientRects().length > 0).map((row) => row.cells[0].innerText)"""
NARROW = ViewportSize(width=390, height=844)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH")


@dataclass(slots=True, kw_only=True)
class Opened:
    """A report in the browser, with everything that it said on the console and asked for."""

    name: str
    page: Page
    document: dict[str, Any]
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def listen(self) -> None:
        """Note what it says and asks for from now on."""
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))

    @property
    def overflow(self) -> int:
        """Points by which the page is wider than its window."""
        return int(self.page.evaluate("() => document.documentElement.scrollWidth - window.innerWidth"))

    def shown(self) -> list[str]:
        """The rows of the table of relations that can be seen, in their order."""
        return list(self.page.evaluate(SHOWN))


def rehearsed_and_approved() -> Summary:
    """A run by hand that has everything a report can show: rehearsed, approved, with a gate overridden."""
    plan = the_plan(load_contract(MASTER / "foreign_keys.toml"))
    done = summary_of(fully_done(plan))
    evidence = sample(steps={each.id: (each.duration_ms or 0.0) * 1.2 for each in done.steps})
    actual = {each.id: each.duration_ms for each in done.steps}
    answer = AnswerHeard(answer="approve", person="Ayu", proof="role ayu", actor="ayu", os_user="ayu", note="seen")
    return replace(
        done,
        answers=(answer,),
        overridden=("window by Budi: an outage",),
        comparison=compare(predict(evidence, {}).steps, evidence.steps, actual),
    )


@pytest.fixture(scope="module")
def written(
    tmp_path_factory: pytest.TempPathFactory, cluster_url: ClusterUrl, master_template: ClusterUrl
) -> Mapping[str, Path]:
    """The page of a real run of each end, and the page that has everything; the JSON report lies beside each."""
    folder = tmp_path_factory.mktemp("reports")
    runs = real_reports(lambda: servers.fresh_database(cluster_url(16), master_template(16)), folder)
    for form in ("html", "json"):
        text = report(rehearsed_and_approved(), format=form, samples={}, budget_ms=BUDGET_MS)
        (folder / f"report.{form}").write_text(text, encoding="utf-8")
    return {name: each / "report.html" for name, each in runs.items()} | {"everything": folder / "report.html"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests here. Its sandbox needs rights that a container does not give."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def reports(browser: Browser, written: Mapping[str, Path]) -> Mapping[str, Opened]:
    """Each report as a file on disk, opened where there is no network."""
    context = browser.new_context(viewport=WIDE, offline=True)
    opened: dict[str, Opened] = {}
    for name, path in written.items():
        document = json.loads(path.with_suffix(".json").read_text("utf-8"))
        here = Opened(name=name, page=context.new_page(), document=document)
        here.listen()
        here.page.goto(path.as_uri())
        opened[name] = here
    return opened


@pytest.fixture(params=RUNS)
def opened(request: pytest.FixtureRequest, reports: Mapping[str, Opened]) -> Opened:
    """The report of a run of each end."""
    return reports[request.param]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots are kept."""
    folder = Path(KEPT) if KEPT else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_the_page_fits_both_widths_in_light_and_dark(opened: Opened, pictures: Path) -> None:
    """Nothing is said on the console, nothing is asked for, nothing is wider than the window, all charts are there."""
    colours = set()
    for size in (WIDE, LAPTOP, NARROW):
        opened.page.set_viewport_size(size)
        assert opened.overflow <= 0
        for scheme in SCHEMES:
            opened.page.emulate_media(color_scheme=scheme)
            colours.add(opened.page.evaluate("() => getComputedStyle(document.body).backgroundColor"))
            opened.page.screenshot(path=pictures / f"{opened.name}-{size['width']}-{scheme}.png", full_page=WHOLE)
        for chart in ("svg.graph", "#times svg.chart", *(["#lock-chart"] if opened.document["statements"] else [])):
            box = opened.page.locator(chart).bounding_box()
            assert box
            assert min(box["width"], box["height"]) > 30
    opened.page.emulate_media(color_scheme="light")
    assert len(colours) == 2
    assert opened.said == []
    assert [each for each in opened.asked if not each.startswith(("file:", "data:"))] == []


def test_headings_are_in_order(opened: Opened) -> None:
    """One first heading; none skips a level."""
    levels = opened.page.evaluate("() => [...document.querySelectorAll('h1,h2,h3,h4')].map(e => Number(e.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_the_table_of_relations_sorts_and_filters(reports: Mapping[str, Opened]) -> None:
    """By a click on a header, there and back; by text, and by fate."""
    opened = reports["done"]
    page = opened.page
    page.set_viewport_size(WIDE)
    everything = opened.shown()
    assert len(everything) == len(opened.document["relation_rows"])
    header = page.locator("#relations-table thead th").first
    header.locator("button").click()
    assert header.get_attribute("aria-sort") == "ascending"
    once = opened.shown()
    header.locator("button").click()
    assert header.get_attribute("aria-sort") == "descending"
    assert opened.shown() == once[::-1]
    assert sorted(once) == sorted(everything)
    page.fill("#filter-text", "punchlist")
    found = opened.shown()
    assert 0 < len(found) < len(everything)
    assert f"{len(found)} of {len(everything)} shown" in page.locator("#filter-shown").inner_text()
    page.fill("#filter-text", "")
    page.select_option("#filter-fate", "deferred")
    assert len(opened.shown()) == opened.document["relations"]["deferred"]
    page.select_option("#filter-fate", "")


def test_planned_rehearsed_and_actual_are_drawn(reports: Mapping[str, Opened]) -> None:
    """Three bars to a step that was rehearsed and done."""
    page = reports["everything"].page
    for kind in ("planned", "rehearsed", "actual"):
        assert page.locator(f"#times rect.bar.{kind}").count() >= 5


def test_the_printed_page_has_no_tools_and_opens_what_is_folded(reports: Mapping[str, Opened]) -> None:
    """Paper cannot be clicked."""
    page = reports["done"].page
    page.emulate_media(media="print")
    assert not page.locator("#relations-tools").is_visible()
    page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    page.evaluate("() => dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")


@pytest.mark.skipif(not AXE.is_file(), reason="no axe-core: npm install --no-save axe-core, or AXE_CORE=its axe.min.js")
@pytest.mark.parametrize(
    ("name", "scheme"),
    [("done", "light"), ("failed", "light"), ("held", "dark"), ("rolled-back", "dark"), ("everything", "dark")],
)
def test_axe_finds_nothing_serious(reports: Mapping[str, Opened], name: str, scheme: Scheme) -> None:
    """Names, contrast, structure: no violation that is serious or critical."""
    page = reports[name].page
    page.set_viewport_size(WIDE if scheme == "light" else NARROW)
    page.emulate_media(color_scheme=scheme)
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("() => axe.run({resultTypes: ['violations']})")["violations"]
    serious = [each for each in found if each["impact"] in {"serious", "critical"}]
    assert [(each["id"], [node["html"] for node in each["nodes"]][:3]) for each in serious] == []
