"""Small accelerators of random sizes, of every kind whose time depends on activations."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tests.accel_model.arrays.input_tiles import Rng, resized, some
from zeroskip.accel_model.spec import AccelSpec, load_spec


def _scnn(kind: str, rng: Rng) -> AccelSpec:
    return resized(
        load_spec("scnn256"),
        kind,
        pe_rows=int(some(rng, 1, 2, 3)),
        pe_cols=int(some(rng, 1, 2, 4)),
        vector=int(some(rng, 1, 2, 4)),
        accumulators=int(some(rng, 42, 64, 300)),
        group_filters=int(some(rng, 1, 3, 8)),
        drain_width=int(some(rng, 1, 2, 5)),
        pipeline_cycles=int(rng.integers(0, 9)),
    )


def _dcnn(rng: Rng) -> AccelSpec:
    return resized(
        load_spec("dcnn256"),
        "dcnn",
        pe_rows=int(some(rng, 1, 2, 3)),
        pe_cols=int(some(rng, 1, 2, 4)),
        dot=int(some(rng, 1, 4, 16)),
        pipeline_cycles=int(rng.integers(0, 9)),
    )


def _eyeriss(rng: Rng) -> AccelSpec:
    return resized(
        load_spec("eyeriss256"),
        "eyeriss_v2",
        pe_rows=int(some(rng, 1, 2, 4)),
        pe_cols=int(some(rng, 1, 3, 4)),
        filters=int(some(rng, 1, 2, 4)),
        outputs=int(some(rng, 1, 3, 8)),
        drain_width=int(some(rng, 1, 5, 16)),
        pipeline_cycles=int(rng.integers(0, 9)),
    )


def _sparten(kind: str, rng: Rng) -> AccelSpec:
    return resized(
        load_spec("sparten256"),
        kind,
        clusters=int(some(rng, 1, 2, 5)),
        units=int(some(rng, 1, 3, 8)),
        chunk=int(some(rng, 16, 32, 128)),
        drain_width=int(some(rng, 1, 2, 7)),
        pipeline_cycles=int(rng.integers(0, 9)),
    )


def _zhu(rng: Rng) -> AccelSpec:
    return resized(
        load_spec("zhu256"),
        "zhu",
        pes=int(some(rng, 1, 3, 8)),
        vector=int(some(rng, 1, 3, 8)),
        fetch_rows=int(some(rng, 1, 2, 5)),
        drain_width=int(some(rng, 1, 2, 7)),
        pipeline_cycles=int(rng.integers(0, 9)),
    )


def _abm(rng: Rng) -> AccelSpec:
    share = int(some(rng, 1, 2, 4))
    return resized(
        load_spec("abm256"),
        "abm",
        lanes=int(some(rng, 1, 3, 8)),
        vector=share * int(some(rng, 1, 2, 3)),
        share=share,
        window_ports=int(some(rng, 1, 2, 4)),
        fetch_rows=int(some(rng, 1, 2, 5)),
        drain_width=int(some(rng, 1, 2, 7)),
        pipeline_cycles=int(rng.integers(0, 9)),
    )


RANDOM: dict[str, Callable[[Rng], AccelSpec]] = {
    **{kind: partial(_scnn, kind) for kind in ("scnn", "sparse_w", "sparse_a")},
    "dcnn": _dcnn,
    "eyeriss_v2": _eyeriss,
    "zhu": _zhu,
    "abm": _abm,
    **{
        kind: partial(_sparten, kind)
        for kind in ("sparten", "sparten_w", "sparten_a", "sparten_dense")
    },
}
