"""Float Relax into integer layers, one private function each, with float ops around them."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax

from zeroskip.relay_passes.attrs import CPU_ATTR, FLOATS_ATTR, NODES_ATTR, SCALES_ATTR
from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.integer.fixed_point import ActivationType, bits_name
from zeroskip.relay_passes.integer.layers import RequantizeLayer
from zeroskip.relay_passes.integer.relax_functions import build, identifier
from zeroskip.relay_passes.quantize.calibrate import Method, calibrate, has_own_scales
from zeroskip.relay_passes.quantize.float_graph import FloatGraph, Group, Scale
from zeroskip.relay_passes.quantize.fusion_groups import read_graph
from zeroskip.relay_passes.quantize.layer_calls import Doubles, LayerCall
from zeroskip.relay_passes.quantize.scales import Range, choose_scales, integer_groups, observed
from zeroskip.relay_passes.quantize.to_integer import layers_of, weight_scale
from zeroskip.relay_passes.relax.passes import Pass, module_pass, with_unique_names
from zeroskip.relay_passes.relax.refusals import refuse_lowered
from zeroskip.relay_passes.relax.rewriting import (
    bind,
    bindings,
    function_in,
    make_const,
    nodes_of,
    outputs,
    substitute,
    used_vars,
)


@module_pass("QuantizeInt8")
class QuantizeInt8(Pass):
    """Post-training quantization to int8 (Jacob et al., CVPR 2018; Krishnamoorthi, "Quantizing
    deep convolutional networks", 2018): asymmetric activations, symmetric weights per channel. With
    ``activation_dtype`` "int16" activations are symmetric, as TFLite's beside weights of int8; what
    would take a table of 256 results then stays float, and ``method`` "auto" is "minmax".

    Takes `main` in float32 after FoldBatchNorm. Every convolution, matrix product, addition,
    pool, clip, concat and reshape that has an integer form becomes a call of a private function
    with attributes `Composite = "zeroskip.<kind>"` and `zeroskip.node`, whose body is the integer
    computation (see `integer.build`). All else stays float, between dequantize and quantize.

    The ranges of the activations are given (`calibrate`), or calibrated here from `samples`
    (input name -> float32 array, samples first). A model that brings its own scales
    (QuantizeLinear/DequantizeLinear) keeps them and needs neither: what has none, or one of 16
    bits, then stays float. `weight_scales` (variable ->
    float64 [K], see `choose_weight_scales`) are used in place of those that the weights give.

    Attributes of the resulting `main`: `zeroskip.scales` maps every integer variable to
    "scale=<step> zp=<zero point>", `zeroskip.cpu` every ONNX node that has a form but could not
    take it to the reason.

    PassError when an activation has no range, or a scale has no fixed-point form; when a model
    that brings scales of 8 bits is to have 16.
    """

    def __init__(
        self,
        ranges: Mapping[str, Range] | None = None,
        samples: Mapping[str, npt.NDArray[np.float32]] | None = None,
        method: Method = "auto",
        activation_dtype: ActivationType = "int8",
        weight_scales: Mapping[str, Doubles] | None = None,
    ) -> None:
        self.ranges = ranges
        self.samples = samples
        self.method = "minmax" if activation_dtype == "int16" and method == "auto" else method
        self.activation_dtype = activation_dtype
        self.weight_scales = weight_scales or {}

    def has_ranges(self, mod: tvm.IRModule) -> bool:
        """Whether the ranges that were given are enough for a module."""
        func = with_unique_names(mod)["main"]
        return self.ranges is None or all(
            name in self.ranges for name in observed(func, read_graph(func))
        )

    def transform_module(self, mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tvm.IRModule:
        ranges = self.ranges
        if ranges is None and self.samples is not None:
            ranges = calibrate(mod, self.samples, method=self.method)
        func = mod["main"]
        if NODES_ATTR not in (func.attrs or {}):  # neither imported nor normalised here
            refuse_lowered(func)
        graph = read_graph(func)
        if ranges is None and graph.groups and not has_own_scales(func):
            raise PassError(
                "QuantizeInt8 has neither ranges nor samples and the model brings no scales: "
                "give samples, or the ranges of calibrate()"
            )
        if self.activation_dtype == "int16" and graph.scales:
            raise PassError(
                "the model brings scales of 8 bits: leave activation_bits = 16 out, or give the float "
                "network that it was made of"
            )
        groups = integer_groups(func, graph, scaled=ranges is not None)
        scales = choose_scales(func, graph, groups, ranges, self.activation_dtype)
        steps = _layers(func, graph, groups, scales, self.weight_scales)
        built = _IntegerWriter(func, graph, steps, scales).module()
        functions = {var: fn for var, fn in mod.functions.items() if var.name_hint != "main"}
        return tvm.IRModule({**functions, **dict(built.functions)}, attrs=mod.attrs)


def choose_weight_scales(
    mod: tvm.IRModule,
    ranges: Mapping[str, Range] | None,
    activation_dtype: ActivationType = "int8",
) -> dict[str, Doubles]:
    """The scale of every output channel of every weight that QuantizeInt8 would choose with these
    ranges of activations (None: with the model's own scales), by the variable of its layer.

    Given to QuantizeInt8 for modules in which some of the weights are zero, those that are left
    become the same integers.
    """
    func = with_unique_names(mod)["main"]
    graph = read_graph(func)
    groups = integer_groups(func, graph, scaled=ranges is not None)
    scales = choose_scales(func, graph, groups, ranges, activation_dtype)
    found = {group.name: weight_scale(group, scales) for group in groups.values()}
    return {name: scale for name, scale in found.items() if scale is not None}


def _layers(
    func: relax.Function,
    graph: FloatGraph,
    groups: Mapping[str, Group],
    scales: Mapping[str, Scale],
    weight_scales: Mapping[str, Doubles],
) -> dict[str, tuple[Group, list[LayerCall]]]:
    """The layers of each group that has them, by output; the others' reasons go to the graph."""
    shapes = {name: graph.shape(name) for name in scales}
    found: dict[str, tuple[Group, list[LayerCall]]] = {}
    for name, group in groups.items():
        node = nodes_of(func).get(group.name, group.name)
        try:
            steps = layers_of(group, shapes, scales, weight_scales.get(group.name))
        except PassError as error:
            raise PassError(f"Node '{node}': {error}") from None
        if isinstance(steps, str):
            graph.reasons[node] = steps
        else:
            found[name] = (group, steps)
    return found


class _IntegerWriter:
    """Emits the function again: groups as calls of layers, the rest as it was."""

    def __init__(
        self,
        func: relax.Function,
        graph: FloatGraph,
        groups: Mapping[str, tuple[Group, list[LayerCall]]],
        scales: Mapping[str, Scale],
    ) -> None:
        self.func, self.graph, self.groups, self.scales = func, graph, groups, scales
        self.builder = relax.BlockBuilder()
        self.known = nodes_of(func)
        self.nodes: dict[str, str] = {}
        params = {str(param.name): param for param in func.params}
        self.integers = {name: p for name, p in params.items() if graph.is_integer(name)}
        self.reals = {name: p for name, p in params.items() if not graph.is_integer(name)}
        self.dequantized: dict[str, Any] = {}
        leaving = {v for out in outputs(func) for v in used_vars(out)}
        self.leaving = {str(v.name) for v in leaving}
        self.leaving_reals = {graph.source(n) for n in self.leaving if n not in graph.integer_of}
        self.leaving_integers = {
            graph.integer_of[n] for n in self.leaving & graph.integer_of.keys()
        }

    def module(self) -> tvm.IRModule:
        inside = {m for group, _ in self.groups.values() for m in group.members}
        inside |= {n for n in self.graph.types if self.graph.source(n) != n}
        for var in (*self.func.params, *(b.var for b in bindings(self.func))):
            self.builder.get_unique_name(str(var.name))
        with function_in(self.builder, "main", list(self.func.params)):
            with self.builder.dataflow():
                for binding in bindings(self.func):
                    name = str(binding.var.name)
                    if name in self.groups:
                        self._emit_group(*self.groups[name])
                    elif name not in inside:
                        self._emit_float(binding)
                results = [self._leave(out) for out in outputs(self.func)]
            is_tuple = isinstance(self.func.body.body, relax.Tuple)
            self.builder.emit_func_output(relax.Tuple(results) if is_tuple else results[0])
        module = self.builder.finalize()
        main = relax.analysis.remove_all_unused(module["main"])
        module.update_func(module.get_global_var("main"), main.with_attrs(self._attributes(main)))
        return module

    def _attributes(self, main: relax.Function) -> dict[str, Any]:
        names = [str(binding.var.name) for binding in bindings(main)]
        nodes = self.known | self.nodes
        return {
            **({str(k): v for k, v in self.func.attrs.items()} if self.func.attrs else {}),
            NODES_ATTR: {name: nodes[name] for name in names if name in nodes},
            SCALES_ATTR: {str(var.name): str(self.scales[n]) for n, var in self.integers.items()},
            CPU_ATTR: dict(self.graph.reasons),
        }

    # ------------------------------------------------------------------------ the two views

    def _real(self, name: str) -> Any:
        """The float32 tensor of this name."""
        return self.reals[name] if name in self.reals else self._dequantized(name)

    def _dequantized(self, name: str) -> Any:
        """The real values of the integer tensor of this name, dequantized at most once."""
        if name not in self.dequantized:
            value = relax.op.dequantize(
                self._integer(name),
                *_scale_constants(self.scales[name]),
                axis=-1,
                out_dtype="float32",
            )
            leaves = name in self.leaving_reals
            self.dequantized[name] = self._bind(value, f"{name}_real", name, leaves)
        return self.dequantized[name]

    def _integer(self, name: str) -> Any:
        """The integer tensor of this name, quantized at most once."""
        if name not in self.integers:
            scale = self.scales[name]
            value = relax.op.quantize(
                self.reals[name], *_scale_constants(scale), axis=-1, out_dtype=scale.dtype
            )
            leaves = name in self.leaving_integers
            self.integers[name] = self._bind(value, f"{name}_{scale.dtype}", name, leaves)
        return self.integers[name]

    def _view(self, var: relax.Var) -> Any:
        """What a float op reads for a variable of the old function."""
        name, source = str(var.name), self.graph.source(str(var.name))
        if name in self.graph.integer_of:
            return self._integer(source)
        return self._dequantized(source) if name in self.graph.real_of else self._real(source)

    # -------------------------------------------------------------------------- the bindings

    def _emit_float(self, binding: relax.VarBinding) -> None:
        name = str(binding.var.name)
        env = {var: self._view(var) for var in used_vars(binding.value)}
        value = substitute(binding.value, env)
        kept = self.integers if self.graph.is_integer(name) else self.reals
        kept[name] = bind(self.builder, value, name, output=name in self.leaving)

    def _emit_group(self, group: Group, steps: list[LayerCall]) -> None:
        node = self.known.get(group.name, group.name)
        values = [self._integer(x) for x in group.inputs]
        floats = self._floats(group, steps)
        for number, step in enumerate(steps):
            last = step is steps[-1]
            hint = group.output if last else f"{group.output}_{step.layer.kind}"
            title = identifier(node) if last else f"{identifier(node)}_{step.layer.kind}"
            own = [floats[at] for at in (*step.args, len(group.inputs) + number)]
            layer = build(step.layer, node).with_attr(FLOATS_ATTR, json.dumps(own))
            function = self.builder.add_func(layer, f"{bits_name(step.layer.y.dtype)}_{title}")
            call = tvm.ir.Call(function, [values[i] for i in step.args])
            if last:
                leaves = group.output in self.leaving_integers
                values.append(bind(self.builder, call, group.output, output=leaves))
            else:
                values.append(self._bind(call, hint, group.name, leaves=False))
        self.integers[group.output] = values[-1]

    def _floats(self, group: Group, steps: list[LayerCall]) -> list[tuple[str, float, int]]:
        """The float tensors that the group's inputs and its steps' results stand for, and their
        scales and zero points: what a comparison with the float network needs."""
        held = [(x, self.scales[x]) for x in group.inputs]
        for step in steps[:-1]:
            x, scale = held[step.args[0]]
            own = self.scales[group.output]
            rescaled = isinstance(step.layer, RequantizeLayer)
            if step.held is not None:
                held.append(step.held)
            elif group.kind == "concat" or (group.kind == "extremum" and rescaled):
                held.append((x, own))
            elif group.kind == "extremum":
                held.append(("", replace(own, zero_point=0, dtype="uint8")))
            elif group.kind == "move":
                held.append(("", scale))
            else:
                held.append((group.output, own if group.kind == "avgpool" else scale))
        held.append((group.output, self.scales[group.output]))
        return [(name, scale.scale, scale.zero_point) for name, scale in held]

    def _leave(self, out: relax.Expr) -> Any:
        """What the function returns for one of its results."""
        if not isinstance(out, relax.Var):
            return out
        value = self._view(out)
        if isinstance(value, relax.DataflowVar) or value in list(self.func.params):
            return self.builder.emit_output(value)
        return value

    def _bind(self, value: relax.Expr, hint: str, source: str, leaves: bool) -> relax.Var:
        """Bind a new value under a free name; it belongs to the ONNX node of ``source``."""
        name = str(self.builder.get_unique_name(hint))
        if source in self.known:
            self.nodes[name] = self.known[source]
        return bind(self.builder, value, name, output=leaves)


def _scale_constants(scale: Scale) -> tuple[Any, Any]:
    return (
        make_const(np.float32(scale.scale)),
        make_const(np.array(scale.zero_point, scale.dtype)),
    )
