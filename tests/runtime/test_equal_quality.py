"""Schemes at equal quality and arrays at equal area: ``zeroskip compare --losing``, heat maps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from tests.runtime.command import zeroskip
from tests.runtime.nets import small_net
from zeroskip.accel_model import physics
from zeroskip.accel_model.spec import load_spec
from zeroskip.compiler.driver import import_float
from zeroskip.relay_passes.pruning.base.options import Options
from zeroskip.relay_passes.pruning.schemes.unstructured import UnstructuredOptions
from zeroskip.runtime.analysis.comparison import DENSE, HALVINGS, Comparison
from zeroskip.runtime.compare import compare
from zeroskip.runtime.equal_quality import strongest
from zeroskip.runtime.render.pages.comparison import comparison_charts, comparison_page
from zeroskip.runtime.render.pages.heatmap import FAINT, SLOW, STRONG, heat_map

TARGETS = ("dense256", "sparse256")

Array = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def made(images: Array) -> Comparison:
    return compare(
        small_net(), ["unstructured"], TARGETS, sparsities=(0.75,), data={"x": images[:4]}
    )


@pytest.mark.matrix
def test_a_loss_decides_the_sparsity(images: Array, answers: Array) -> None:
    """The strength that is found loses no more than it may; one 1/32 sparser loses more."""
    data = {"x": images, "labels": answers.argmax(1)}
    made = compare(
        small_net(), ["unstructured"], TARGETS[:1], sparsities=(), losing=(10,), data=data
    )
    dense, found = made.entries
    least = (dense.accuracy or 0) - 0.1
    assert (found.accuracy or 0) >= least - 1e-9
    assert found.title.endswith("% for 10 points")
    assert found.title in made.masks
    more = compare(
        small_net(),
        ["unstructured"],
        TARGETS[:1],
        sparsities=(found.sparsity + 2 / 2**HALVINGS,),
        data=data,
    )
    assert (more.entries[1].accuracy or 0) < least
    assert "(for n points of accuracy: the largest, to 1/64," in made.explanations()[0]


def falling(qualities: dict[float, float]) -> tuple[list[float], Callable[[Options], float]]:
    """Sparsities that were tried, and a quality that falls in steps: sparsity -> from there on."""
    tried: list[float] = []

    def quality(options: Options) -> float:
        assert isinstance(options, UnstructuredOptions)
        tried.append(options.removed)
        return next(q for at, q in sorted(qualities.items(), reverse=True) if options.removed >= at)

    return tried, quality


@pytest.mark.parametrize("edge", [0.02, 0.2, 0.5, 0.77, 0.98])
def test_the_strongest_is_found_by_halving(edge: float) -> None:
    dense, options = import_float(small_net(), {}), UnstructuredOptions()
    tried, quality = falling({0.0: 1.0, edge: 0.5})
    found = strongest(dense, options, {}, 0.9, quality)
    assert len(tried) <= HALVINGS
    if edge < 1 / 2**HALVINGS + 0.005:
        assert found is None or found.sparsity < edge
    else:
        assert found is not None
        assert edge - 1 / 2**HALVINGS - 0.005 <= found.sparsity < edge + 0.005


def test_what_always_loses_more_is_said_and_left_out(images: Array) -> None:
    made = compare(
        small_net(), ["nm:m=8"], TARGETS[:1], sparsities=(), losing=(0.001,), data={"x": images}
    )
    assert [entry.scheme for entry in made.entries] == [DENSE]
    assert made.missed == ("nm:m=8 loses more than 0.001 at every sparsity tried",)
    assert made.missed[0] in "".join(comparison_page(made).splitlines())


def test_times_as_fast_for_the_same_area(made: Comparison) -> None:
    entry, (first, second) = made.entries[1], TARGETS
    cycles = {target: entry.gains[target].cycles for target in TARGETS}
    dense = {target: made.entries[0].gains[target].cycles for target in TARGETS}
    area = {target: physics.physics(load_spec(target)).area_mm2 for target in TARGETS}
    times = made.times_as_fast(entry)
    assert times[second] == {
        "common": pytest.approx(dense[first] / cycles[second]),
        "own": pytest.approx(dense[second] / cycles[second]),
        "equal_area": pytest.approx(dense[first] / cycles[second] * area[first] / area[second]),
    }
    assert times[first]["equal_area"] == times[first]["common"]


def test_heat_maps_have_a_cell_for_each_network_and_target(made: Comparison) -> None:
    maps = [chart for chart in comparison_charts(made) if chart.name.startswith("heat-map")]
    assert [chart.name for chart in maps] == ["heat-map", "heat-map-area"]
    cells = [each for each in maps[0].picture if "cell" in each.get("class", "")]
    assert len(cells) == len(made.entries) * len(TARGETS)
    for cell, (entry, target) in zip(
        cells, ((entry, target) for entry in made.entries for target in TARGETS), strict=True
    ):
        times = made.faster(entry, target)
        assert cell.get("data-tip") == f"{entry.title} on {target}: {times:.2f}x"
        assert cell.get("class") == ("cell faster" if times >= 1 else "cell slower")
    alone = replace(made, targets=TARGETS[:1])
    assert not [each for each in comparison_charts(alone) if each.name.startswith("heat-map")]


def test_cells_are_coloured_by_the_logarithm() -> None:
    """What is slower in another colour, what is not known not at all; the best of a row is bold."""
    _, picture = heat_map(["one", "two"], ["a", "b"], [[1.0, 4.0], [0.5, float("nan")]])
    cells = [each for each in picture if each.get("class", "").startswith("cell")]
    assert [each.get("class") for each in cells] == ["cell faster", "cell faster", "cell slower"]
    shares = [float(each.get("fill-opacity", "")) for each in cells]
    assert shares == [FAINT, STRONG, SLOW]
    bold = [each.text for each in picture if "best" in each.get("class", "")]
    assert bold == ["4.00", "0.50"]


@pytest.mark.parametrize("given", ["0", "-1", "x", "", "1,nan", "inf"])
def test_what_is_no_loss_is_refused(given: str, tmp_path: Path) -> None:
    onnx.save(small_net(), tmp_path / "net.onnx")
    done = zeroskip("compare", tmp_path / "net.onnx", "--schemes", "nm", "--losing", given)
    assert done.exit_code == 2
    assert "is not of the form 0.5,1: numbers above 0" in done.output
