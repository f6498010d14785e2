"""Reports as text: on wide lines and on short ones."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from tests.runtime.test_report import networks, timed
from zeroskip.compiler.placement import Placement
from zeroskip.runtime.losses import CAUSES
from zeroskip.runtime.report import LayerReport, Report, Traffic, region_report
from zeroskip.runtime.tables import report_parts


def made() -> Report:
    """A report of one region, with a layer of a long name that begins with rich's markup."""
    region = region_report(*timed(networks()["convolutions"], "sparse256"))
    first, *rest = region.layers
    layers = (replace(first, node="[bold]stage.0.block.17.branch.3.conv.1"), *rest)
    return Report(
        network="net", target="sparse256", clock_mhz=500.0, macs_per_cycle=256, bytes_per_cycle=16,
        macs=sum(layer.macs for layer in layers), effectual=0, real_macs=0, cycles=region.cycles,
        milliseconds=1.0, bound=region.bound, x_bound=region.cycles / region.bound,
        network_bound=region.network_bound, x_network_bound=1.0, utilisation=0.5,
        lost=region.lost, traffic={"inputs": Traffic(0, 0)}, dram_bytes=0, energy={},
        microjoules=0.0, regions=(replace(region, layers=layers),), cpu={"a[b]": "why"},
        host_macs={"a[b]": 1}, placement=Placement(1, 1, 1, 2, 1, 10, 1), batch=1, headline="head")


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
        cause = max(CAUSES, key=lambda cause, layer=layer: abs(layer.lost[cause]))  # type: ignore[misc]  # bound now
        assert f"{cause} {layer.lost[cause] / layer.bound:+.0%}" in row_of(lines, layer)


def test_the_worst_come_first() -> None:
    report = made()
    ranked = sorted(report.layers, key=lambda layer: layer.bound - layer.cycles)
    lines = shown(report, 170, worst=3)
    assert [lines.index(row_of(lines, layer)) for layer in ranked[:3]] == [3, 4, 5]
    assert not any(f"{ranked[3].cycles:,} " in line for line in lines[:6])
