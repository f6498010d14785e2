"""Reports as text: on wide lines and on short ones."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console
from rich.table import Table

from tests.runtime.causes import CAUSES, SLOTS
from tests.runtime.test_report import networks, timed
from zeroskip.accel_model.spec import Storage, load_spec
from zeroskip.compiler.artifact.placement import HostCall, Placement
from zeroskip.runtime.analysis.report import LayerReport, Report, Traffic, region_report
from zeroskip.runtime.render.tables import SHOWN, report_parts, targets_table


def made() -> Report:
    """A report of one region, with a layer of a long name that begins with rich's markup."""
    region = region_report(*timed(networks()["convolutions"], "sparse256"))
    first, *rest = region.layers
    layers = (replace(first, node="[bold]stage.0.block.17.branch.3.conv.1"), *rest)
    return Report(
        network="net",
        target="sparse256",
        clock_mhz=500.0,
        macs_per_cycle=256,
        bytes_per_cycle=16,
        macs=sum(layer.macs for layer in layers),
        effectual=0,
        real_macs=0,
        cycles=region.cycles,
        milliseconds=1.0,
        bound=region.bound,
        x_bound=region.cycles / region.bound,
        network_bound=region.network_bound,
        x_network_bound=1.0,
        reachable_bound=region.reachable_bound,
        x_reachable_bound=1.0,
        utilisation=0.5,
        causes=SLOTS,
        lost=region.lost,
        traffic={"inputs": Traffic(0, 0)},
        dram_bytes=0,
        energy={},
        microjoules=0.0,
        regions=(replace(region, layers=layers),),
        cpu={"a[b]": "why"},
        host_macs={"a[b]": 1},
        host_calls=(HostCall((), 0, 2048), HostCall(("a[b]",), 5, 0)),
        placement=Placement(1, 1, 0, 1, 2, 1, 10, 1),
        batch=1,
        by_image=(),
        weights_bound=region.bound,
        headline="head",
    )


def shown(report: Report, width: int, worst: int | None = None) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    for part in report_parts(report, worst, width):
        console.print(part, highlight=False)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def row_of(lines: list[str], layer: LayerReport) -> str:
    (found,) = [line for line in lines if f"{layer.cycles:,}" in line and "%" in line]
    return found


@pytest.mark.parametrize("width", [80, 100, 170, 250])
def test_a_layer_is_a_line_with_whole_numbers(width: int) -> None:
    report = made()
    lines = shown(report, width)
    assert max(map(len, lines)) <= width
    for layer in report.layers:
        row = row_of(lines, layer)
        for text in (f"{layer.cycles:,}", f"{layer.bound:,}", f"{layer.x_bound:.2f}"):
            assert text in row.split()
        assert (f"{layer.microjoules:.1f}" in row.split()) == (width >= 170)


def test_the_end_of_a_long_name_is_shown() -> None:
    report = made()
    assert "branch.3.conv.1 " in row_of(shown(report, 100), report.layers[0])
    assert any("a[b]: why" in line for line in shown(report, 100))


def test_the_causes_that_matter_most_are_named() -> None:
    report = made()
    lines = shown(report, 170)
    for layer in report.layers:
        sizes = {cause: abs(layer.lost[cause]) for cause in CAUSES}
        cause = max(CAUSES, key=sizes.__getitem__)
        assert f"{cause} {layer.lost[cause] / layer.bound:+.0%}" in row_of(lines, layer)


def test_the_worst_come_first() -> None:
    report = made()
    ranked = sorted(report.layers, key=lambda layer: layer.bound - layer.cycles)
    lines = shown(report, 170, worst=3)
    assert [lines.index(row_of(lines, layer)) for layer in ranked[:3]] == [3, 4, 5]
    assert not any(f"{ranked[3].cycles:,} " in line for line in lines[:6])


def cells(table: object) -> dict[str, list[str]]:
    """The texts of a table by the titles of its columns."""
    assert isinstance(table, Table)
    return {str(column.header): [str(cell) for cell in column.cells] for column in table.columns}


def test_every_column_of_a_layer_has_its_number() -> None:
    report = made()
    layers = tuple(
        replace(
            layer,
            macs=5_000_000 + n,
            effectual=3_000_000,
            real_macs=2_000_000,
            utilisation=0.25 + n / 100,
            dram_bytes=1024 * (7 + n),
        )
        for n, layer in enumerate(report.layers)
    )
    report = replace(report, regions=(replace(report.regions[0], layers=layers),))
    found = cells(report_parts(report, None, 250)[0])
    for n, layer in enumerate(layers):
        row = {title: column[n] for title, column in found.items()}
        assert (row["MMACs"], row["effectual"], row["real"]) == ("5.00", "3.00", "2.00")
        assert row["MACs used"] == f"{25 + n}%"
        assert row["DRAM KiB"] == f"{7 + n}.0"
        assert row["uJ"] == f"{layer.microjoules:.1f}"
        assert row["cycles"] == f"{layer.cycles:,}"
        assert row["bound"] == f"{layer.bound:,}"


def test_what_is_saved_is_among_the_causes_that_matter() -> None:
    """The three largest, saved or lost, of a layer that needs 1,000 cycles at least."""
    report = made()
    lost = dict.fromkeys(CAUSES, 0.0) | {
        "zeros": 300.0,
        "overlap": -400.0,
        "load": 100.0,
        "drain": 90.0,
    }
    one = replace(report.layers[0], bound=1000, cycles=1090, lost=lost)
    least = replace(one, lost=dict.fromkeys(CAUSES, 0.0) | {"zeros": 4.0, "resident": -5.0})
    report = replace(report, regions=(replace(report.regions[0], layers=(one, least)),))
    lines = cells(report_parts(report, None, 250)[0])["lost, in % of the bound"]
    assert SHOWN == 3
    assert lines == ["overlap -40%, zeros +30%, load +10%", "resident -0%"]


def test_the_totals_are_the_reports() -> None:
    """Numbers that are all different, each where its words are."""
    lost = dict.fromkeys(CAUSES, 0.0) | {"zeros": 300.0, "overlap": -60.0, "store": 0.4}
    report = replace(
        made(),
        macs=9_000_000,
        effectual=6_000_000,
        real_macs=5_000_000,
        cycles=1240,
        bound=1000,
        x_bound=1.2404,
        network_bound=800,
        x_network_bound=1.5504,
        reachable_bound=900,
        x_reachable_bound=1.3778,
        utilisation=0.456,
        dram_bytes=10 * 1024,
        microjoules=1234.56,
        lost=lost,
        host_macs={"a[b]": 250},
        placement=Placement(2, 1, 0, 1, 2, 1, 1000, 250),
    )
    parts = report_parts(report, None, 250)
    lines = [part for part in parts if isinstance(part, str)]
    assert lines[lines.index("net: head") + 1 :][:5] == [
        "1.240 x the sum of the layers' bounds, 1,000 cycles",
        "1.550 x the bound of the part on the accelerator, 75 % of the multiplies in 2 regions, "
        "800 cycles, if all between its layers stayed on chip",
        "1.378 x 900 cycles, below which no schedule goes with the SRAM that there is",
        "6.00 of 9.00 million MACs have a weight that is not zero, 5.00 an input that is not "
        "padding too; these use 45.6% of the multipliers",
        "10.0 KiB over the DRAM bus, 1,234.6 uJ",
    ]
    assert lines[-5:] == [
        "1 nodes stay on the CPU:",
        "  a\\[b]: why (25 % of the multiplies)",
        "the CPU is called 2 times around 2 regions, 1 bytes cross in, 0 bytes out:",
        "  1: changes of type, 0 bytes from the accelerator, 2.0 KiB to it",
        "  2: 1 node, 5 bytes from the accelerator, 0 bytes to it",
    ]
    found = cells(parts[2])
    assert list(zip(found["cause"], found["cycles"], found["of bound"], strict=True)) == [
        ("bound", "1,000", "100.0%"),
        ("zeros", "+300", "+30.0%"),
        ("overlap", "-60", "-6.0%"),
    ]


def test_a_target_is_listed_with_its_numbers() -> None:
    spec = load_spec("sparse256")
    spec = replace(spec, sram=replace(spec.sram, act_bytes=96 << 10, wgt_bytes=64 << 10))
    found = {title: column[0] for title, column in cells(targets_table([spec])).items()}
    assert (found["target"], found["array"]) == ("sparse256", "bitmap 64x4")
    assert (found["MACs/cycle"], found["MHz"]) == ("256", "500")
    assert found["DRAM GB/s"] == "8"  # 16 bytes a cycle
    assert (found["ACT KiB"], found["WGT KiB"]) == ("96", "64")
    assert found["all KiB"] == f"{spec.sram_bytes / 1024:g}"


def test_a_target_that_stores_16_bits_says_of_what() -> None:
    spec = replace(load_spec("sparse256"), storage=Storage(16, 8))
    found = cells(targets_table([spec]))
    assert found["array"] == ["bitmap 64x4, 16 x 8 bits"]
