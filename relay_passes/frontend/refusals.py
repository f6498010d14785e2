"""What is said of a node that TVM cannot import, in the words of ONNX."""

from collections.abc import Container

import onnx

from zeroskip.relay_passes.errors import FrontError
from zeroskip.relay_passes.frontend.editing import input_name, origin
from zeroskip.relay_passes.frontend.load import first_line

# Inputs on whose values the shape of the result depends, or without which there is no import.
_SHAPING = {
    "AffineGrid": (1,),
    "BlackmanWindow": (0,),
    "CenterCropPad": (1,),
    "Col2Im": (1, 2),
    "ConstantOfShape": (0,),
    "CumSum": (1,),
    "DFT": (1, 2),
    "Expand": (1,),
    "HammingWindow": (0,),
    "HannWindow": (0,),
    "MelWeightMatrix": (0, 1, 2, 3, 4),
    "OneHot": (1,),
    "Pad": (1, 3),
    "Range": (0, 1, 2),
    "Reshape": (1,),
    "Resize": (1, 2, 3),
    "STFT": (1, 3),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "SplitToSequence": (1,),
    "Squeeze": (1,),
    "Tile": (1, 2),
    "TopK": (1,),
    "Trilu": (1,),
    "Unsqueeze": (1,),
    "Upsample": (1,),
    **dict.fromkeys(
        (
            "ReduceL1",
            "ReduceL2",
            "ReduceLogSum",
            "ReduceLogSumExp",
            "ReduceMax",
            "ReduceMean",
            "ReduceMin",
            "ReduceProd",
            "ReduceSum",
            "ReduceSumSquare",
        ),
        (1,),
    ),
}
_SAYING = (ValueError, NotImplementedError)  # of which the text was written for a reader


def refused_operator(node: onnx.NodeProto, name: str) -> FrontError:
    """Of an operator that TVM does not know at all."""
    return FrontError(
        f"Node '{origin(node)}' has operator {name}, which TVM cannot import: "
        "replace it by other ONNX operators before export."
    )


def refused_node(node: onnx.NodeProto, constants: Container[str], error: Exception) -> FrontError:
    """Of a node whose import ended with an error of TVM's."""
    return _shaped_late(node, constants) or FrontError(
        f"Node '{origin(node)}' ({node.op_type}) cannot be imported by TVM{_detail(error)}: "
        "replace it by other ONNX operators before export."
    )


def refused_shape(node: onnx.NodeProto, constants: Container[str]) -> FrontError:
    """Of a node whose result has no sizes yet."""
    return _shaped_late(node, constants) or FrontError(
        f"Node '{origin(node)}' ({node.op_type}) makes a tensor whose shape depends on values that "
        "are known only at run time: export the model with fixed shapes."
    )


def _shaped_late(node: onnx.NodeProto, constants: Container[str]) -> FrontError | None:
    for place in _SHAPING.get(node.op_type, ()):
        name = input_name(node, place)
        if name and name not in constants:
            return FrontError(
                f"Node '{origin(node)}' ({node.op_type}) depends on the values of "
                f"'{name}', which are known only at run time: export the model with "
                "constants there, and fixed shapes."
            )
    return None


def _detail(error: Exception) -> str:
    """What the error adds, in brackets; nothing if that speaks of TVM's own insides only."""
    text = first_line(error)
    plain = isinstance(error, _SAYING) and "relax" not in text.lower() and len(text) < 200
    return f" ({text})" if plain and not text.startswith("Check failed") else ""
