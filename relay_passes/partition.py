"""Integer layers into accelerator regions; what a region does not take goes back into main."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import tvm
from tvm import relax
from tvm.ir import Call, GlobalVar

from zeroskip.relay_passes.attrs import (
    CODEGEN,
    CODEGEN_ATTR,
    CPU_ATTR,
    FLOATS_ATTR,
    HELD_ATTR,
    LAYERS_ATTR,
    NODE_ATTR,
    OPERATORS_ATTR,
    is_region,
)
from zeroskip.relay_passes.integer.fixed_point import bits_name
from zeroskip.relay_passes.integer.layers import MOVES
from zeroskip.relay_passes.integer.relax_functions import (
    Layer,
    identifier,
    is_integer_layer,
    kind_of,
    read_layer,
    write_layer,
)
from zeroskip.relay_passes.relax.passes import Pass, module_pass
from zeroskip.relay_passes.relax.rewriting import (
    Env,
    bindings,
    function_in,
    node_of,
    op_name,
    outputs,
    rebuild,
    substitute,
)

BORDER = "it converts the type at the network's border, where the model's is not float32"
_CONVERSIONS = ("relax.quantize", "relax.dequantize")
_MOVES = tuple(cls.kind for cls in MOVES)
_MOVES_ONLY = "it only moves data, and no layer beside it is on the accelerator"

Supports = Callable[[Layer], str | None]
Inline = Callable[[relax.BlockBuilder, Sequence[Any]], Any]


@module_pass("PartitionForAccelerator")
class PartitionForAccelerator(Pass):
    """Joins the integer layers that the accelerator takes into regions.

    ``supports(layer)`` returns None when the accelerator takes the layer, else the reason why not,
    a phrase; ``kept`` maps ONNX nodes that it does not take, whatever their layers are, to the
    reason. Layers not taken become ordinary integer ops of `main` again. The others are joined
    by `MergeCompositeFunctions` into regions, as large as they get without a cycle: functions
    `region_00`, `region_01`... with `Codegen = "zeroskip"`, in which every layer is a local
    function that keeps its attributes (`integer.read_layer` reads it). A region of nothing but
    moves (reshapes, concats, gathers, depth to space) goes back into `main` too.

    Attribute `zeroskip.cpu` of `main` maps every ONNX node that stays on the CPU to the reason.
    """

    def __init__(self, supports: Supports, kept: Mapping[str, str] | None = None) -> None:
        self.supports, self.kept = supports, kept or {}

    def transform_module(self, mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tvm.IRModule:
        main = mod["main"]
        reasons = dict(_float_reasons(main))
        inlined: dict[str, Inline] = {}
        others: dict[GlobalVar, Any] = {}
        for var, func in mod.functions.items():
            if is_integer_layer(func):
                layer = read_layer(func)
                node = str(func.attrs[NODE_ATTR])
                reason = self.kept.get(node) or self.supports(layer)
                if reason is not None:
                    reasons[node] = reason
                    inlined[var.name_hint] = _writer(layer)
                else:
                    others[var] = func.with_attr("Primitive", 1)
            elif var.name_hint != "main":
                others[var] = func
        main = _inline(main, inlined)
        merged = relax.transform.MergeCompositeFunctions()(
            tvm.IRModule({**others, mod.get_global_var("main"): main}, attrs=mod.attrs)
        )
        return _tidy(merged, reasons)


def reference_module(partitioned: tvm.IRModule) -> tvm.IRModule:
    """The partitioned module in ordinary ops, for llvm: what the accelerator must agree with.

    Each region becomes a function of the same name and inputs that returns a tuple of the results
    of all its layers, in order; its attribute `zeroskip.layers` has their ONNX nodes,
    `zeroskip.held` what they stand for (`held_in`). `main` calls these functions and takes of each
    tuple what the region returned.
    """
    functions: dict[GlobalVar, Any] = {}
    inlined: dict[str, Inline] = {}
    for var, func in partitioned.functions.items():
        if is_region(func):
            inlined[var.name_hint] = _caller(var.name_hint, func, functions)
        elif var.name_hint != "main":
            functions[var] = func
    main = _inline(partitioned["main"], inlined)
    functions[partitioned.get_global_var("main")] = main
    return tvm.IRModule(functions, attrs=partitioned.attrs)


# --------------------------------------------------------------------------- writing layers out


def _writer(layer: Layer) -> Inline:
    return lambda builder, args: write_layer(layer, builder, args)


def _region_writer(region: relax.Function) -> Inline:
    """What writes a region's ops in place of a call of it."""

    def write(builder: relax.BlockBuilder, args: Sequence[Any]) -> Any:
        env, _ = _write_region(builder, region, args)
        return substitute(region.body.body, env)

    return write


def _write_region(
    builder: relax.BlockBuilder, region: relax.Function, args: Sequence[Any]
) -> tuple[Env, list[Any]]:
    """Emit all layers; the value of each variable, and the result of each layer in order."""
    env: Env = dict(zip(region.params, args, strict=True))
    layers: dict[Any, relax.Function] = {}
    results: list[Any] = []
    for binding in bindings(region):
        if isinstance(binding.value, relax.Function):
            layers[binding.var] = binding.value
        elif isinstance(binding.value, Call):
            layer = read_layer(layers[binding.value.op])
            inputs = [env[arg] for arg in binding.value.args]
            env[binding.var] = builder.emit(write_layer(layer, builder, inputs))
            results.append(env[binding.var])
        else:
            env[binding.var] = substitute(binding.value, env)
    return env, results


def _caller(name: str, region: relax.Function, functions: dict[GlobalVar, Any]) -> Inline:
    """What calls the observable form of a region and takes the region's own results from it."""
    made = [b.var for b in bindings(region) if isinstance(b.value, Call)]

    def write(builder: relax.BlockBuilder, args: Sequence[Any]) -> Any:
        function = _observable(name, region)
        var = builder.add_func(function, name)
        functions[var] = function
        results = builder.emit(Call(var, args), name)
        taken = [relax.TupleGetItem(results, made.index(out)) for out in outputs(region)]
        if not isinstance(region.body.body, relax.Tuple):
            return taken[0]
        return relax.Tuple([builder.emit(item) for item in taken])

    return write


def _observable(name: str, region: relax.Function) -> relax.Function:
    """The region in ordinary ops, returning what each of its layers computes."""
    builder = relax.BlockBuilder()
    with function_in(builder, name, list(region.params)):
        with builder.dataflow():
            _, results = _write_region(builder, region, list(region.params))
            left = [builder.emit_output(result) for result in results]
        builder.emit_func_output(relax.Tuple(left))
    # One name for each call: layers that are equal share a function.
    made_by = {
        b.var: str(b.value.attrs[NODE_ATTR])
        for b in bindings(region)
        if isinstance(b.value, relax.Function)
    }
    nodes = [made_by[b.value.op] for b in bindings(region) if isinstance(b.value, Call)]
    return builder.finalize()[name].with_attrs(
        {LAYERS_ATTR: nodes, HELD_ATTR: json.dumps([asdict(each) for each in _held(region)])}
    )


@dataclass(frozen=True)
class Held:
    """An integer tensor of a region: the float variable that it stands for ("": none is known),
    ``float = scale * (value - zero_point)``; kind of the layer that makes it, "" of an input; and
    which tensors of the region that layer reads, inputs first."""

    tensor: str
    scale: float
    zero_point: int
    kind: str = ""
    reads: tuple[int, ...] = ()


def held_in(function: relax.Function) -> list[Held]:
    """What the inputs of a region of a ``reference_module`` hold, then its layers' results."""
    return [
        Held(
            str(each["tensor"]),
            float(each["scale"]),
            int(each["zero_point"]),
            str(each["kind"]),
            tuple(map(int, each["reads"])),
        )
        for each in json.loads(str(function.attrs[HELD_ATTR]))
    ]


def _held(region: relax.Function) -> list[Held]:
    known = {param: at for at, param in enumerate(region.params)}
    found = [Held("", 1.0, 0)] * len(region.params)
    layers: dict[Any, relax.Function] = {}
    for binding in bindings(region):
        if isinstance(binding.value, relax.Function):
            layers[binding.var] = binding.value
        elif isinstance(binding.value, Call):
            function = layers[binding.value.op]
            reads = tuple(known[arg] for arg in binding.value.args)
            text = function.attrs.get(FLOATS_ATTR)
            floats = [("", 1.0, 0)] * (len(reads) + 1) if text is None else json.loads(str(text))
            for at, held in zip(reads, floats, strict=False):
                if at < len(region.params):
                    found[at] = Held(*held)
            known[binding.var] = len(found)
            name, scale, zero_point = floats[-1]
            found.append(Held(name, scale, zero_point, kind_of(function), reads))
        elif binding.value in known:
            known[binding.var] = known[binding.value]
    return found


def _inline(main: relax.Function, inlined: Mapping[str, Inline]) -> relax.Function:
    """`main` with the calls of these functions written out."""

    def visit(builder: relax.BlockBuilder, binding: relax.VarBinding, env: Env) -> Any:
        call = binding.value
        if isinstance(call, Call) and isinstance(call.op, GlobalVar):
            write = inlined.get(call.op.name_hint)
            if write is not None:
                return write(builder, [substitute(arg, env) for arg in call.args])
        return None

    return rebuild(main, visit) if inlined else main


# -------------------------------------------------------------------------------------- regions


def _tidy(merged: tvm.IRModule, reasons: dict[str, str]) -> tvm.IRModule:
    """The merged module with regions called `region_<n>` in order, those not worth it inlined."""
    regions = {v.name_hint: f for v, f in merged.functions.items() if is_region(f)}
    dropped: dict[str, Inline] = {}
    for name, region in regions.items():
        layers = _layer_functions(region)
        if all(kind_of(layer) in _MOVES for layer in layers):
            dropped[name] = _region_writer(region)
            reasons |= {str(layer.attrs[NODE_ATTR]): _MOVES_ONLY for layer in layers}
    main = _inline(merged["main"], dropped)
    kept: dict[GlobalVar, Any] = {
        v: f for v, f in merged.functions.items() if v.name_hint not in regions
    }

    def visit(builder: relax.BlockBuilder, binding: relax.VarBinding, env: Env) -> Any:
        call = binding.value
        if not (isinstance(call, Call) and isinstance(call.op, GlobalVar)):
            return None
        if call.op.name_hint not in regions:
            return None
        name = f"region_{sum(map(is_region, kept.values())):02d}"
        region = _named(regions[call.op.name_hint], name)
        var = builder.add_func(region, name)
        kept[var] = region
        return Call(var, [substitute(arg, env) for arg in call.args])

    main = rebuild(main, visit).with_attr(CPU_ATTR, reasons)
    kept[merged.get_global_var("main")] = main
    return tvm.IRModule(kept, attrs=merged.attrs)


def _named(region: relax.Function, name: str) -> relax.Function:
    """The region under another name, its variables called after the ONNX nodes."""
    builder = relax.BlockBuilder()
    env: Env = {param: param for param in region.params}
    hints: dict[Any, str] = {}
    for param in region.params:
        builder.get_unique_name(str(param.name))
    with function_in(builder, name, list(region.params)):
        for binding in bindings(region):
            value, hint = binding.value, str(binding.var.name)
            if isinstance(value, relax.Function):
                hints[binding.var] = identifier(str(value.attrs[NODE_ATTR]))
                hint = f"{bits_name(str(value.body.body.ty.dtype))}_{hints[binding.var]}"
            elif isinstance(value, Call):
                hint = hints[value.op]
                args = [substitute(arg, env) for arg in value.args]
                value = builder.normalize(Call(env[value.op], args))
            else:
                value = builder.normalize(substitute(value, env))
            var = relax.Var(builder.get_unique_name(hint), value.ty)
            builder.emit_normalized(relax.VarBinding(var, value))
            env[binding.var] = var
        builder.emit_func_output(substitute(region.body.body, env))
    return builder.finalize()[name].with_attr(CODEGEN_ATTR, CODEGEN)


def _layer_functions(region: relax.Function) -> list[relax.Function]:
    """The integer layers of a region, in order."""
    return [b.value for b in bindings(region) if isinstance(b.value, relax.Function)]


def _float_reasons(main: relax.Function) -> dict[str, str]:
    """ONNX node -> why it is on the CPU, for what quantization left in float."""
    attrs = main.attrs
    given = attrs[CPU_ATTR].items() if attrs and CPU_ATTR in attrs else ()
    reasons = {str(node): str(reason) for node, reason in given}
    known = attrs[OPERATORS_ATTR] if attrs and OPERATORS_ATTR in attrs else {}
    for binding in bindings(main):
        name = op_name(binding.value)
        if name is not None and name not in _CONVERSIONS:
            node = node_of(main, binding.var)
            form = name.removeprefix("relax.").removeprefix("nn.").removeprefix("image.")
            reasons.setdefault(
                node,
                f"no int8 form of {known.get(node, form)}"
                if form != "astype" or node in known
                else BORDER,
            )
    return reasons
