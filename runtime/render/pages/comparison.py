"""A comparison of pruning schemes as a page: Pareto fronts, the table, the masks of a layer."""

from __future__ import annotations

from collections.abc import Sequence

from zeroskip.compiler.artifact.placement import percent
from zeroskip.runtime.analysis.comparison import DENSE, Comparison, Entry
from zeroskip.runtime.analysis.efficiency import RATES, RATES_SENTENCE, rates
from zeroskip.runtime.render.pages.axes import BOTTOM, LEFT, RIGHT, TOP, Axis, LogAxis, grid
from zeroskip.runtime.render.pages.document import document
from zeroskip.runtime.render.pages.elements import Element, figure, legend, short, tag
from zeroskip.runtime.render.pages.masks import SHOWN, mask_picture

SIZES = {"wide": (720, 400), "narrow": (360, 300)}  # pixels, by the width of the screen
COLORS = 8  # of schemes: classes series-0 ... of the style sheet
SPREAD = 0.02  # of the quality's range is left free above and below


def comparison_page(made: Comparison) -> str:
    """The page as HTML."""
    charts = [_front_figure(made, target) for target in made.targets]
    return document(
        f"{made.model}: pruning schemes side by side",
        [
            *(tag("p", line, class_="headline") for line in made.coverages()),
            tag("div", *charts, class_="charts"),
            _table(made),
            *_rates_figure(made),
            _masks_figure(made),
        ],
        ["tips.js"],
    )


# ------------------------------------------------------------------------------- Pareto fronts


def _front_figure(made: Comparison, target: str) -> Element:
    note = (
        f"Quality ({made.quality_name}) against cycles; up and to the left is better. On the "
        "line lies what no other network beats."
    )
    schemes = _schemes(made)
    return figure(
        target,
        note,
        legend((f"series-{number}", name) for name, number in schemes.items()),
        *(_chart(made, target, schemes, name, size) for name, size in SIZES.items()),
    )


def _schemes(made: Comparison) -> dict[str, int]:
    """The number of each scheme's colour, the dense network first."""
    names = dict.fromkeys(entry.scheme for entry in made.entries)
    return {name: number % COLORS for number, name in enumerate(names)}


def _chart(
    made: Comparison, target: str, schemes: dict[str, int], name: str, size: tuple[int, int]
) -> Element:
    width, height = size
    # Nothing has a place at no cycles on a logarithmic axis; the line above says what runs.
    cycles = [max(1, entry.gains[target].cycles) for entry in made.entries]
    quality = [_shown(entry) for entry in made.entries]
    room = max(max(quality) - min(quality), 1e-3) * (SPREAD + 0.04)
    x = LogAxis(min(cycles) / 1.15, max(cycles) * 1.15, LEFT, width - RIGHT)
    y = Axis(min(quality) - room, max(quality) + room, height - BOTTOM, TOP)
    texts = [short(value) for value in x.ticks()], [f"{value:g}" for value in y.ticks()]
    front = sorted(
        (max(1, entry.gains[target].cycles), _shown(entry)) for entry in made.front(target)
    )
    line = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in front)
    return tag(
        "svg",
        *grid(x, y, size, ("cycles", _quality_axis(made)), texts),
        tag("polyline", points=line, class_="front"),
        *(part for entry in made.entries for part in _dot(made, entry, target, x, y, schemes)),
        viewBox=f"0 0 {width} {height}",
        class_=name,
        role="img",
        aria_label=f"Quality against cycles on {target}; the table below holds the numbers",
    )


def _shown(entry: Entry) -> float:
    return entry.snr_db if entry.accuracy is None else 100 * entry.accuracy


def _quality_axis(made: Comparison) -> str:
    return "accuracy, %" if made.labelled else "SNR, dB"


def _dot(
    made: Comparison, entry: Entry, target: str, x: Axis, y: Axis, schemes: dict[str, int]
) -> list[Element]:
    gain = entry.gains[target]
    at, up = x(max(1, gain.cycles)), y(_shown(entry))
    tip = [
        entry.title,
        f"{made.quality_name} {entry.quality_text}, {gain.cycles:,} cycles, "
        f"{made.faster(entry, target):.2f}x",
        entry.recipe or "nothing removed",
    ]
    label = "" if entry.scheme == DENSE else f"{entry.sparsity:.0%}"
    return [
        tag(
            "circle",
            cx=f"{at:.1f}",
            cy=f"{up:.1f}",
            r=6,
            data_tip="\n".join(tip),
            class_=f"series-{schemes[entry.scheme]}",
        ),
        tag("text", label, x=f"{at + 9:.1f}", y=f"{up:.1f}", dy="0.35em", class_="tick"),
    ]


# ------------------------------------------------------------------------------------ the table


def _table(made: Comparison) -> Element:
    own = ("sparsity", "weights", "MMACs", made.quality_name)
    gains = ("cycles", "faster", "on CPU", "KiB", "uJ")
    head = tag(
        "thead",
        tag(
            "tr",
            tag("th", "scheme", rowspan=2),
            *(tag("th", name, rowspan=2) for name in own),
            *(tag("th", target, colspan=len(gains), class_="group") for target in made.targets),
        ),
        tag("tr", *(tag("th", name) for _ in made.targets for name in gains)),
    )
    fronts = {target: made.front(target) for target in made.targets}
    rows = [
        tag(
            "tr",
            tag("th", entry.scheme),
            tag("td", f"{entry.sparsity:.1%}"),
            tag("td", f"{entry.weights:,}"),
            tag("td", f"{entry.macs / 1e6:,.2f}"),
            tag("td", entry.quality_text),
            *(
                cell
                for target in made.targets
                for cell in _gain_cells(made, entry, target, entry in fronts[target])
            ),
        )
        for entry in made.entries
    ]
    table = tag("table", head, tag("tbody", *rows), class_="schemes")
    note = " ".join(f"{each}." for each in _sentences(made))
    return figure("In numbers", note, tag("div", table, class_="scroll"))


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
    head = tag("tr", *(tag("th", name) for name in ("scheme", "target", *RATES)))
    table = tag("table", tag("thead", head), tag("tbody", *rows))
    note = f"{RATES_SENTENCE}."
    return [figure("Area, power and rates", note, tag("div", table, class_="scroll"))]


def _sentences(made: Comparison) -> Sequence[str]:
    first, second = made.explanations()
    return first, second.partition("; *")[0] + "; in bold: on the target's Pareto front"


def _gain_cells(made: Comparison, entry: Entry, target: str, best: bool) -> list[Element]:
    gain = entry.gains[target]
    return [
        tag("td", tag("b", f"{gain.cycles:,}") if best else f"{gain.cycles:,}", class_="first"),
        tag("td", f"{made.faster(entry, target):.2f}x"),
        tag("td", percent(gain.placement.cpu_share)),
        tag("td", f"{gain.stored_bytes / 1024:,.1f}"),
        tag("td", f"{gain.microjoules:,.1f}"),
    ]


# ------------------------------------------------------------------------------------ the masks


def _masks_figure(made: Comparison) -> Element:
    pictures = [
        tag("figure", mask_picture(mask, title), tag("figcaption", title))
        for title, mask in made.masks.items()
    ]
    note = (
        f"Which weights of '{made.layer}' are left (blue), filters from top to bottom, "
        f"channels from left to right, each kernel with its taps; the first {SHOWN} of each."
    )
    return figure("Masks of a layer", note, tag("div", *pictures, class_="masks"))
