"""The site: what is printed into its pages is up to date, its pages are there, it builds
strictly."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from docs.site import first_page, tutorials
from tests.markdown import ROOT
from zeroskip.runtime.analysis.report import report
from zeroskip.runtime.execution.session import Session
from zeroskip.runtime.render.pages.chart import svg_file
from zeroskip.runtime.render.pages.report import report_charts

CONFIG = ROOT / "mkdocs.yml"


@pytest.mark.parametrize("page", tutorials.PAGES, ids=lambda page: page.stem)
def test_code_of_tutorials_is_that_of_their_scripts(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "<!-- examples/" in text
    assert tutorials.filled(text) == text, "print it again: make printed"


@pytest.mark.parametrize("script", ["prune_torch", "in_tvm", "sweep"])
def test_tutorials_leave_nothing_of_a_script_out(script: str) -> None:
    code = (ROOT / "examples" / f"{script}.py").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "tutorials" / f"{script}.md").read_text(encoding="utf-8")
    assert re.findall(rf"<!-- examples/{script}\.py (\w+) -->", page) == [*tutorials.sections(code)]


def test_the_pages_of_the_nav_are_there() -> None:
    pages = re.findall(r"[\w/]+\.md\b", CONFIG.read_text(encoding="utf-8").partition("nav:")[2])
    assert len(pages) > 20
    assert len(set(pages)) == len(pages)
    for page in pages:
        assert (ROOT / "docs" / page).is_file(), page


def test_the_first_page_has_its_excerpts_and_pictures() -> None:
    """That they are those of a compile, a run and a report is ``test_the_first_page_is_true``."""
    page = first_page.PAGE.read_text(encoding="utf-8")
    marks = first_page.marks(page)
    assert list(marks) == ["stream", "weights", "bits", "cycles", "lost"]
    assert all(marks.values())
    rows = re.findall(r"^\| \**([\w ]+)\** \| \**([-+\d,]+)\** \|", marks["lost"], re.MULTILINE)
    numbers = {name: int(number.replace(",", "")) for name, number in rows}
    cycles = numbers.pop("cycles")
    assert abs(sum(numbers.values()) - cycles) <= len(numbers) / 2  # each is rounded
    assert f"{cycles:,} cycles" in marks["cycles"]
    for picture in re.findall(r"\((pictures/\w+\.svg)\)", page):
        assert (ROOT / "docs" / picture).is_file()


@pytest.mark.docs
def test_the_first_page_is_true() -> None:
    network = first_page.compiled()
    runs = Session(network).time()
    made = report(network, runs)
    page = first_page.PAGE.read_text(encoding="utf-8")
    assert first_page.marks(page) == first_page.excerpts(network, made)
    charts = {each.name: each for each in report_charts(made, runs, network.programs)}
    for name in first_page.SHOWN:
        picture = (first_page.PICTURES / f"{name}.svg").read_text(encoding="utf-8")
        assert picture == svg_file(charts[name]), "print it again: make printed"


class _Fetched(HTMLParser):
    """Addresses that a page fetches by itself."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if name == "link" and given.get("rel") in ("stylesheet", "icon", "preload", "preconnect"):
            self.found.append(given.get("href") or "")
        if name in ("script", "img", "iframe") and "src" in given:
            self.found.append(given["src"] or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", CONFIG, "-d", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.pages
def test_the_site_is_built_strictly_and_fetches_nothing(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert {"index.html", "QUICKSTART.html", "API.html", "RESULTS.html"} <= {p.name for p in pages}
    for page in pages:
        if page.name == "404.html":
            continue  # its addresses are from the root
        for address in _Fetched(page.read_text(encoding="utf-8")).found:
            assert "//" not in address, (page, address)
            assert (page.parent / address.partition("?")[0]).resolve().is_file(), (page, address)


@pytest.mark.pages
def test_the_reference_has_the_docstrings(site: Path) -> None:
    text = (site / "API.html").read_text(encoding="utf-8")
    for name in ("compile", "evaluate", "validate", "report"):
        assert re.search(rf'id="zeroskip\.[\w.]+\.{name}"', text), name
    assert "says in one sentence what is wrong" in text


@pytest.mark.pages
@pytest.mark.parametrize("width", [1400, 420])
def test_the_first_page_fits_the_screen_with_its_pictures(
    browser: Any, site: Path, width: int
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto((site / "index.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    pictures = page.locator("article img")
    assert pictures.count() == 2
    for number in range(2):
        assert pictures.nth(number).evaluate("each => each.complete && each.naturalWidth") > 500
    page.close()
