"""A float network with 8-bit rounding at chosen tensors, whose scales are given at every run.

onnxruntime computes it: one session tries as many ranges as are asked for. The weights stay float.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import tvm
from onnx import TensorProto, helper
from tvm import relax

from zeroskip.relay_passes.attrs import INPUTS_ATTR, NODES_ATTR, OUTPUTS_ATTR
from zeroskip.relay_passes.frontend.from_relax import export_onnx
from zeroskip.relay_passes.quantize.float_graph import Scale
from zeroskip.relay_passes.relax.rewriting import bindings

Array = npt.NDArray[Any]
Trial: TypeAlias = Callable[[Sequence[Array], Mapping[str, Scale]], list[Array]]


class TrialError(Exception):
    """onnxruntime took the network, but does not run it."""


def trial_of(mod: tvm.IRModule, rounded: Sequence[str], judged: Sequence[str]) -> Trial | None:
    """A function from inputs and the scale of each ``rounded`` variable to the ``judged`` ones.

    None for a module that has no ONNX form, or one that onnxruntime does not take.
    """
    try:
        model = export_onnx(_watching(mod, rounded, judged))
        _round(model.graph, len(rounded))
        session = _session(model)
    except Exception:  # ours, onnx's, protobuf's and onnxruntime's
        return None
    inputs = [item.name for item in session.get_inputs()]
    results = [_judged(at) for at in range(len(judged))]

    def run(batch: Sequence[Array], scales: Mapping[str, Scale]) -> list[Array]:
        feed: dict[str, Array] = {f"in{at}": values for at, values in enumerate(batch)}
        for at, name in enumerate(rounded):
            feed[_scale(at)] = np.array(scales[name].scale, np.float32)
            feed[_zero(at)] = np.array(scales[name].zero_point, np.int8)
        try:
            made = session.run(results, {name: feed[name] for name in inputs})
        except Exception as error:  # onnxruntime's, of many kinds
            raise TrialError(str(error)) from None
        return [np.asarray(each) for each in made]

    return run


def _scale(at: int) -> str:
    return f"scale{at}"


def _zero(at: int) -> str:
    return f"zero{at}"


def _rounded(at: int) -> str:
    return f"rounded{at}"


def _judged(at: int) -> str:
    return f"judged{at}"


def _watching(mod: tvm.IRModule, rounded: Sequence[str], judged: Sequence[str]) -> tvm.IRModule:
    """The module with these variables as its results, under the names above."""
    func = mod["main"]
    variables = {
        str(var.name): var for var in (*func.params, *(binding.var for binding in bindings(func)))
    }
    watched = [variables[name] for name in (*rounded, *judged)]
    outs = [relax.Var(f"{var.name}_tried{at}", var.ty) for at, var in enumerate(watched)]
    copies = [relax.VarBinding(out, var) for out, var in zip(outs, watched, strict=True)]
    body = relax.SeqExpr([relax.DataflowBlock([*bindings(func), *copies])], relax.Tuple(outs))
    names = [*map(_rounded, range(len(rounded))), *map(_judged, range(len(judged)))]
    attrs = {
        "global_symbol": "main",
        OUTPUTS_ATTR: names,
        INPUTS_ATTR: [f"in{at}" for at in range(len(func.params))],
        NODES_ATTR: {name: f"n{at}" for at, name in enumerate(variables)},
    }
    made = relax.Function(func.params, body, relax.TupleType([var.ty for var in outs]))
    return tvm.IRModule({relax.GlobalVar("main"): made.with_attrs(attrs)})


def _round(graph: onnx.GraphProto, count: int) -> None:
    """Let every reader of the results ``rounded...`` read them rounded; they are none any more."""
    names = {_rounded(at): f"read{at}" for at in range(count)}
    copies = [node for node in graph.node if node.op_type == "Identity" and node.output[0] in names]
    sources = {node.input[0]: names[node.output[0]] for node in copies}  # of inputs, for instance
    for node in (node for node in graph.node if node not in copies):
        for index, name in enumerate(node.input):
            node.input[index] = names.get(name) or sources.get(name, name)
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        nodes.append(node)
        for at in (int(name.removeprefix("rounded")) for name in node.output if name in names):
            parameters = [_scale(at), _zero(at)]
            nodes.append(
                helper.make_node("QuantizeLinear", [_rounded(at), *parameters], [f"q{at}"])
            )
            nodes.append(
                helper.make_node("DequantizeLinear", [f"q{at}", *parameters], [names[_rounded(at)]])
            )
    left = [item for item in graph.output if item.name not in names]
    for at in range(count):
        graph.input.extend(
            [
                helper.make_tensor_value_info(_scale(at), TensorProto.FLOAT, []),
                helper.make_tensor_value_info(_zero(at), TensorProto.INT8, []),
            ]
        )
    del graph.node[:], graph.output[:]
    graph.node.extend(nodes)
    graph.output.extend(left)


def _session(model: onnx.ModelProto) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # the same sums on every machine of a kind
    options.log_severity_level = 4
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, ["CPUExecutionProvider"]
    )
