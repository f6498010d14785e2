"""Low rank: a layer becomes two thinner ones, the basis and what is put together from it."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import tvm
from tvm import relax
from tvm.ir import Call

from zeroskip.relay_passes.attrs import NODES_ATTR
from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.names import unused_name
from zeroskip.relay_passes.pruning.base.layers import PrunableLayer, with_notes
from zeroskip.relay_passes.pruning.base.masks import LayerOptions, taken_layers
from zeroskip.relay_passes.pruning.base.options import EVERY, Count, OneOf, Ratio, option
from zeroskip.relay_passes.pruning.base.repeatable import repeatable
from zeroskip.relay_passes.pruning.schemes.factors import (
    Axes,
    Doubles,
    Floats,
    Geometry,
    Spectrum,
    axes_of,
    decompose,
)
from zeroskip.relay_passes.relax.passes import Pass, function_pass
from zeroskip.relay_passes.relax.rewriting import (
    Env,
    bindings,
    make_const,
    nodes_of,
    op_name,
    rebuild,
    substitute,
)


@dataclass(frozen=True, kw_only=True)
class LowRankOptions(LayerOptions):
    """Of ``DecomposeLowRank``."""

    scheme = "lowrank"
    doc = "layers become two thinner ones of low rank"
    paper = "Chen et al., TCAS-I 2020"
    strength = "ratio"

    energy: float = option(0.9, Ratio("share of the squared singular values to keep"))
    ratio: float | None = option(
        None,
        Ratio("ratio of multiplies to remove, whatever energy that keeps", unset="as energy says"),
    )
    form: str = option("auto", OneOf("which pair of factors", words=("auto", "channel", "spatial")))
    round_to: int = option(1, Count("ranks are a multiple of this", low=1, high=1024))

    def concerns(self, layer: PrunableLayer) -> str | None:
        """Layers of one tap are decomposed only where layers or kernel ask for them: a classifier
        of few classes, for one, loses whole classes at an energy that k x k kernels bear."""
        unasked = self.layers == EVERY and self.kernel is None and prod(layer.kernel) == 1
        return super().concerns(layer) or ("has kernels of one tap" if unasked else None)

    def refusal(self, layer: PrunableLayer) -> str | None:
        if layer.groups > 1:
            return (
                f"is a convolution of {layer.groups} groups, each of which would need factors "
                "of its own"
            )
        if not axes_of(layer.kernel, self.form):
            size = "x".join(map(str, layer.kernel)) or "1x1"
            return (
                f"has {size} kernels, which have no second direction to separate: give form=channel"
            )
        if not np.isfinite(layer.weight).all():
            return "has weights that are NaN or infinite"
        return None


@dataclass(frozen=True, eq=False)
class Pair:
    """The two weights that a layer gets: [r, C, *kernel] and [K, r, *kernel], float64.

    axes: spatial axes that the first takes, of the layer's kernel. kept: share of the energy.
    share: of the layer's multiplies.
    """

    basis: Doubles
    second: Doubles
    axes: Axes
    kept: float
    share: float

    def __str__(self) -> str:
        first, second = (
            "x".join(map(str, each.shape[2:])) or "1x1" for each in (self.basis, self.second)
        )
        return (
            f"{first} and {second} of rank {len(self.basis)}, {self.kept:.3f} of the energy "
            f"with {self.share:.3f} of the multiplies"
        )


def choose_pair(
    weight: Floats, geometry: Geometry, options: LowRankOptions, gram: Floats | None = None
) -> Pair | None:
    """The factors of a weight [K, C, *kernel] under the options; None if none save multiplies.

    By energy: of the forms' least ranks that keep it, the one with the fewest multiplies. By ratio:
    of the forms' largest ranks that leave out as many multiplies, the one that keeps most energy; a
    layer of which even rank 1 cannot leave out as many gets the form that leaves out most.
    """
    if options.ratio == 0:
        return None
    found: list[tuple[Spectrum, int, int]] = []  # with a rank and the multiplies of both factors
    for axes in axes_of(geometry.shape[2:], options.form):
        spectrum, each = decompose(weight, axes, gram), geometry.rank_macs(axes)
        rank = min(_rank(spectrum, geometry.macs / each, options), len(spectrum.energies))
        found.append((spectrum, rank, rank * each))
    if options.ratio is None:
        spectrum, rank, macs = min(found, key=lambda one: one[2])
    else:
        allowed = (1 - options.ratio) * geometry.macs
        spectrum, rank, macs = min(
            found, key=lambda one: (max(one[2], allowed), -one[0].kept(one[1]))
        )
    if macs >= geometry.macs:
        return None
    return Pair(*spectrum.factors(rank), spectrum.axes, spectrum.kept(rank), macs / geometry.macs)


def _rank(spectrum: Spectrum, dense: float, options: LowRankOptions) -> int:
    """What the options ask of one form; dense: the rank that has the layer's own multiplies."""
    step = options.round_to
    if options.ratio is None:
        return -(-spectrum.rank(options.energy) // step) * step
    return max(1, int((1 - options.ratio) * dense) // step) * step


def decompose_layers(
    func: relax.Function, options: LowRankOptions, grams: Mapping[str, Floats] | None = None
) -> relax.Function:
    """The function of ``DecomposeLowRank``."""
    layers = {layer.var: layer for layer in taken_layers(func, options)}
    wanted = (
        f"keeps {options.energy:g} of the energy"
        if options.ratio is None
        else f"leaves out {options.ratio:g} of the multiplies"
    )
    pairs: dict[str, Pair] = {}
    notes: dict[str, str] = {}
    for binding in bindings(func):
        layer = layers.get(str(binding.var.name))
        if layer is None:
            continue
        pair = choose_pair(
            layer.weight, _geometry(layer, binding), options, _gram(layer, grams or {})
        )
        notes[layer.node] = (
            f"lowrank: {pair}"
            if pair is not None
            else f"lowrank: stays whole: no rank that {wanted} saves any"
        )
        if pair is not None:
            pairs[layer.var] = pair
    return with_notes(with_pairs(func, pairs), notes)


def _geometry(layer: PrunableLayer, binding: relax.VarBinding) -> Geometry:
    inputs, outputs = (
        tuple(int(size) for size in each.ty.shape)[2:] if layer.is_conv else ()
        for each in (binding.value.args[0], binding.var)
    )
    return Geometry(layer.weight.shape, inputs, outputs)


def _gram(layer: PrunableLayer, grams: Mapping[str, Floats]) -> Floats | None:
    gram, size = grams.get(layer.node), prod(layer.weight.shape[1:])
    if gram is not None and gram.shape != (size, size):
        raise PassError(
            f"The Gram matrix of '{layer.node}' has shape {list(gram.shape)}; its "
            f"patches have {size} elements."
        )
    return gram


def with_pairs(func: relax.Function, pairs: Mapping[str, Pair]) -> relax.Function:
    """The function with some layers, by variable, in two bindings; the second keeps the name."""
    nodes = nodes_of(func)
    taken = set(nodes.values())
    made: dict[str, str] = {}

    def visit(
        builder: relax.BlockBuilder, binding: relax.VarBinding, env: Env
    ) -> relax.Expr | None:
        name = str(binding.var.name)
        if name not in pairs:
            return None
        pair, old = pairs[name], substitute(binding.value, env)
        dtype = str(old.args[1].ty.dtype)
        inside = set(pair.axes)
        basis = builder.emit(
            _part(old, old.args[0], pair.basis.astype(dtype), inside), f"{name}_basis"
        )
        made[str(basis.name)] = unused_name(f"{nodes.get(name, name)}.basis", taken)
        outside = set(range(pair.basis.ndim - 2)) - inside
        return _part(old, basis, pair.second.astype(dtype), outside)

    rebuilt = rebuild(func, visit)
    return rebuilt.with_attr(NODES_ATTR, nodes_of(rebuilt) | made)


def _part(old: Call, x: relax.Expr, weight: Floats, axes: Set[int]) -> Call:
    """A layer like the old one with another weight, in which only some axes move."""
    if op_name(old) == "relax.matmul":
        return relax.op.matmul(x, make_const(weight.T), out_dtype=old.attrs.out_dtype)
    rank = weight.ndim - 2
    moves = [axis in axes for axis in range(rank)]
    strides, dilation = (
        [int(size) if own else 1 for size, own in zip(sizes, moves, strict=True)]
        for sizes in (old.attrs.strides, old.attrs.dilation)
    )
    padding = [
        int(size) if own else 0 for size, own in zip(old.attrs.padding, moves * 2, strict=True)
    ]
    return getattr(relax.op.nn, f"conv{rank}d")(
        x,
        make_const(weight),
        strides=strides,
        padding=padding,
        dilation=dilation,
        out_dtype=old.attrs.out_dtype,
    )


@function_pass("DecomposeLowRank")
class DecomposeLowRank(Pass):
    """Layers become two of low rank: the first step of LAP (Chen et al., "Deep Neural Network
    Acceleration Based on Low-Rank Approximated Channel Pruning", IEEE TCAS-I, 2020), which removes
    what is redundant within filters and then prunes channels of the result; ``PruneChannels``
    behind this pass is the second, and the channels between the factors are free to go.

    A k x k convolution of C channels and K filters becomes one of two forms. ``channel``: k x k to
    r channels, then 1x1 (Zhang et al., "Accelerating Very Deep Convolutional Networks for
    Classification and Detection", IEEE TPAMI 38(10), 2016). ``spatial``: k x 1 and 1 x k (Jaderberg
    et al., "Speeding up Convolutional Neural Networks with Low Rank Expansions", BMVC 2014), in
    either order; of more dimensions, any split. ``auto``: of both, what has fewer multiplies at the
    energy asked for. A 1x1 convolution or a matmul becomes two of its kind, if ``layers`` or
    ``kernel`` name it; the one before all layers stays with ``skip_first`` (default).

    energy: the share of the squared singular values that every layer keeps decides its rank.
    ratio: of each layer's multiplies to leave out, decides in place of energy if given. round_to:
    ranks are a multiple of it. Layers that no such rank makes cheaper stay as they are.
    grams: node -> [C * taps, C * taps], the sum of x x^T over the patches that a layer sees; with
    it energy is that of the layer's outputs (see ``factors.decompose``).

    Of LAP this is what its abstract describes; the indicator by spectral norm that balances its two
    steps is not part of it: energy and ratio are given.
    The second factor keeps the node's name and the bias; the first is ``<node>.basis``.
    Arguments are those of ``LowRankOptions``; PassError for a value out of range, and for a layer
    that cannot be decomposed, depthwise and grouped convolutions among them.
    """

    def __init__(self, *, grams: Mapping[str, Floats] | None = None, **options: Any) -> None:
        self.options, self.grams = LowRankOptions(**options), grams

    @repeatable
    def transform_function(
        self, func: relax.Function, _mod: tvm.IRModule, _ctx: tvm.transform.PassContext
    ) -> relax.Function:
        return decompose_layers(func, self.options, self.grams)
