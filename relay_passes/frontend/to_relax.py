"""ONNX into Relax, with the name of the ONNX node on every binding."""

import contextlib
import io
import keyword
import re
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import tvm
from onnx import numpy_helper
from tvm import relax
from tvm.relax.frontend.onnx import onnx_frontend

from zeroskip.relay_passes.attrs import INPUTS_ATTR, NODES_ATTR, OPERATORS_ATTR, OUTPUTS_ATTR
from zeroskip.relay_passes.errors import FrontError
from zeroskip.relay_passes.frontend.editing import (
    Index,
    attributes,
    input_name,
    operators,
    opset,
    origin,
    static_shape,
)
from zeroskip.relay_passes.frontend.load import NUMBERS, refused_type
from zeroskip.relay_passes.frontend.pad_layers import as_pool
from zeroskip.relay_passes.frontend.refusals import refused_node, refused_operator, refused_shape
from zeroskip.relay_passes.names import unused_name
from zeroskip.relay_passes.relax.fold import fold_constants
from zeroskip.relay_passes.relax.rewriting import (
    Env,
    bind,
    bindings,
    const_value,
    function_in,
    inherit_nodes,
    is_leaf,
    make_const,
    nodes_of,
    op_name,
    outputs,
    substitute,
)

_LISTS = ("Concat", "Max", "Mean", "Min", "Sum")  # take any number of inputs
_DOMAINS = ("", "ai.onnx", "com.microsoft")
# Names that the TVMScript printer or parser gives a meaning to.
_RESERVED = {"R", "T", "I", "metadata", "main", *keyword.kwlist}


def import_onnx(model: onnx.ModelProto) -> tvm.IRModule:
    """A normalised model (see `normalise_onnx`) as a Relax module with one function, `main`.

    Parameters are the ONNX inputs in order; weights are constants in the body, which is one
    dataflow block in A-normal form. Constant layout changes are folded: a convolution's bias is
    an `add` of a constant [1,K,1,1], Gemm's weights are the constant [in,out] of a `matmul`.
    Clip with constant bounds is `R.clip(x, lo, hi)`, or `R.nn.relu` for bounds 0 and infinity.

    Attributes of `main`: `zeroskip.nodes` maps every variable to the ONNX node that made it,
    `zeroskip.operators` every node to its ONNX operator, and `zeroskip.inputs` and
    `zeroskip.outputs` are the ONNX names, in order. Variables are called
    after their node: its result bears the node's name, what leads up to it that name and its
    own operator's.

    FrontError names the node that cannot be imported.
    """
    for node in model.graph.node:
        _refuse_unknown(node)
    mod, nodes = _convert(model)
    func = _named(mod["main"], nodes)
    known = operators(model)
    kinds = {node: known[node] for node in nodes_of(func).values() if node in known}
    attrs: dict[str, Any] = {
        INPUTS_ATTR: [item.name for item in model.graph.input],
        OUTPUTS_ATTR: [item.name for item in model.graph.output],
    }
    if kinds:
        attrs[OPERATORS_ATTR] = kinds
    mod["main"] = fold_constants(func.with_attrs(attrs))
    return mod


def _refuse_unknown(node: onnx.NodeProto) -> None:
    known = onnx_frontend._get_convert_map()
    if node.op_type not in known or node.domain not in _DOMAINS:
        name = node.op_type if node.domain in _DOMAINS[:2] else f"{node.domain}.{node.op_type}"
        raise refused_operator(node, name)
    if node.op_type in _LISTS and not all(node.input):
        raise FrontError(
            f"Node '{origin(node)}' ({node.op_type}) lacks one of its inputs: export "
            "the model again."
        )


def _convert(model: onnx.ModelProto) -> tuple[tvm.IRModule, dict[str, str]]:
    """TVM's own translation, and the node of each variable that is the result of one."""
    importer = onnx_frontend.ONNXGraphImporter({}, "float32")
    importer.opset = opset(model)
    for item in model.graph.initializer:
        importer._nodes[item.name] = make_const(numpy_helper.to_array(item))
    params = _parameters(model)
    for item, param in zip(model.graph.input, params, strict=True):
        importer._nodes[item.name] = param
    nodes: dict[str, str] = {}
    constants = {item.name for item in model.graph.initializer}
    builder, index = importer.bb, Index.of(model)
    with function_in(builder, "main", params):
        with builder.dataflow():
            for node in model.graph.node:
                with _refusing(node, constants):
                    _convert_node(importer, as_pool(node, index) or node)
                    for name in filter(None, node.output):
                        result = importer._nodes[name]
                        if not is_leaf(result):
                            result = importer._nodes[name] = builder.emit(result)
                        _refuse_dynamic(node, result, constants)
                        if isinstance(result, relax.Var) and result not in params:
                            nodes.setdefault(str(result.name), origin(node))
            results = [importer._nodes[item.name] for item in model.graph.output]
            left = [builder.emit_output(result) for result in results]
        builder.emit_func_output(left[0] if len(left) == 1 else relax.Tuple(left))
    return builder.finalize(), nodes


def _refuse_dynamic(node: onnx.NodeProto, result: relax.Expr, constants: set[str]) -> None:
    """FrontError for a result whose sizes are numbers only at run time."""
    kinds = getattr(result.ty, "fields", [result.ty])
    for kind in kinds:
        shape = getattr(kind, "shape", None)
        static = isinstance(shape, relax.ShapeExpr) and all(
            isinstance(size, int) or hasattr(size, "value") for size in shape
        )
        if not isinstance(kind, relax.TensorType) or not static:
            raise refused_shape(node, constants)


def _parameters(model: onnx.ModelProto) -> list[relax.Var]:
    taken: set[str] = set()
    params: list[relax.Var] = []
    for item in model.graph.input:
        shape = static_shape(item)
        if shape is None:
            raise FrontError(
                f"Input '{item.name}' has no static shape: normalise the model before importing it."
            )
        number = item.type.tensor_type.elem_type
        if number not in NUMBERS:
            raise FrontError(f"Input '{item.name}' is {refused_type(number)}")
        name = unused_name(_identifier(item.name), taken)
        params.append(relax.Var(name, relax.TensorType(shape, str(NUMBERS[number]))))
    return params


@contextlib.contextmanager
def _refusing(node: onnx.NodeProto, constants: set[str]) -> Iterator[None]:
    """Silence the frontend; what it raises becomes a FrontError that names the node."""
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    except FrontError:
        raise
    except Exception as error:
        raise refused_node(node, constants, error) from error


def _convert_node(importer: onnx_frontend.ONNXGraphImporter, node: onnx.NodeProto) -> None:
    own = {
        "BitShift": _refuse_signed,
        "Clip": _clip,
        "Gather": _gather,
        "PRelu": _prelu,
    }.get(node.op_type)
    result = own(importer, node) if own is not None else None
    if result is not None:
        importer._nodes[node.output[0]] = result
        return
    importer._construct_nodes(onnx.GraphProto(node=[node]))


def _clip(importer: onnx_frontend.ONNXGraphImporter, node: onnx.NodeProto) -> relax.Expr | None:
    """Clip with constant bounds as an operator that patterns match; TVM's translation is an
    opaque call_tir. None when a bound is not a constant or the tensor is not of floats."""
    data = importer._nodes[node.input[0]]
    bounds: list[float | None] = []
    for index in (1, 2):
        name = input_name(node, index)
        value = const_value(importer._nodes[name]) if name else None
        if name and value is None:
            return None
        bounds.append(None if value is None else float(value.reshape(())))
    if not str(data.ty.dtype).startswith("float"):
        return None
    low, high = (
        bound if bound is not None else default
        for bound, default in zip(bounds, (-float("inf"), float("inf")), strict=True)
    )
    if low == 0 and high == float("inf"):
        return importer.bb.normalize(relax.op.nn.relu(data))
    return importer.bb.normalize(relax.op.clip(data, min(low, high), high))


def _prelu(importer: onnx_frontend.ONNXGraphImporter, node: onnx.NodeProto) -> relax.Expr | None:
    """PRelu with one constant slope as a leaky ReLU, with one for each channel as the sum of its
    positive and its negative part, which layers have. None for any other."""
    data, slope = (importer._nodes[name] for name in node.input)
    known = const_value(slope)
    if known is None or not str(data.ty.dtype).startswith("float"):
        return None
    if known.size == 1:
        return importer.bb.normalize(relax.op.nn.leakyrelu(data, float(known.reshape(()))))
    below = relax.op.multiply(relax.op.clip(data, -float("inf"), 0), slope)
    return importer.bb.normalize(relax.op.add(relax.op.nn.relu(data), below))


def _refuse_signed(importer: onnx_frontend.ONNXGraphImporter, node: onnx.NodeProto) -> None:
    """FrontError for a BitShift by a number that may be negative: processors differ there."""
    amount = importer._nodes[node.input[1]]
    known = const_value(amount)
    if str(amount.ty.dtype).startswith("int") and (
        known is None or known.astype(np.int64).min(initial=0) < 0
    ):
        raise FrontError(
            f"Node '{origin(node)}' (BitShift) may shift by a negative number: export "
            "it with unsigned integers, or a constant."
        )


def _gather(importer: onnx_frontend.ONNXGraphImporter, node: onnx.NodeProto) -> relax.Expr:
    """Gather, with indices beyond the end taken for the last one: TVM's own translation reads
    whatever lies in memory there, or beyond it."""
    data, indices = (importer._nodes[name] for name in node.input)
    axis = int(attributes(node).get("axis", 0))
    size, kind = int(data.ty.shape[axis]), str(indices.ty.dtype)
    known = const_value(indices)
    if known is not None:
        places = known.astype(np.int64)
        indices = make_const(np.where(places < 0, places + size, places).astype(known.dtype))
    elif not kind.startswith("uint"):
        negative = relax.op.less(indices, relax.const(0, kind))
        below = relax.op.add(indices, relax.const(size, kind))
        indices = relax.op.where(negative, below, indices)
    return importer.bb.normalize(relax.op.take(data, indices, axis, mode="clip"))


def _named(func: relax.Function, nodes: dict[str, str]) -> relax.Function:
    """The function with each variable called after its ONNX node, and `zeroskip.nodes` set."""
    raw = bindings(func)
    origins = inherit_nodes([str(binding.var.name) for binding in raw], nodes)
    copies = {item.var: item.value for item in raw if isinstance(item.value, relax.DataflowVar)}
    leaving = {copies.get(output, output) for output in outputs(func)}
    taken = {str(param.name) for param in func.params}
    builder, env = relax.BlockBuilder(), Env()
    recorded: dict[str, str] = {}
    with function_in(builder, "main", list(func.params)):
        with builder.dataflow():
            for binding in raw:
                if binding.var in copies:
                    env[binding.var] = env[copies[binding.var]]
                    continue
                name = _name_of(binding, origins, nodes, taken)
                value = substitute(binding.value, env)
                env[binding.var] = bind(builder, value, name, output=binding.var in leaving)
                recorded[name] = origins.get(str(binding.var.name), name)
        builder.emit_func_output(substitute(func.body.body, env))
    result = relax.analysis.remove_all_unused(builder.finalize()["main"])
    alive = {str(binding.var.name) for binding in bindings(result)}
    return result.with_attr(
        NODES_ATTR, {name: node for name, node in recorded.items() if name in alive}
    )


def _name_of(
    binding: relax.VarBinding, origins: dict[str, str], results: dict[str, str], taken: set[str]
) -> str:
    raw = str(binding.var.name)
    stem = _identifier(origins.get(raw, raw))
    if raw not in results:
        operator = op_name(binding.value)
        stem += "_" + operator.rpartition(".")[2] if operator else "_item"
    return unused_name(stem, taken)


def _identifier(name: str) -> str:
    """The name as a TVMScript identifier."""
    word = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")
    if not word or word[0].isdigit():
        word = f"n_{word}"
    return f"{word}_" if word in _RESERVED else word
