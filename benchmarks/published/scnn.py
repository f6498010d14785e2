"""SCNN (ISCA 2017) against its dense relative DCNN, and against itself skipping one operand.

Masks are random, of published densities (``random_layers.py``). Times are of convolutions on the
array alone, a layer at a time, as the paper's simulator has them.

Rules: "Kc 8" is the description as published. "Kc by accumulators" lets a group have as many
filters, up to 256, as there are accumulators for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from benchmarks.published.random_layers import (
    RandomLayer,
    alexnet,
    cycles,
    googlenet,
    timing,
    vgg16,
    whole,
)
from benchmarks.published.row import Accepted, PublishedRow, below, near, within
from zeroskip.accel_model.arrays.dcnn import DcnnGeometry
from zeroskip.accel_model.spec import AccelSpec, load_spec

LATE = ("5a", "5b")
FREE: dict[str, int] = {"group_filters": 256, "weight_banks": 256}  # Kc by accumulators


def published(kind: str = "scnn", **sizes: int) -> AccelSpec:
    """The description as published, as one of the kinds, with other sizes."""
    spec = load_spec("scnn_isca2017")
    return replace(spec, array=replace(spec.array, kind=kind, **sizes))  # type: ignore[type-var]


def dcnn() -> AccelSpec:
    """As many multipliers in as many PEs."""
    return replace(load_spec("scnn_isca2017"), array=DcnnGeometry("dcnn", 8, 8, 16, 16, 16, 8))


def equal_densities(density: float, spec: AccelSpec) -> float:
    """Times DCNN's speed on GoogLeNet with one density of all weights and inputs."""
    layers = whole(googlenet((density, density)))
    return cycles(dcnn(), layers) / cycles(spec, layers)


def break_even(spec: AccelSpec) -> float:
    """The density of weights and inputs at which SCNN is as fast as DCNN, between two of a grid."""
    grid = (0.7, 0.75, 0.8, 0.85, 0.9, 1.0)
    speeds = [equal_densities(density, spec) for density in grid]
    for low, high, fast, slow in zip(grid, grid[1:], speeds, speeds[1:], strict=False):
        if fast >= 1 >= slow:
            return low + (high - low) * (fast - 1) / (fast - slow)
    return grid[0] if speeds[0] < 1 else grid[-1]


def used(layers: Iterable[RandomLayer]) -> float:
    """Share of SCNN's multipliers that multiply two values that are not zero."""
    taken = [timing(published(), layer) for layer in layers]
    total = sum(each.cycles for each in taken) * published().array.macs
    return sum(each.slots["multiply"] for each in taken) / total


def rows() -> list[PublishedRow]:
    """Every figure of the paper that a model of its array can give."""
    networks = {"AlexNet": alexnet(), "GoogLeNet": whole(googlenet()), "VGG-16": vgg16()}
    speeds = {
        name: cycles(dcnn(), layers) / cycles(published(), layers)
        for name, layers in networks.items()
    }
    figures = {"AlexNet": 2.37, "GoogLeNet": 2.19, "VGG-16": 3.52}
    found = [
        PublishedRow("SCNN", f"x DCNN, {name}, Kc 8", value, speeds[name], within(value, 0.15))
        for name, value in figures.items()
    ]
    mean = sum(speeds.values()) / len(speeds)
    found.append(
        PublishedRow("SCNN", "x DCNN, mean of the three, Kc 8", 2.7, mean, within(2.7, 0.1))
    )
    free = published("scnn", **FREE)
    at = googlenet((0.4, 0.4))
    scnn = cycles(free, whole(at))
    equal: list[tuple[str, float, float, Accepted]] = [
        (
            "x DCNN, GoogLeNet all dense, Kc by accumulators",
            0.79,
            equal_densities(1.0, free),
            within(0.79, 0.1),
        ),
        (
            "density of break-even, GoogLeNet, Kc by accumulators",
            0.85,
            break_even(free),
            near(0.85, 0.1),
        ),
        (
            "x DCNN, GoogLeNet at .1/.1, Kc by accumulators",
            24,
            equal_densities(0.1, free),
            within(24, 0.1),
        ),
        (
            "SparseW's time, GoogLeNet at .4/.4, Kc by accumulators",
            1.7,
            cycles(published("sparse_w", **FREE), whole(at)) / scnn,
            within(1.7, 0.15),
        ),
        (
            "SparseA's time, GoogLeNet at .4/.4, Kc by accumulators",
            2.6,
            cycles(published("sparse_a", **FREE), whole(at)) / scnn,
            within(2.6, 0.15),
        ),
    ]
    found += [PublishedRow("SCNN", *each) for each in equal]
    modules = googlenet()
    found += [
        PublishedRow(
            "SCNN",
            f"multipliers used, GoogLeNet {name}, Kc 8",
            None,
            used(modules[name]),
            below(0.2),
        )
        for name in LATE
    ]
    return found
