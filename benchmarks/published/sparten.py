"""SparTen (MICRO 2019) against its dense and its one-sided relative.

Masks are random, of published densities (``random_layers.py``). Rule: the geometric mean over the
convolutions of AlexNet, GoogLeNet and VGG-16 of a layer's time on a relative by SparTen's, on the
array alone. "One-sided" skips zero weights and multiplies every input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import exp, log

from benchmarks.published.random_layers import RandomLayer, alexnet, googlenet, timing, vgg16, whole
from benchmarks.published.row import PublishedRow, within
from zeroskip.accel_model.spec import AccelSpec, load_spec


def published(kind: str = "sparten") -> AccelSpec:
    """The description as published, as one of the kinds."""
    spec = load_spec("sparten_micro2019")
    return replace(spec, array=replace(spec.array, kind=kind))  # type: ignore[type-var]


def faster(kind: str, layers: Sequence[RandomLayer]) -> float:
    """SparTen's speed in that of a relative."""
    ratios = [
        timing(published(kind), layer).cycles / timing(published(), layer).cycles
        for layer in layers
    ]
    return exp(sum(map(log, ratios)) / len(ratios))


def rows() -> list[PublishedRow]:
    """Both figures."""
    layers = [*alexnet(), *whole(googlenet()), *vgg16()]
    return [
        PublishedRow(
            "SparTen",
            f"x {name}, geometric mean over layers",
            value,
            faster(kind, layers),
            within(value, 0.2),
        )
        for name, kind, value in (
            ("dense", "sparten_dense", 4.7),
            ("one-sided (weights)", "sparten_w", 1.8),
        )
    ]
