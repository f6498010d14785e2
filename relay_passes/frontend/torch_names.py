"""Nodes of an export by ``torch.onnx`` called by the modules that they came from.

Its dynamo export numbers nodes (``node_Conv_138``) and keeps the modules' names beside them, in
``metadata_props``; weights keep their own.
"""

from __future__ import annotations

import ast
import re
from collections import Counter

import onnx

from zeroskip.relay_passes.names import unused_name

_SCOPES = "pkg.torch.onnx.name_scopes"
_WEIGHT = re.compile(r"(?P<module>.+?)\.(?:parametrizations\.)?weight(?:_orig|\.original)?$")
_WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def names_modules(model: onnx.ModelProto) -> bool:
    """Whether the export says from which modules its nodes came."""
    return any(any(_scopes(node)) for node in model.graph.node)


def name_by_modules(model: onnx.ModelProto) -> bool:
    """Call the nodes of a dynamo export by their modules, in place; false for another model.

    A layer with weights has its module's name, ``layer1.0.conv1``; so has any operator that is
    alone in a module without others in it. All else has in addition the operator's own:
    ``layer1.0.add``.
    """
    scopes = [_scopes(node) for node in model.graph.node]
    if not any(scopes):
        return False
    modules = [_module(each) for each in scopes]
    inner = {path.rpartition(".")[0] for path in modules} | {""}
    for path in list(inner):
        while path:
            path = path.rpartition(".")[0]
            inner.add(path)
    kinds = [_kind(node, scope) for node, scope in zip(model.graph.node, scopes, strict=True)]
    alone = Counter(zip(modules, kinds, strict=True))
    taken: set[str] = set()
    for node, scope, module, kind in zip(model.graph.node, scopes, modules, kinds, strict=True):
        own = scope[-1] if scope else node.name
        wanted = f"{module}.{own}" if module else own
        first = kind == "layer" or (kind and not alone[module, "layer"])
        if first and module and module not in inner and alone[module, kind] == 1:
            wanted = module
        node.name = unused_name(_weighted(node) or wanted or node.op_type, taken)
    return True


def _scopes(node: onnx.NodeProto) -> list[str]:
    """From the outermost module to the operator; [] where the export says nothing."""
    for each in node.metadata_props:
        if each.key == _SCOPES and len(each.value) < 1 << 14:
            try:
                found = ast.literal_eval(each.value)
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                return []
            if isinstance(found, list) and all(isinstance(scope, str) for scope in found):
                return found
    return []


def _module(scopes: list[str]) -> str:
    return scopes[-2] if len(scopes) > 1 else ""


def _kind(node: onnx.NodeProto, scopes: list[str]) -> str:
    """``layer`` of one with weights, ``result`` of what makes an operator's, "" of what leads
    there."""
    if node.op_type in _WEIGHTED:
        return "layer"
    return "result" if scopes and node.output and node.output[0] == scopes[-1] else ""


def _weighted(node: onnx.NodeProto) -> str | None:
    """The module whose weight a layer has, if the weight still says."""
    if node.op_type not in _WEIGHTED or len(node.input) < 2:
        return None
    found = _WEIGHT.fullmatch(node.input[1])
    return found["module"] if found else None
