"""The pages as people meet them: in Chromium, on a desk's and a phone's screen, light and dark."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.runtime.experiment_rows import row, table_of
from tests.runtime.nets import SHAPE, small_net
from zeroskip.compiler.driver import compile as compile_network
from zeroskip.runtime.analysis.report import report
from zeroskip.runtime.compare import compare
from zeroskip.runtime.execution.session import Session
from zeroskip.runtime.experiments.table import Table
from zeroskip.runtime.render.experiment_files import write_experiment_page
from zeroskip.runtime.render.files import write_comparison_page, write_page

pytestmark = pytest.mark.pages

COMMAND = "zeroskip report 'net a.zsk' --html net.html"
WIDTHS = {1400: "wide", 420: "narrow"}
PAGES = ("report", "compare", "sweep")
SCHEMES = ("dense", "unstructured", "pattern:connectivity=0.5+nm:m=8")
# Distinct colours that a canvas shows, in the order in which they come up.
COLORS = """canvas => {
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const found = new Set();
  for (let n = 0; n < data.length; n += 4)
    if (data[n + 3] === 255) found.add(data.slice(n, n + 3).join());
  return [...found];
}"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With report.html, compare.html and sweep.html."""
    made = tmp_path_factory.mktemp("pages")
    network = compile_network(small_net(cpu_node=True), "sparse256")
    runs = Session(network).time()
    write_page(made / "report.html", report(network, runs), runs, network.programs, COMMAND)
    rng = np.random.default_rng(3)
    data: dict[str, npt.NDArray[Any]] = {
        "x": rng.standard_normal((16, *SHAPE[1:])).astype(np.float32),
        "labels": rng.integers(0, 10, 16),
    }
    compared = compare(
        small_net(), ["unstructured", "nm:m=8"], ["dense256", "pattern256"], data=data, seeds=2
    )
    write_comparison_page(made / "compare.html", compared, COMMAND)
    write_experiment_page(made / "sweep.html", sweep_table(), "Sweep", command=COMMAND)
    return made


def sweep_table() -> Table:
    """More memory costs area and gains nothing, so half of the points are beaten."""
    points = itertools.product(SCHEMES, (0.5, 0.75), ("sparse256", "dense256"))
    return table_of(
        [
            row("net", scheme, act, number, target=target, sparsity=sparsity)
            for number, (scheme, sparsity, target) in enumerate(points)
            for act in (65536, 131072)
        ]
    )


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=list(WIDTHS))
def width(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def opened(browser: Any, folder: Path, width: int, scheme: str) -> Iterator[Any]:
    """Opens a page by its name; at the end, none of its scripts has failed."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    problems: list[str] = []

    def open_page(name: str) -> Any:
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on(
            "console", lambda line: problems.append(line.text) if line.type == "error" else None
        )
        page.goto((folder / f"{name}.html").as_uri())
        return page

    yield open_page
    context.close()
    assert problems == []


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_wider_than_the_screen(opened: Any, name: str, width: int) -> None:
    page = opened(name)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(f"svg.{WIDTHS[width]}").first.is_visible()
    other = next(size for at, size in WIDTHS.items() if at != width)
    assert not page.locator(f"svg.{other}").first.is_visible()
    # No text leaves its box: a number that is cut is another number.
    cut = page.evaluate(
        """[...document.querySelectorAll(".tiles div, h1, .made")]
        .filter(each => each.scrollWidth > each.clientWidth + 1).map(each => each.textContent)"""
    )
    assert cut == []


@pytest.mark.parametrize("name", PAGES)
def test_every_text_is_readable_on_its_ground(opened: Any, name: str) -> None:
    """At least 4.5 to 1, as WCAG 2.2 asks of texts (criterion 1.4.3)."""
    page = opened(name)
    least = page.evaluate(
        """() => {
      const light = color => {
        const part = color.match(/[\\d.]+/g).slice(0, 3).map(n => n / 255)
          .map(n => n <= 0.04045 ? n / 12.92 : ((n + 0.055) / 1.055) ** 2.4);
        return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
      };
      const ground = each => {
        for (; each; each = each.parentElement) {
          const color = getComputedStyle(each).backgroundColor;
          if (!/, 0\\)$/.test(color) && color !== "transparent") return color;
        }
        return "rgb(255, 255, 255)";
      };
      const ratios = [...document.querySelectorAll("p, th, td, dt, dd, strong, li, label, text")]
        .filter(each => each.textContent.trim() && each.getClientRects().length)
        .map(each => {
          const style = getComputedStyle(each);
          const pair = [light(each.tagName === "text" ? style.fill : style.color),
            light(ground(each.closest("svg")?.parentElement ?? each))].sort((a, b) => b - a);
          return (pair[0] + 0.05) / (pair[1] + 0.05);
        });
      return Math.min(...ratios);
    }"""
    )
    assert least >= 4.5


@pytest.mark.parametrize("name", PAGES)
def test_the_command_that_made_it_is_there(opened: Any, name: str) -> None:
    code = opened(name).locator(".made code")
    assert code.inner_text() == COMMAND
    code.click()
    assert code.page.evaluate("getSelection().toString()") == COMMAND  # whole, for copying


def right(found: Any) -> float:
    """The right edge of what a locator finds, pixels."""
    box = found.bounding_box()
    return float(box["x"] + box["width"])


def test_layers_are_sorted_by_a_click_and_scroll_in_their_box(opened: Any) -> None:
    from playwright.sync_api import expect

    page = opened("report")
    table = page.locator("table.layers")
    column = 'rows => rows.map(row => +row.querySelector("td:nth-child(4)").dataset.v)'
    for up in (False, True):
        table.locator("thead button", has_text="cycles").click()
        cycles = table.locator("tbody tr").evaluate_all(column)
        assert cycles == sorted(cycles, reverse=not up)
        assert len(set(cycles)) > 1
    scroller = page.locator(".scroller", has=table)
    assert scroller.locator(".hint").is_visible()
    assert "more" in scroller.get_attribute("class")
    last, edge = table.locator("thead th").last, right(scroller)
    assert right(last) > edge + 1  # it does not fit
    scroller.locator(".scroll").evaluate("box => box.scrollTo(box.scrollWidth, 0)")
    expect(scroller).not_to_have_class(re.compile(r"\bmore\b"))
    assert right(last) <= edge + 1
    assert table.locator("tbody th").first.bounding_box()["x"] >= 0  # the names stay


def test_the_scale_of_the_bars_is_chosen(opened: Any) -> None:
    page = opened("report")
    bar = page.locator(".cycles .bars li .bar").first
    before = bar.bounding_box()["width"]
    page.get_by_text("relative to the bound", exact=True).click()
    assert bar.bounding_box()["width"] != pytest.approx(before)
    page.locator("label[for=scale-cycles]").click()
    assert bar.bounding_box()["width"] == pytest.approx(before)


def test_the_timeline_is_zoomed_and_moved(opened: Any) -> None:
    from playwright.sync_api import expect

    page = opened("report")
    canvas, shown = page.locator("#timeline"), page.locator(".zoom output")
    assert len(canvas.evaluate(COLORS)) > 3
    assert shown.inner_text() == ""
    page.get_by_label("zoom in").click()
    expect(shown).not_to_be_empty()
    first = shown.inner_text()
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    middle = box["y"] + 40
    page.mouse.move(box["x"] + box["width"] * 0.7, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, middle, steps=4)
    page.mouse.up()
    expect(shown).not_to_have_text(first)
    canvas.focus()
    page.keyboard.press("Home")
    expect(shown).to_be_empty()
    page.get_by_label("zoom in").click()
    page.get_by_label("show the whole run").click()
    expect(shown).to_be_empty()


@pytest.mark.parametrize("name", PAGES)
def test_a_dot_says_what_it_is(opened: Any, name: str, width: int) -> None:
    page = opened(name)
    dot = page.locator(f"svg.{WIDTHS[width]} circle").last
    dot.scroll_into_view_if_needed()
    page.wait_for_timeout(200)  # a scroll hides what is shown, and is told of afterwards
    dot.hover(force=True)
    tip = page.locator("#tip")
    assert tip.is_visible()
    assert "cycles" in tip.inner_text()
    box = tip.bounding_box()
    assert 0 <= box["x"] <= box["x"] + box["width"] <= width


def test_what_matters_first_is_seen_on_a_phone(opened: Any) -> None:
    """Of the comparison's table, without a scroll: scheme, quality and its interval, the first
    target's cycles and how many times as fast."""
    page = opened("compare")
    edge = right(page.locator(".scroller", has=page.locator(".schemes")))
    row = page.locator(".schemes tbody tr").nth(1).locator("th, td")
    seen = [cell for cell in row.all() if right(cell) <= edge]
    assert len(seen) >= 4
    heads = page.locator(".schemes thead tr").nth(1).locator("th").all_inner_texts()
    assert heads[:2] == ["cycles", "faster"]


def dragged(page: Any, axis: int, low: float, high: float) -> None:
    """Drag along an axis of parallel coordinates, from one place to another, 0 at the bottom."""
    handle = page.locator(f'.parallel .handle[data-axis="{axis}"]')
    handle.scroll_into_view_if_needed()
    box = page.locator(".parallel .pole").nth(axis).bounding_box()
    x, bottom = box["x"] + box["width"] / 2, box["y"] + box["height"]
    page.mouse.move(x, bottom - low * box["height"])
    page.mouse.down()
    page.mouse.move(x, bottom - high * box["height"], steps=4)
    page.mouse.up()


def test_a_range_of_an_axis_is_kept_and_let_go(opened: Any) -> None:
    page = opened("sweep")
    lines, off = page.locator(".parallel .course"), page.locator(".parallel .course.off")
    every = lines.count()
    assert every == len(SCHEMES) * 2 * 2 * 2
    assert off.count() == 0
    dragged(page, 0, -0.01, 0.25)  # of three schemes the lowest
    kept = {"dense", "unstructured", "pattern"} - {
        tip.split()[0].split(":")[0]
        for tip in off.evaluate_all("lines => lines.map(line => line.dataset.tip)")
    }
    assert kept == {"dense"}
    assert off.count() == every * 2 // 3
    dragged(page, 1, 0.9, 1.05)  # and of two sparsities the higher
    assert off.count() == every - every // 6
    faded = off.first.evaluate("line => +getComputedStyle(line).strokeOpacity")
    assert faded < 0.1
    dragged(page, 0, 0.5, 0.5)
    dragged(page, 1, 0.5, 0.5)  # a click takes all again
    assert off.count() == 0


def test_lines_of_the_front_stand_out_and_say_what_they_are(opened: Any, width: int) -> None:
    page = opened("sweep")
    strong, weak = (
        page.locator(f".parallel .course{which}").first for which in (".strong", ":not(.strong)")
    )
    opacity = "line => +getComputedStyle(line).strokeOpacity"
    assert strong.evaluate(opacity) > 2 * weak.evaluate(opacity)
    # Between its first two axes; others may lie on it there, which say what they are.
    page.locator(".parallel").scroll_into_view_if_needed()
    page.wait_for_timeout(200)
    x, y = strong.evaluate(
        """line => {
      const [a, b] = line.points, matrix = line.getScreenCTM();
      const middle = new DOMPoint((a.x + b.x) / 2, (a.y + b.y) / 2).matrixTransform(matrix);
      return [middle.x, middle.y];
    }"""
    )
    page.mouse.move(x, y)
    tip = page.locator("#tip")
    assert tip.is_visible()
    for words in (" on ", "sram.act_bytes", "SNR, dB: ", "cycles: "):
        assert words in tip.inner_text()
    box = tip.bounding_box()
    assert 0 <= box["x"] <= box["x"] + box["width"] <= width


def test_names_of_points_stay_while_their_figures_scroll(opened: Any, width: int) -> None:
    page = opened("sweep")
    scroller = page.locator(".scroller", has=page.locator(".schemes"))
    name = page.locator(".schemes tbody th").first
    left = name.bounding_box()["x"]
    box = scroller.locator(".scroll")
    box.evaluate("box => box.scrollTo(box.scrollWidth, 0)")
    assert name.bounding_box()["x"] == pytest.approx(left, abs=1)
    last = page.locator(".schemes tbody tr").first.locator("td").last
    assert right(last) <= right(scroller) + 1
    if WIDTHS[width] == "narrow":
        assert scroller.locator(".hint").is_visible()
        assert right(name) < 0.5 * width  # figures have room beside it


def test_texts_of_an_axis_do_not_lie_on_each_other(opened: Any, width: int) -> None:
    """Of the fronts' axes across, and of parallel coordinates."""
    page = opened("sweep")
    overlaps = page.evaluate(
        """size => {
      const groups = [...document.querySelectorAll(`svg.${size}`)]
        .map(svg => [...svg.querySelectorAll(".tick.middle")]);
      const found = [], parallel = [...document.querySelectorAll(".parallel text")];
      for (const texts of [...groups, parallel])
        texts.forEach((one, n) => texts.slice(n + 1).forEach(other => {
          const a = one.getBoundingClientRect(), b = other.getBoundingClientRect();
          if (a.left < b.right && b.left < a.right && a.top + 2 < b.bottom && b.top + 2 < a.bottom)
            found.push([one.textContent, other.textContent]);
        }));
      return found;
    }""",
        WIDTHS[width],
    )
    assert overlaps == []
