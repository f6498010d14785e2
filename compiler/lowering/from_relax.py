"""The one place where the compiler reads Relax: an accelerator region to a graph of its layers."""

from __future__ import annotations

from typing import Any

from tvm import relax
from tvm.ir import Call, GlobalVar, IRModule

from zeroskip.compiler.errors import CompileError
from zeroskip.compiler.ir.host_plan import Scaling, TvmFreeHost
from zeroskip.compiler.ir.layer_graph import LayerGraph, Node
from zeroskip.relay_passes.attrs import LAYERS_ATTR, NODE_ATTR, is_region
from zeroskip.relay_passes.integer.relax_functions import QTensor, read_layer
from zeroskip.relay_passes.integer.written_out import layers_in
from zeroskip.relay_passes.partition import held_in
from zeroskip.relay_passes.relax.rewriting import bindings, const_value, op_name

_CONVERSIONS = ("relax.quantize", "relax.dequantize")


def region_names(mod: IRModule) -> list[str]:
    """Names of the module's accelerator regions, in order."""
    return sorted(
        gvar.name_hint
        for gvar, func in mod.functions.items()
        if isinstance(func, relax.Function) and is_region(func)
    )


def extract(mod: IRModule, name: str) -> LayerGraph:
    """The layers of the region ``name``."""
    return _Extraction(mod, name).graph()


def extract_reference(mod: IRModule, name: str) -> LayerGraph:
    """The layers of the region ``name`` of a reference module, where they are written out in ops.

    Its values are called by their numbers, inputs first; all results are outputs.
    """
    function = mod[name]
    nodes = [str(node) for node in function.attrs[LAYERS_ATTR]]
    kinds = [each.kind for each in held_in(function)[len(function.params) :]]
    written = layers_in(function, nodes, kinds)
    tensors = {
        f"v{at}": tensor
        for each in written
        for at, tensor in zip(
            (*each.reads, each.makes), (*each.layer.inputs, each.layer.y), strict=True
        )
    }
    return LayerGraph(
        name,
        tuple(f"v{at}" for at in range(len(function.params))),
        tuple(f"v{each.makes}" for each in written),
        tuple(
            Node(node, each.layer, tuple(f"v{at}" for at in each.reads), f"v{each.makes}")
            for node, each in zip(nodes, written, strict=True)
        ),
        tensors,
    )


class _Extraction:
    def __init__(self, mod: IRModule, name: str) -> None:
        self.mod, self.name = mod, name
        self.func = mod[name]
        self.local: dict[Any, relax.Function] = {}
        self.names: dict[Any, str] = {}
        self.tensors: dict[str, QTensor] = {}
        self.nodes: list[Node] = []

    def graph(self) -> LayerGraph:
        inputs = tuple(self._name(param) for param in self.func.params)
        tuples: dict[Any, tuple[Any, ...]] = {}
        for binding in bindings(self.func):
            value = binding.value
            if isinstance(value, relax.Function):
                self.local[binding.var] = value
            elif isinstance(value, Call):
                self._layer(binding.var, value)
            elif isinstance(value, relax.Tuple):
                tuples[binding.var] = tuple(value.fields)
            elif isinstance(value, relax.Var):
                self.names[binding.var] = self.names[value]
            else:
                raise CompileError(
                    f"region '{self.name}' holds a {type(value).__name__}; "
                    "only integer layers may be in a region"
                )
        result = self.func.body.body
        fields = tuples.get(result, (result,))
        if isinstance(result, relax.Tuple):
            fields = tuple(result.fields)
        outputs = tuple(self.names[field] for field in fields)
        return LayerGraph(self.name, inputs, outputs, tuple(self.nodes), self.tensors)

    def _name(self, var: Any) -> str:
        """A name of its own for a variable."""
        name = str(var.name)
        while name in self.tensors or name in self.names.values():
            name += "_"
        self.names[var] = name
        return name

    def _layer(self, var: Any, call: Any) -> None:
        func = self.mod[call.op] if isinstance(call.op, GlobalVar) else self.local[call.op]
        layer = read_layer(func)
        inputs = tuple(self.names[arg] for arg in call.args)
        output = self._name(var)
        for name, tensor in (*zip(inputs, layer.inputs, strict=True), (output, layer.y)):
            known = self.tensors.setdefault(name, tensor)
            if known.shape != tensor.shape:
                raise CompileError(
                    f"region '{self.name}': '{name}' is read as {tensor.shape} "
                    f"and written as {known.shape}"
                )
        self.nodes.append(Node(str(func.attrs[NODE_ATTR]), layer, inputs, output))


def direct_plan(mod: IRModule) -> TvmFreeHost | None:
    """How to run ``main`` without TVM, if all it does around one region is to change types."""
    func = mod["main"]
    params = {param: index for index, param in enumerate(func.params)}
    scaled: dict[Any, tuple[int, Scaling]] = {}  # quantized input -> network input
    made: dict[Any, int] = {}  # what the region returns -> its place
    left: dict[Any, tuple[int, Scaling]] = {}  # network output -> the region's
    name, inputs, fields = "", None, None
    for binding in bindings(func):
        var, value = binding.var, binding.value
        kind = op_name(value)
        scaling = _scaling(value, var.ty) if kind in _CONVERSIONS else None
        if scaling is not None and kind == "relax.quantize" and value.args[0] in params:
            scaled[var] = params[value.args[0]], scaling
        elif scaling is not None and kind == "relax.dequantize" and value.args[0] in made:
            left[var] = made[value.args[0]], scaling
        elif isinstance(value, Call) and isinstance(value.op, GlobalVar) and inputs is None:
            name, inputs = value.op.name_hint, [scaled.get(arg) for arg in value.args]
            made[var] = 0
        elif isinstance(value, relax.TupleGetItem) and made.get(value.tuple_value) == 0:
            made[var] = value.index
        elif isinstance(value, relax.Tuple):
            fields = {var: list(value.fields)}
        else:
            return None
    result = func.body.body
    results = (fields or {}).get(result, list(getattr(result, "fields", [result])))
    if inputs is None or None in inputs or any(each not in left for each in results):
        return None
    order = sorted((left[each][0], place, left[each][1]) for place, each in enumerate(results))
    places = [place for place, _, _ in order]
    if places != list(range(len(places))):
        return None
    return TvmFreeHost(
        name,
        tuple(each for each in inputs if each is not None),
        tuple((index, scaling) for _, index, scaling in order),
    )


def _scaling(call: Any, ty: Any) -> Scaling | None:
    """Scale and zero point of a quantize or dequantize, None unless they are one number each; the
    type is that of the 8-bit side."""
    scale, zero_point = const_value(call.args[1]), const_value(call.args[2])
    if scale is None or zero_point is None or scale.size != 1 or zero_point.size != 1:
        return None
    return Scaling(
        float(scale.item()),
        int(zero_point.item()),
        str(zero_point.dtype),
        tuple(int(n) for n in ty.shape),
    )
