"""Operators along one axis and in volumes, and relay.testing's 3-D network. Needs TVM up to
0.19."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import tvm
from tvm import relay
from tvm.relay import testing

SIZES = {1: (9,), 3: (5, 6, 7)}
FIRST = {1: "NCW", 3: "NCDHW"}
LAST = {1: "NWC", 3: "NDHWC"}


def ranks() -> dict[str, Callable[[], Any]]:
    """By name, the number of spatial axes at its end."""
    cases: dict[str, Any] = {}
    for axes, sizes in SIZES.items():
        cases |= {f"{name}_{axes}d": body for name, body in _operators(axes, sizes).items()}
    volume = relay.var("x", shape=(1, 2, 3, 4, 5))
    cases["upsampling3d"] = relay.nn.upsampling3d(volume, 2, 3, 2)
    cases["upsampling3d_trilinear"] = relay.nn.upsampling3d(
        volume, 2, 2, 2, method="trilinear", coordinate_transformation_mode="align_corners"
    )
    network = testing.resnet_3d.get_workload(1, 10, 8, image_shape=(3, 4, 16, 16))[0]["main"]
    cases["resnet_3d"] = network.body.args[0]  # what its softmax reads
    return {name: partial(_module, body) for name, body in cases.items()}


def _module(body: Any) -> Any:
    return tvm.IRModule.from_expr(relay.Function(relay.analysis.free_vars(body), body))


def _operators(axes: int, sizes: tuple[int, ...]) -> dict[str, Any]:
    def of(name: str, *args: Any, **attrs: Any) -> Any:
        return getattr(relay.nn, name.replace("#", f"{axes}d"))(*args, **attrs)

    resize = getattr(relay.image, f"resize{axes}d")
    x = relay.var("x", shape=(1, 4, *sizes))
    last = relay.var("x", shape=(1, *sizes, 4))
    ones, twos, threes = ((n,) * axes for n in (1, 2, 3))
    before, behind = (0, 1, 1)[:axes], (1, 0, 1)[:axes]
    conv = {"channels": 6, "kernel_size": threes}
    return {
        "conv": of("conv#", x, relay.var("weight", shape=(6, 4, *threes)), **conv),
        "conv_pads": of(
            "conv#",
            x,
            relay.var("weight", shape=(6, 4, *threes)),
            strides=twos,
            padding=(*before, *behind),
            **conv,
        ),
        "conv_dilated_groups": of(
            "conv#",
            x,
            relay.var("weight", shape=(6, 2, *threes)),
            dilation=twos,
            padding=twos,
            groups=2,
            **conv,
        ),
        "conv_last": of(
            "conv#",
            last,
            relay.var("weight", shape=(*threes, 4, 6)),
            padding=ones,
            data_layout=LAST[axes],
            kernel_layout=f"{LAST[axes][1:-1]}IO",
            **conv,
        ),
        "conv_transpose": of(
            "conv#_transpose",
            x,
            relay.var("weight", shape=(4, 5, *threes)),
            channels=5,
            kernel_size=threes,
            strides=twos,
            padding=ones,
            output_padding=ones,
        ),
        "max_pool": of("max_pool#", x, threes, strides=twos, padding=ones),
        "max_pool_ceil": of("max_pool#", x, twos, strides=twos, ceil_mode=True),
        "max_pool_last": of("max_pool#", last, twos, strides=twos, layout=LAST[axes]),
        "avg_pool": of("avg_pool#", x, threes, strides=twos, padding=ones),
        "avg_pool_include": of(
            "avg_pool#", x, threes, strides=twos, padding=(*before, *behind), count_include_pad=True
        ),
        "avg_pool_ceil_include": of(
            "avg_pool#",
            x,
            threes,
            strides=twos,
            padding=ones,
            ceil_mode=True,
            count_include_pad=True,
        ),
        "global_avg_pool": of("global_avg_pool#", x),
        "global_max_pool": of("global_max_pool#", last, layout=LAST[axes]),
        "adaptive_avg_pool": of("adaptive_avg_pool#", x, sizes[:1] + (1,) * (axes - 1)),
        "adaptive_max_pool": of("adaptive_max_pool#", x, ones),
        "resize": resize(x, [2 * n for n in sizes]),
        "resize_nearest": resize(
            x,
            [2 * n - 1 for n in sizes],
            method="nearest_neighbor",
            coordinate_transformation_mode="asymmetric",
            rounding_method="floor",
        ),
        "resize_last": resize(last, [2 * n for n in sizes], layout=LAST[axes]),
        "batch_norm": relay.nn.batch_norm(
            x, *(relay.var(name, shape=(4,)) for name in ("gamma", "beta", "mean", "var"))
        )[0],
    }
