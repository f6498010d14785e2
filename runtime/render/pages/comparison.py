"""A comparison of pruning schemes as a page: Pareto fronts, the table, the masks of a layer."""

from __future__ import annotations

import math
from collections.abc import Sequence

from zeroskip.compiler.artifact.placement import percent
from zeroskip.runtime.analysis.comparison import DENSE, Comparison, Entry
from zeroskip.runtime.analysis.efficiency import RATES, RATES_SENTENCE, rates
from zeroskip.runtime.render.pages.axes import BOTTOM, LEFT, RIGHT, TOP, Axis, LogAxis, grid
from zeroskip.runtime.render.pages.chart import Chart
from zeroskip.runtime.render.pages.document import document
from zeroskip.runtime.render.pages.elements import (
    Child,
    Element,
    figure,
    legend,
    scroller,
    short,
    tag,
)
from zeroskip.runtime.render.pages.heatmap import heat_map
from zeroskip.runtime.render.pages.labels import Box, Dot, along, placed
from zeroskip.runtime.render.pages.masks import SHOWN, mask_picture
from zeroskip.runtime.render.pages.palette import series_legend, series_of

SIZES = {"wide": (720, 400), "narrow": (360, 300)}  # pixels, by the width of the screen
FEW, LOWER = 4, 0.7  # of so few networks a chart is lower
NAMED = 10  # of more networks than these only sparsities are written beside the dots
TITLE = 44  # characters of a row of a heat map, at the most
RADIUS = 6  # of a dot, pixels


def comparison_page(made: Comparison, *, command: str = "") -> str:
    """The page as HTML. command: the one that made it."""
    charts = [_front_figure(made, target) for target in made.targets]
    return document(
        f"{made.model}: pruning schemes side by side",
        [
            *(tag("p", line, class_="headline") for line in made.coverages()),
            *(tag("p", line, class_="headline") for line in made.missed),
            *(_heat_figure(*each) for each in _heat_maps(made)),
            tag("div", *charts, class_="charts"),
            _table(made),
            *_rates_figure(made),
            _masks_figure(made),
        ],
        ["tips.js", "scroll.js"],
        command=command,
    )


def comparison_charts(made: Comparison) -> list[Chart]:
    """The page's charts as files: a Pareto front of each target, heat maps of several."""
    schemes = _schemes(made)
    fronts = [
        Chart(
            f"front-{target}",
            f"{made.model} on {target}: {made.quality_name} against cycles",
            series_legend(schemes),
            _size(made, "wide"),
            _picture(made, target, schemes, "wide"),
        )
        for target in made.targets
    ]
    return fronts + [chart for *_, chart in _heat_maps(made)]


# ------------------------------------------------------------------------------------ heat maps


def _heat_maps(made: Comparison) -> list[tuple[str, str, Chart]]:
    """Title, note and chart: times as fast as the dense network on the first target, and the same
    for its area where areas are known; nothing of a single network or target."""
    first = made.targets[0]
    if len(made.targets) < 2 or len(made.entries) < 2:
        return []
    faster = [[made.faster(each, target) for target in made.targets] for each in made.entries]
    for_area = [
        [made.faster_for_its_area(each, target) for target in made.targets] for each in made.entries
    ]
    maps = [("heat-map", "Schemes x accelerators", "", faster)]
    if not any(math.isnan(each) for row in for_area for each in row):
        words = f", each array as large as {first}: times its area over the array's"
        maps.append(("heat-map-area", "The same at equal area", words, for_area))
    found = []
    for name, title, more, values in maps:
        titles = [_shortened(each) for each in made.entries]
        size, picture = heat_map(titles, made.targets, values)
        sentence = (
            f"Times as fast as the dense network on {first}{more}. The bluer the faster, grey is "
            "slower; bold: the fastest of a row."
        )
        chart = Chart(name, f"{made.model}: {title[0].lower()}{title[1:]}", (), size, picture)
        found.append((title, sentence, chart))
    return found


def _heat_figure(title: str, note: str, chart: Chart) -> Element:
    width, height = chart.size
    picture = tag(
        "svg",
        *chart.picture,
        viewBox=f"0 0 {width:g} {height:g}",
        style=f"width: {width:g}px",  # in its own size: a phone scrolls
        role="img",
        aria_label=f"{title}; the table below holds the numbers",
    )
    return figure(title, note, scroller(picture, what="a chart that scrolls"))


# ------------------------------------------------------------------------------- Pareto fronts


def _front_figure(made: Comparison, target: str) -> Element:
    note = (
        f"Quality ({made.quality_name}) against cycles; up and to the left is better. The steps are "
        "the best that there is in so many cycles."
    )
    schemes = _schemes(made)
    return figure(
        target,
        note,
        legend(series_legend(schemes)),
        *(
            tag(
                "svg",
                *_picture(made, target, schemes, name),
                viewBox="0 0 {} {}".format(*_size(made, name)),
                class_=name,
                role="img",
                aria_label=f"Quality against cycles on {target}; the table below holds the numbers",
            )
            for name in SIZES
        ),
    )


def _schemes(made: Comparison) -> dict[str, int]:
    """The number of each scheme's colour, the dense network first."""
    return series_of(entry.scheme for entry in made.entries)


def _size(made: Comparison, name: str) -> tuple[int, int]:
    """Of a chart; lower for few networks."""
    width, height = SIZES[name]
    return width, round(height * LOWER) if len(made.entries) <= FEW else height


def _picture(made: Comparison, target: str, schemes: dict[str, int], name: str) -> list[Element]:
    width, height = size = _size(made, name)
    # Nothing has a place at no cycles on a logarithmic axis; the line above says what runs.
    cycles = [max(1, entry.gains[target].cycles) for entry in made.entries]
    quality = [_shown(entry) for entry in made.entries]
    ends = [each for entry in made.entries for each in (_shown(entry), *_spread(entry))]
    x = LogAxis(min(cycles) / 1.15, max(cycles) * 1.15, LEFT, width - RIGHT)
    y = Axis.around(ends, height - BOTTOM, TOP)
    texts = [short(value) for value in x.ticks()], [f"{value:g}" for value in y.ticks()]
    front = sorted(
        (max(1, entry.gains[target].cycles), _shown(entry)) for entry in made.front(target)
    )
    corners = [(x(front[0][0]), y(front[0][1]))]
    for a, b in front[1:]:
        corners += [(x(a), corners[-1][1]), (x(a), y(b))]
    corners.append((width - RIGHT, corners[-1][1]))
    dots = [
        Dot(x(a), y(b), RADIUS, _label(entry, len(made.entries)))
        for entry, a, b in zip(made.entries, cycles, quality, strict=True)
    ]
    intervals = [
        [(dot.x, y(end)) for end in _spread(entry)]
        for entry, dot in zip(made.entries, dots, strict=True)
        if entry.repeats
    ]
    taken = [box for line in (corners, *intervals) for box in along(line)]
    return [
        *grid(x, y, size, ("cycles", _quality_axis(made)), texts),
        tag(
            "polyline",
            points=" ".join(f"{a:.1f},{b:.1f}" for a, b in corners),
            class_="front",
        ),
        *(
            tag(
                "line",
                x1=f"{low[0]:.1f}",
                x2=f"{high[0]:.1f}",
                y1=f"{low[1]:.1f}",
                y2=f"{high[1]:.1f}",
                class_="interval",
            )
            for low, high in intervals
        ),
        *(
            _dot(made, entry, target, dot, schemes)
            for entry, dot in zip(made.entries, dots, strict=True)
        ),
        *placed(dots, Box(LEFT, TOP, width - RIGHT, height - BOTTOM), taken),
    ]


def _label(entry: Entry, networks: int) -> str:
    """What is written beside a dot."""
    if networks > NAMED:
        return "" if entry.scheme == DENSE else f"{entry.sparsity:.0%}"
    return entry.title if len(entry.title) <= 24 else f"{entry.title[:16]}… {entry.sparsity:.0%}"


def _shortened(entry: Entry) -> str:
    """The title; of a long recipe its beginning."""
    if len(entry.title) <= TITLE:
        return entry.title
    end = f"… {entry.sparsity:.0%}{entry.losing_text}"
    return entry.title[: TITLE - len(end)] + end


def _shown(entry: Entry) -> float:
    return entry.snr_db if entry.accuracy is None else 100 * entry.accuracy


def _spread(entry: Entry) -> tuple[float, float]:
    """The interval of the repeats as it is drawn; the quality itself without them."""
    low, high = entry.interval or (entry.quality, entry.quality)
    scale = 1 if entry.accuracy is None else 100
    return scale * low, scale * high


def _quality_axis(made: Comparison) -> str:
    return "accuracy, %" if made.labelled else "SNR, dB"


def _dot(made: Comparison, entry: Entry, target: str, dot: Dot, schemes: dict[str, int]) -> Element:
    gain = entry.gains[target]
    tip = [
        entry.title,
        f"{made.quality_name} {entry.quality_text}, {gain.cycles:,} cycles, "
        f"{made.faster(entry, target):.2f}x",
        entry.recipe or "nothing removed",
    ]
    return tag(
        "circle",
        cx=f"{dot.x:.1f}",
        cy=f"{dot.y:.1f}",
        r=RADIUS,
        data_tip="\n".join(tip),
        class_=f"dot series-{schemes[entry.scheme]}",
    )


# ------------------------------------------------------------------------------------ the table


def _table(made: Comparison) -> Element:
    own = ("sparsity", "weights", "MMACs")  # what matters less stands last
    gains = ("cycles", "faster", "own", "KiB", "uJ", "on CPU")
    head = tag(
        "thead",
        tag(
            "tr",
            tag("th", "scheme", rowspan=2),
            tag("th", made.quality_name, rowspan=2),
            *(tag("th", target, colspan=len(gains), class_="group") for target in made.targets),
            *(tag("th", name, rowspan=2) for name in own),
        ),
        tag("tr", *(tag("th", name) for _ in made.targets for name in gains)),
    )
    fronts = {target: made.front(target) for target in made.targets}
    rows = [
        tag(
            "tr",
            tag("th", entry.scheme + entry.losing_text),
            tag("td", entry.own_text, *_interval(entry)),
            *(
                cell
                for target in made.targets
                for cell in _gain_cells(made, entry, target, entry in fronts[target])
            ),
            tag("td", f"{entry.sparsity:.1%}", class_="first"),
            tag("td", f"{entry.weights:,}"),
            tag("td", f"{entry.macs / 1e6:,.2f}"),
        )
        for entry in made.entries
    ]
    table = tag("table", head, tag("tbody", *rows), class_="schemes")
    note = " ".join(f"{each}." for each in _sentences(made))
    return figure("In numbers", note, scroller(table))


def _interval(entry: Entry) -> list[Child]:
    """The interval of the quality, behind it or below."""
    text = entry.interval_text
    return [" ", tag("span", text, class_="spread")] if text else []


def _rates_figure(made: Comparison) -> list[Element]:
    """Area, power and rates of each network on each target that has any."""
    rows = [
        tag(
            "tr",
            tag("th", entry.title, scope="row"),
            tag("td", target, class_="text"),
            *(tag("td", cell) for cell in rates(of)),
        )
        for entry in made.entries
        for target in made.targets
        if (of := entry.gains[target].efficiency) is not None
    ]
    if not rows:
        return []
    head = tag(
        "tr",
        tag("th", "scheme"),
        tag("th", "target", class_="text"),
        *(tag("th", name) for name in RATES),
    )
    table = tag("table", tag("thead", head), tag("tbody", *rows))
    note = f"{RATES_SENTENCE}."
    return [figure("Area, power and rates", note, scroller(table))]


def _sentences(made: Comparison) -> Sequence[str]:
    first, second = made.explanations()
    return first, second.partition("; *")[0] + "; in bold: on the target's Pareto front"


def _gain_cells(made: Comparison, entry: Entry, target: str, best: bool) -> list[Element]:
    gain = entry.gains[target]
    return [
        tag("td", tag("b", f"{gain.cycles:,}") if best else f"{gain.cycles:,}", class_="first"),
        tag("td", f"{made.faster(entry, target):.2f}x"),
        tag("td", f"{made.own_faster(entry, target):.2f}x"),
        tag("td", f"{gain.stored_bytes / 1024:,.1f}"),
        tag("td", f"{gain.microjoules:,.1f}"),
        tag("td", percent(gain.placement.cpu_share)),
    ]


# ------------------------------------------------------------------------------------ the masks


def _masks_figure(made: Comparison) -> Element:
    pictures = [
        tag("figure", mask_picture(mask, title), tag("figcaption", title))
        for title, mask in made.masks.items()
    ]
    note = (
        f"Which weights of '{made.layer}' are left (filled), filters from top to bottom, "
        f"channels from left to right, each kernel with its taps; the first {SHOWN} of each."
    )
    return figure("Masks of a layer", note, tag("div", *pictures, class_="masks"))
