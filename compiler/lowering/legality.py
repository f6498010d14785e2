"""What the accelerator takes: predicates whose docstrings are ``docs/SUPPORTED.md``.

Each predicate looks at one integer layer and the target, and returns None, or why the layer stays
on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import TypeAlias

import numpy as np

from zeroskip.accel_model.isa.instructions import MOST_SIDE
from zeroskip.accel_model.program.program import VALUE_TYPES
from zeroskip.accel_model.spec import AccelSpec
from zeroskip.compiler.ir.views import planar
from zeroskip.relay_passes.integer import layers
from zeroskip.relay_passes.integer.fixed_point import SUMS

Predicate: TypeAlias = Callable[[layers.Layer], str | None]
OfTarget: TypeAlias = Callable[[layers.Layer, AccelSpec], str | None]

MAX_KERNEL = 511
MAX_STEP = 127
MAX_COLUMNS = (1 << 20) - 1  # 16 bytes each are a row's stride in DRAM
MAX_PIXELS = (1 << 26) - 1  # and a channel block's
MAX_CHANNELS = (1 << 20) - 1
MAX_RANK = 5
ONE_BATCH = "the accelerator treats the images of a batch alike"


def one_batch(layer: layers.Layer) -> str | None:
    """Every tensor has two dimensions or more, and the first is of the same N images for all
    tensors of a layer; windows that lie in frames take one image."""
    tensors = (*layer.inputs, layer.y)
    for tensor in tensors:
        if len(tensor.shape) < 2:
            return f"shape {tensor.shape}: the accelerator takes two dimensions or more"
        if tensor.shape[0] != layer.y.shape[0]:
            return f"shapes {tensor.shape} and {layer.y.shape}: {ONE_BATCH}"
    in_frames = isinstance(layer, layers.ConvLayer | layers.MaxPoolLayer | layers.AvgPoolLayer)
    if in_frames and layer.y.shape[0] > 1 and len(layer.y.shape) == MAX_RANK:
        return f"shape {layer.y.shape}: the accelerator takes volumes one at a time"
    return None


def up_to_three_spatial_dimensions(layer: layers.Layer) -> str | None:
    """Tensors are [N, C], [N, C, W], [N, C, H, W] or [N, C, D, H, W]."""
    for tensor in (*layer.inputs, layer.y):
        if len(tensor.shape) > MAX_RANK:
            return f"{len(tensor.shape) - 2} spatial dimensions: the accelerator takes up to 3"
    return None


def size_in_range(layer: layers.Layer) -> str | None:
    """At most 1048575 columns, 1048575 channels and 67108863 pixels of all images and frames
    together."""
    for tensor in (*layer.inputs, layer.y):
        if len(tensor.shape) < 2 or len(tensor.shape) > MAX_RANK:
            continue
        channels, spatial = planar(tensor.shape)
        pixels = spatial[0] * spatial[1]
        if spatial[1] > MAX_COLUMNS or pixels > MAX_PIXELS or channels > MAX_CHANNELS:
            return (
                f"shape {tensor.shape}: the accelerator takes up to {MAX_COLUMNS} columns, "
                f"{MAX_CHANNELS} channels and {MAX_PIXELS} pixels"
            )
    return None


def frames_in_range(layer: layers.Layer) -> str | None:
    """3-D convolutions: kernel frames x channels up to 1048575. 3-D pools and depthwise
    convolutions: kernel frames x kernel rows up to 511, kernel frames x row stride up to 127."""
    if not isinstance(layer, layers.ConvLayer | layers.MaxPoolLayer | layers.AvgPoolLayer) or (
        len(layer.x.shape) != MAX_RANK
    ):
        return None
    channels, alone = layer.x.shape[1], True
    if isinstance(layer, layers.ConvLayer):
        kernel = layer.weight.shape[2:]
        alone = 1 < layer.groups == channels == len(layer.weight)
        if kernel[0] * channels > MAX_CHANNELS:
            return (
                f"{channels} channels x {kernel[0]} kernel frames: the accelerator sums up to "
                f"{MAX_CHANNELS}"
            )
    else:
        kernel = layer.kernel
    if alone and kernel[0] * kernel[1] > MAX_KERNEL:
        return f"kernel {tuple(kernel)}: the accelerator takes up to {MAX_KERNEL} rows of frames"
    if alone and kernel[0] * layer.strides[1] > MAX_STEP:
        return (
            f"kernel {tuple(kernel)} with strides {layer.strides}: the accelerator steps over up "
            f"to {MAX_STEP} rows of frames"
        )
    return None


def bits_of_activations(layer: layers.Layer, spec: AccelSpec) -> str | None:
    """Activations are int8 or uint8, or, all of a layer, int16, where the target stores 16 bits
    ([storage] activation_bits)."""
    found = [tensor.dtype for tensor in (*layer.inputs, layer.y)]
    bits, stored = 16 if "int16" in found else 8, spec.storage.activation_bits
    for dtype in found:
        if dtype not in VALUE_TYPES[bits]:
            taken = " and ".join(VALUE_TYPES[bits])
            return f"{dtype} activations: the accelerator takes {taken} in such a layer"
    if bits > stored:
        return f"{bits}-bit activations: target '{spec.name}' stores {stored} bits"
    return None


def kernel_in_range(layer: layers.Layer) -> str | None:
    """Kernels up to 511 (a global pool included), strides and dilations up to 127; a window reaches
    over up to 16383 rows and columns of an image, dilations counted."""
    kernel = getattr(layer, "kernel", ())
    if isinstance(layer, layers.ConvLayer):
        kernel = layer.weight.shape[2:]
    if max(kernel, default=1) > MAX_KERNEL:
        return f"kernel {tuple(kernel)}: the accelerator takes up to {MAX_KERNEL}"
    steps = getattr(layer, "dilation", (1,) * len(kernel))
    for taps, step, size in zip(kernel, steps, layer.inputs[0].shape[2:], strict=False):
        if min((taps - 1) * step + 1, size) > MOST_SIDE:
            return (
                f"kernel {tuple(kernel)} with dilation {tuple(steps)}: the accelerator looks at up to "
                f"{MOST_SIDE} rows and columns at once"
            )
    for name in ("strides", "dilation"):
        values = getattr(layer, name, ())
        if max(values, default=1) > MAX_STEP:
            return f"{name} {tuple(values)}: the accelerator takes up to {MAX_STEP}"
    return None


def concatenates_channels(layer: layers.Layer) -> str | None:
    """Concatenation is along the channels."""
    if isinstance(layer, layers.ConcatLayer) and layer.axis not in (1, 1 - len(layer.y.shape)):
        return f"axis {layer.axis}: the accelerator concatenates channels"
    return None


def moves_within_images(layer: layers.Layer) -> str | None:
    """Gathers (slices, splits, shuffles, resizes to the nearest, pads by edge values) and depth to
    space are of images, not of volumes."""
    if isinstance(layer, layers.GatherLayer | layers.DepthToSpaceLayer) and (
        len(layer.x.shape) == MAX_RANK
    ):
        return f"shape {layer.x.shape}: the accelerator moves pixels of images, not of volumes"
    return None


def windows_hold_pixels(layer: layers.Layer) -> str | None:
    """Every window of a maximum has a pixel, not padding alone."""
    if isinstance(layer, layers.MaxPoolLayer):
        for axis, size in enumerate(layer.x.shape[2:]):
            starts = np.arange(layer.y.shape[2 + axis]) * layer.strides[axis] - layer.padding[axis]
            taps = starts[:, None] + np.arange(layer.kernel[axis]) * layer.dilation[axis]
            if not ((taps >= 0) & (taps < size)).any(axis=1).all():
                return "a window of padding alone: the accelerator takes the maximum of pixels"
    return None


def exact_accumulator(layer: layers.Layer, spec: AccelSpec) -> str | None:
    """Any sum of a filter's products fits in the accumulator: 32 bits, or, of int16, those that the
    target has for a sum ([storage] sum_bits)."""
    if isinstance(layer, layers.ConvLayer | layers.DenseLayer):
        form = SUMS[layer.x.dtype]
        bits = min(form.bits, spec.storage.sum_bits)
        reach = [int(abs(each.astype("int64")).sum()) for each in layer.weight]
        worst = max(
            each * form.reach + abs(int(bias)) for each, bias in zip(reach, layer.bias, strict=True)
        )
        if worst >= 1 << (bits - 1):
            return f"a sum may reach {worst}: the accumulator has {bits} bits"
    return None


PREDICATES: tuple[Predicate, ...] = (
    one_batch,
    up_to_three_spatial_dimensions,
    size_in_range,
    kernel_in_range,
    frames_in_range,
    concatenates_channels,
    moves_within_images,
    windows_hold_pixels,
)
OF_TARGET: tuple[OfTarget, ...] = (bits_of_activations, exact_accumulator)


def supports(spec: AccelSpec) -> Predicate:
    """A predicate for PartitionForAccelerator: the first reason that holds, or None."""

    def check(layer: layers.Layer) -> str | None:
        reasons = chain(
            (predicate(layer) for predicate in PREDICATES),
            (predicate(layer, spec) for predicate in OF_TARGET),
        )
        return next((reason for reason in reasons if reason is not None), None)

    return check


def manual() -> str:
    """``docs/SUPPORTED.md``."""
    kinds = ", ".join(sorted(cls.kind for cls in layers.KINDS))
    lines = [
        "# What runs on the accelerator",
        "",
        "Generated from the predicates in `compiler/lowering/legality.py`. Layers of the "
        f"kinds {kinds} run on every target if each of these holds; everything else runs on "
        "TVM's CPU in the same module, and `zeroskip report` says which node, and why.",
        "",
    ]
    every = (*PREDICATES, *OF_TARGET)
    lines += [f"- {' '.join((predicate.__doc__ or '').split())}" for predicate in every]
    lines += [
        "",
        "A multiply takes a factor for each element, for each channel (squeeze and excite), for each "
        "pixel or one, and an addition or a difference likewise; so does the larger or smaller of two "
        "tensors (Max, Min), which is exact in two additions: what the one has more than the other, "
        "clipped at 0, and the other (of int16 they stay on the CPU: what they differ by needs 17 "
        "bits). Quotients of two tensors (Div) stay on the CPU: no part of the array divides, and "
        "the reciprocal of an int8 has its steps where quotients are small.",
        "",
        "A lookup is any function of one tensor, element by element: all that elementwise operators "
        "with constants of one number make of it (Sigmoid, SiLU, HardSwish, HardSigmoid, Tanh, Elu, "
        "LeakyRelu, Gelu, Mish, Exp, Abs, Sqrt, ...), as one table of 256 values, which joins the "
        "layer before it where nothing else reads that; of 16-bit activations there are no tables, "
        "and it stays on the CPU. PRelu with a slope for each channel is two limits, a depthwise "
        "convolution and an addition. What only the CPU reads behind it, as at the end of a network, "
        "stays float.",
    ]
    lines += [
        "",
        "A layer normalisation over the channels (LayerNormalization, or written out as exporters do) "
        "is eight layers: a convolution for the mean, a difference, two tables and a concatenation "
        "for squares of 15 bits, a convolution for the variance, a table of the inverse deviation "
        "and a product. Scale and offset go into the convolutions behind, or are one. Over other "
        "axes, and of int16, it stays on the CPU. So do attention's products of two activations and "
        "Softmax; a product of [N, T, C] or [N, H, W, C] by a constant matrix is a convolution of one "
        "pixel.",
    ]
    lines += [
        "",
        "A convolution of which no tile fits with all taps of its kernel goes in parts of the kernel. "
        "A layer also stays on the CPU where no tile of it fits in the target's SRAM (a global "
        "average of a map larger than ACT, say), or no step of it in the lanes' windows; "
        "`compile` finds that out when it schedules.",
    ]
    return "\n".join(lines) + "\n"
