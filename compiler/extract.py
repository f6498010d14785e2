"""The one place where the compiler reads Relax: an accelerator region to a graph of its layers."""

from __future__ import annotations

from typing import Any

from tvm import relax
from tvm.ir import Call, GlobalVar, IRModule
from zeroskip.compiler.errors import CompileError
from zeroskip.compiler.graph import LayerGraph, Node
from zeroskip.relay_passes.graph import bindings
from zeroskip.relay_passes.integer import NODE_ATTR, QTensor, read_layer

CODEGEN_ATTR = "Codegen"
CODEGEN = "zeroskip"


def region_names(mod: IRModule) -> list[str]:
    """Names of the module's accelerator regions, in order."""
    return sorted(
        gvar.name_hint
        for gvar, func in mod.functions.items()
        if isinstance(func, relax.Function) and is_region(func)
    )


def is_region(func: Any) -> bool:
    """Whether a function is an accelerator region."""
    return bool(func.attrs) and func.attrs.get(CODEGEN_ATTR) == CODEGEN


def extract(mod: IRModule, name: str) -> LayerGraph:
    """The layers of the region ``name``."""
    return _Extraction(mod, name).graph()


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
                raise CompileError(f"region '{self.name}' holds a {type(value).__name__}; "
                                   "only integer layers may be in a region")
        result = self.func.body.body
        fields = tuples.get(result, (result,))
        if isinstance(result, relax.Tuple):
            fields = tuple(result.fields)
        outputs = tuple(self.names[field] for field in fields)
        return LayerGraph(self.name, inputs, outputs, tuple(self.nodes), self.tensors)

    def _name(self, var: Any) -> str:
        """A name of its own for a variable."""
        name = var.name_hint if hasattr(var, "name_hint") else var.name
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
                raise CompileError(f"region '{self.name}': '{name}' is read as {tensor.shape} "
                                   f"and written as {known.shape}")
        self.nodes.append(Node(str(func.attrs[NODE_ATTR]), layer, inputs, output))
