"""Figures and tables of the whole network: headline, causes, energy, layers, nodes on the CPU."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from zeroskip.compiler.artifact.placement import percent as whole_percent
from zeroskip.compiler.artifact.placement import size
from zeroskip.runtime.analysis.report import LayerReport, Report
from zeroskip.runtime.render.pages.bars import Bar, svg_rows
from zeroskip.runtime.render.pages.chart import Chart
from zeroskip.runtime.render.pages.elements import (
    Element,
    figure,
    kib,
    percent,
    scroller,
    short,
    tag,
)
from zeroskip.runtime.render.pages.groups import TRAFFIC_LABELS, groups_of, saved, spent

EVENT_LABELS = {
    "mac": "multiply-accumulate",
    "window_byte": "lane windows",
    "row_byte": "row registers",
    "act_row": "ACT",
    "wgt_word": "WGT",
    "acc_row": "ACC",
    "requantise": "requantize",
    "lookup": "tables of results",
    "dram_byte": "DRAM",
}


def headline(report: Report) -> Element:
    """What the figures are for, and the numbers that one asks for first."""
    line = tag("p", report.headline, class_="headline")
    return tag("div", line, _tiles(report)) if report.placement.regions else line


def _of_several(report: Report) -> str:
    """Of which images a figure of a run is, if they are several."""
    return "" if report.images == 1 else f" of {report.images} images"


def _tiles(report: Report) -> Element:
    placement = report.placement
    tiles = [
        (
            f"{short(report.cycles)}",
            "cycles",
            f"{report.milliseconds:.3f} ms at {report.clock_mhz:g} MHz",
        ),
        (
            f"{1000 * report.images / (report.milliseconds or math.inf):,.0f}",
            "inferences a second",
            "of the accelerator's time alone, one run after another",
        ),
        (
            whole_percent(placement.cpu_share),
            "of the multiplies stay on the CPU",
            f"{placement.nodes_on_cpu:,} nodes, whose time is in no figure here; "
            + placement.crossing_words(),
        ),
        (
            f"{report.x_bound:.3f}x",
            "the layers' bounds",
            f"{report.cycles - report.bound:+,} cycles",
        ),
        (
            f"{report.x_network_bound:.3f}x",
            "the network's bound" if placement.whole else "the bound of what runs there",
            "if tensors stayed on the chip",
        ),
        (
            f"{report.x_reachable_bound:.3f}x",
            "the reachable bound",
            "of any schedule with the SRAM that there is",
        ),
        (
            f"{report.utilisation:.1%}",
            "of the multipliers used",
            f"{short(report.real_macs)} of {short(report.macs)} MACs are needed",
        ),
        (
            kib(report.dram_bytes),
            "over the DRAM bus",
            f"{report.dram_bytes / report.cycles if report.cycles else 0:.1f} of "
            f"{report.bytes_per_cycle} bytes a cycle",
        ),
        (
            _joules(report.microjoules),
            "energy",
            f"of all events{_of_several(report)}, without standing power",
        ),
    ]
    if (of := report.efficiency) is not None:
        tiles += [
            (
                f"{of.milliwatts:,.1f} mW",
                "mean power",
                f"{of.edp:,.1f} uJ ms: energy x time of an image, standing power included",
            ),
            (
                f"{of.area_mm2:.2f} mm2",
                "of silicon",
                f"at {of.node}",
            ),
            (
                f"{of.dense_tops_a_watt:.3f} TOPS/W",
                "as if dense",
                f"{of.tops_a_watt:.3f} without zeros and padding, {of.peak_tops_a_watt:.3f} at most",
            ),
            (
                f"{of.dense_tops_a_mm2:.3f} TOPS/mm2",
                "as if dense",
                f"{of.tops_a_mm2:.3f} without zeros and padding, {of.peak_tops_a_mm2:.3f} at most",
            ),
        ]
    return tag(
        "dl",
        *(
            tag("div", tag("dt", name), tag("dd", tag("strong", number)), tag("dd", detail))
            for number, name, detail in tiles
        ),
        class_="tiles",
    )


def causes_figure(report: Report) -> Element:
    """Bound and losses of the whole network: a bar, and a table with every cause."""
    lost, bound = report.lost, report.bound or 1
    length = (report.cycles + saved(lost)) or 1
    parts = [
        ("paid", bound - saved(lost)),
        *((group.color, spent(lost, group)) for group in groups_of(report.causes)),
        ("saved", saved(lost)),
    ]
    bar = tag(
        "div",
        *(
            tag("i", class_=color, style=f"width:{percent(size / length)}")
            for color, size in parts
            if size > 0
        ),
        tag("b", style=f"left:{percent(bound / length)}"),
        class_="bar whole",
    )
    most = max((abs(value) for value in lost.values()), default=0) or 1
    rows = [
        _cause_row(
            "bound", "paid", f"{report.bound:,}", "100.0%", None, "the sum of the layers' bounds"
        )
    ]
    rows += [
        _cause_row(
            cause.name,
            cause.group,
            f"{lost[cause.name]:+,.0f}",
            f"{lost[cause.name] / bound:+.1%}",
            abs(lost[cause.name]) / most,
            cause.sentence,
        )
        for cause in report.causes
        if round(lost[cause.name])
    ]
    rows.append(
        _cause_row(
            "cycles",
            None,
            f"{report.cycles:,}",
            f"{report.cycles / bound:.1%}",
            None,
            "adds up exactly; the numbers above are rounded",
        )
    )
    head = tag(
        "thead",
        tag(
            "tr",
            tag("th", "cause"),
            tag("th", "cycles"),
            tag("th", "of bound"),
            tag("th", ""),
            tag("th", "what it is"),
        ),
    )
    return figure(
        "Where the cycles above the bound went",
        f"{report.cycles:,} cycles against a bound of {report.bound:,} (the line).",
        bar,
        tag("table", head, tag("tbody", *rows), class_="causes"),
    )


def causes_chart(report: Report) -> Chart:
    """The table of causes as a file: a bar for each, against the bound."""
    bound = report.bound or 1
    bars = [
        Bar(
            "bound", ["the sum of the layers' bounds"], [("paid", bound)], bound, None, f"{bound:,}"
        )
    ]
    bars += [
        Bar(
            cause.name,
            [cause.sentence],
            [(cause.group, abs(report.lost[cause.name]))],
            abs(report.lost[cause.name]),
            None,
            f"{report.lost[cause.name]:+,.0f} ({report.lost[cause.name] / bound:+.1%})",
        )
        for cause in report.causes
        if round(report.lost[cause.name])
    ]
    cycles = f"{report.cycles:,} cycles"
    title = f"{report.network} on {report.target}: where {cycles} went"
    return Chart("causes", title, [], *svg_rows(bars))


def _cause_row(
    cause: str, color: str | None, cycles: str, share: str, length: float | None, meaning: str
) -> Element:
    """A row of the table of causes; ``length``: of its bar, against the longest."""
    swatch = None if color is None else tag("i", class_=f"swatch {color}")
    bar = (
        None
        if length is None
        else tag("i", class_=f"length {color}", style=f"width:{percent(length)}")
    )
    return tag(
        "tr",
        tag("th", swatch, cause, scope="row"),
        tag("td", cycles),
        tag("td", share),
        tag("td", bar, class_="lengths"),
        tag("td", meaning, class_="text"),
    )


def moves_figure(report: Report) -> Element:
    """Bytes by kind and energy by event, of the whole network."""
    traffic = report.traffic.items()
    most = max((moved.moved for _, moved in traffic), default=0) or 1
    rows = [
        tag(
            "tr",
            tag("th", tag("i", class_=f"swatch {kind}"), TRAFFIC_LABELS[kind], scope="row"),
            tag("td", kib(moved.moved)),
            tag("td", kib(moved.compulsory)),
            tag(
                "td",
                tag("i", class_=f"length {kind}", style=f"width:{percent(moved.moved / most)}"),
                class_="lengths",
            ),
        )
        for kind, moved in traffic
    ]
    whole = report.microjoules or 1.0
    events = [event for event, energy in report.energy.items() if energy]
    most_energy = max((report.energy[event] for event in events), default=1.0)
    energies = [
        tag(
            "tr",
            tag("th", EVENT_LABELS.get(event, event), scope="row"),
            tag("td", _joules(report.energy[event])),
            tag("td", f"{report.energy[event] / whole:.1%}"),
            tag(
                "td",
                tag(
                    "i",
                    class_="length plain",
                    style="width:" + percent(report.energy[event] / most_energy),
                ),
                class_="lengths",
            ),
        )
        for event in events
    ]
    return figure(
        "Bytes and energy",
        f"{kib(report.dram_bytes)} over the bus; {_joules(report.microjoules)} of all events, as "
        "the target's parts have it.",
        _small_table(("DRAM", "moved", "compulsory"), rows),
        _small_table(("energy", "spent", "share"), energies),
        class_="moves",
    )


def parts_figure(report: Report) -> Element | None:
    """Area and energy by part; None where the target names no technology."""
    of = report.efficiency
    if of is None:
        return None
    rows = [
        tag(
            "tr",
            tag("th", part, scope="row"),
            tag("td", f"{of.area[part]:.3f}" if part in of.area else ""),
            tag("td", f"{of.area[part] / of.area_mm2:.1%}" if part in of.area else ""),
            tag("td", _joules(of.energy[part]) if part in of.energy else ""),
            tag(
                "td",
                f"{of.energy[part] / (of.microjoules or 1):.1%}" if part in of.energy else "",
            ),
        )
        for part in dict.fromkeys((*of.area, *of.energy))
    ]
    head = tag("tr", *(tag("th", name) for name in ("part", "mm2", "of area", "energy", "of it")))
    table = tag("table", tag("thead", head), tag("tbody", *rows))
    return figure(
        "Area and energy by part",
        f"{of.area_mm2:.2f} mm2 at {of.node}; {_joules(of.microjoules)} for an image with leakage "
        "and idle DRAM.",
        scroller(table),
    )


def _small_table(titles: Sequence[str], rows: Sequence[Element]) -> Element:
    head = tag("tr", *(tag("th", title) for title in (*titles, "")))
    return scroller(tag("table", tag("thead", head), tag("tbody", *rows)))


def _joules(microjoules: float) -> str:
    return f"{microjoules / 1000:,.2f} mJ" if microjoules >= 1000 else f"{microjoules:,.1f} uJ"


# ------------------------------------------------------------------------- the table of layers


class _Column(NamedTuple):
    title: str
    value: object  # of a layer, as in the JSON
    text: str


def _columns(layer: LayerReport) -> list[_Column]:
    output = "x".join(map(str, layer.shape[1:]))
    return [
        _Column("kind", layer.kind, layer.kind),
        _Column("output", output, output),
        _Column("cycles", layer.cycles, f"{layer.cycles:,}"),
        _Column("bound", layer.bound, f"{layer.bound:,}"),
        _Column("set by", layer.limit, layer.limit),
        _Column("x bound", layer.x_bound, f"{layer.x_bound:.2f}"),
        _Column("lost", layer.cycles - layer.bound, f"{layer.cycles - layer.bound:+,}"),
        _Column("MACs used", layer.utilisation, f"{layer.utilisation:.0%}"),
        _Column("DRAM KiB", layer.dram_bytes, f"{layer.dram_bytes / 1024:,.1f}"),
        _Column("uJ", layer.microjoules, f"{layer.microjoules:,.1f}"),
        _Column("effectual M", layer.effectual, f"{layer.effectual / 1e6:,.2f}"),
        _Column("real M", layer.real_macs, f"{layer.real_macs / 1e6:,.2f}"),
        _Column("MACs M", layer.macs, f"{layer.macs / 1e6:,.2f}"),
        _Column("schedule", layer.schedule, layer.schedule),
    ]


def layers_table(report: Report) -> Element:
    """Every layer; a click on a column's title sorts by it."""
    columns = _columns(report.layers[0])
    titles = [("layer", "text"), *((one.title, _alignment(one.value)) for one in columns)]
    head = tag(
        "tr",
        *(
            tag("th", tag("button", title, type="button"), scope="col", class_=side)
            for title, side in titles
        ),
    )
    return figure(
        "Layers",
        "In the order of execution; a column's title sorts by it.",
        scroller(
            tag(
                "table",
                tag("thead", head),
                tag("tbody", *map(_table_row, report.layers)),
                class_="layers",
            ),
            tall=True,
        ),
    )


def _table_row(layer: LayerReport) -> Element:
    cells = [
        tag("td", column.text, data_v=column.value, class_=_alignment(column.value))
        for column in _columns(layer)
    ]
    return tag("tr", tag("th", layer.title, scope="row", data_v=layer.title), *cells)


def _alignment(value: object) -> str | None:
    return "text" if isinstance(value, str) else None


def cpu_list(report: Report) -> Element:
    """Nodes that the accelerator does not do, and the calls that do them."""
    cpu, macs, every = report.cpu, report.host_macs, report.placement.macs
    calls = _calls_table(report)
    if not cpu:
        words = "Nothing but quantizing the inputs and dequantizing the outputs."
        return figure("On the CPU", words, calls)
    items: Sequence[Element] = [
        tag(
            "li",
            tag("b", node),
            f": {why}",
            f" ({whole_percent(macs[node] / every)} of the multiplies)" if macs.get(node) else "",
        )
        for node, why in cpu.items()
    ]
    share = whole_percent(report.placement.cpu_share)
    words = f"{len(cpu)} nodes stay there, {share} of the multiplies."
    return figure("On the CPU", words, tag("ul", *items), calls)


def _calls_table(report: Report) -> Element:
    """What each call of the CPU computes and moves."""
    titles = ("call", "nodes", "from the accelerator", "to the accelerator")
    rows = [
        tag(
            "tr",
            tag("th", f"{number}", scope="row"),
            tag("td", f"{len(call.nodes)}" if call.nodes else "changes of type"),
            tag("td", size(call.from_accelerator)),
            tag("td", size(call.to_accelerator)),
        )
        for number, call in enumerate(report.host_calls, 1)
    ]
    head = tag("thead", tag("tr", *(tag("th", title) for title in titles)))
    return scroller(tag("table", head, tag("tbody", *rows)))
