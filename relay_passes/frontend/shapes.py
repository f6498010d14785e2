"""Fixed input shapes, one operator set, one name per node, and the shape of every tensor."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference, version_converter

from zeroskip.relay_passes.errors import FrontError
from zeroskip.relay_passes.frontend.editing import (
    DEFAULT_DOMAINS,
    OPERATORS,
    attributes,
    dimensions,
    input_name,
    opset,
    origin,
    replace_nodes,
    set_attributes,
    set_origin,
)
from zeroskip.relay_passes.frontend.limits import MAX_ELEMENTS
from zeroskip.relay_passes.frontend.load import first_line
from zeroskip.relay_passes.names import unused_name

# The first whose BatchNormalization says itself whether it trains; with an earlier one
# `onnx.reference` computes the training mode wherever a momentum is given.
MIN_OPSET = 15
MIN_IR_VERSION = 8
# Initializers of more elements than this are weights, of which onnx's tools need the type only.
_LARGEST_SHAPE_OPERAND = 1024


def fix_input_shapes(model: onnx.ModelProto, shapes: Mapping[str, Sequence[int]]) -> None:
    """Give every input a static shape, from the model or from `shapes`.

    FrontError for a dynamic input without a shape, a name that is no input, a wrong rank, a
    dimension that is not positive, or one that contradicts a fixed dimension of the model.
    """
    inputs = {item.name: item for item in model.graph.input}
    for name in shapes:
        if name not in inputs:
            raise FrontError(
                f"Option --shape names '{name}', which is no input of the model; "
                f"its inputs are: {', '.join(inputs)}."
            )
    for name, info in inputs.items():
        _fix_shape(info, shapes.get(name))


def _fix_shape(info: onnx.ValueInfoProto, given: Sequence[int] | None) -> None:
    name, known = info.name, dimensions(info)
    if info.type.WhichOneof("value") != "tensor_type":
        raise FrontError(f"Input '{name}' is not a tensor: export the model with tensor inputs.")
    if given is None:
        if known is None:
            raise FrontError(f"Input '{name}' has no shape; give it with --shape {name}=D0,D1,...")
        if None in known:
            example = ",".join(
                str(dim or guess) for dim, guess in zip(known, _guess(known), strict=True)
            )
            raise FrontError(
                f"Input '{name}' has shape {_text(known)}; give it with --shape {name}={example}"
            )
        given = [dim for dim in known if dim is not None]
    _check_shape(name, known, given)
    shape = info.type.tensor_type.shape
    shape.Clear()
    for dim in given:
        shape.dim.add(dim_value=int(dim))


def _check_shape(name: str, known: Sequence[int | None] | None, given: Sequence[int]) -> None:
    if not all(isinstance(dim, Integral) for dim in given):
        raise FrontError(f"The shape of input '{name}' is {given!r}: give whole numbers.")
    if not all(1 <= dim <= MAX_ELEMENTS for dim in given):
        raise FrontError(
            f"Option --shape {name}={_comma(given)[:100]} has a dimension outside "
            f"1..{MAX_ELEMENTS}."
        )
    if known is None:
        return
    if len(known) != len(given):
        raise FrontError(
            f"Option --shape {name}={_comma(given)} has {len(given)} dimensions, "
            f"but input '{name}' has {len(known)}: {_text(known)}."
        )
    if any(dim is not None and dim != new for dim, new in zip(known, given, strict=True)):
        raise FrontError(
            f"Option --shape {name}={_comma(given)} contradicts input '{name}', whose shape is "
            f"{_text(known)}: change only its '?' dimensions."
        )


def _guess(known: Sequence[int | None]) -> list[int]:
    """Plausible dimensions for the remedy of a message: batch 1, then 224."""
    return [1] + [224] * (len(known) - 1)


def _text(known: Sequence[int | None]) -> str:
    return "[" + ",".join("?" if dim is None else str(dim) for dim in known) + "]"


def _comma(given: Sequence[int]) -> str:
    return ",".join(map(str, given))


def own_initializers(model: onnx.ModelProto) -> None:
    """Take constants out of the graph's inputs, where IR versions below 4 list them."""
    constants = {item.name for item in model.graph.initializer}
    inputs = model.graph.input
    for position in reversed(range(len(inputs))):
        if inputs[position].name in constants:
            del inputs[position]
    model.ir_version = max(model.ir_version, MIN_IR_VERSION)


def refuse_control_flow(model: onnx.ModelProto) -> None:
    """FrontError for an operator with a body (If, Loop, Scan)."""
    for node in model.graph.node:
        kinds = {item.type for item in node.attribute}
        if kinds & {onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS}:
            raise FrontError(
                f"Node '{node.name}' ({node.op_type}) is control flow, which is not supported: "
                "export the model with fixed shapes so that no branch or loop is left."
            )


def refuse_training(model: onnx.ModelProto) -> None:
    """FrontError for BatchNormalization that updates its statistics."""
    for node in model.graph.node:
        if node.op_type != "BatchNormalization":
            continue
        # Before opset 14 a node trains if it returns the statistics.
        outputs = sum(map(bool, node.output))
        if attributes(node).get("training_mode", 0) or (opset(model) < 14 and outputs > 1):
            raise FrontError(
                f"Node '{node.name}' (BatchNormalization) is in training mode: "
                "export the model in inference mode (model.eval())."
            )


def name_nodes(model: onnx.ModelProto) -> None:
    """Give every node a name of its own: an anonymous one becomes its operator and first output,
    a second one of the same name gets a number. The model records the operator of each, which
    rewrites may replace, but for names that stand for several operators."""
    taken: set[str] = set()
    kinds: dict[str, set[str]] = {}
    for node in model.graph.node:
        given = node.name or f"{node.op_type}_{node.output[0] if node.output else ''}"
        name = unused_name(given, taken)
        node.name = name
        set_origin(node, given)
        kinds.setdefault(origin(node), set()).add(node.op_type)
    known = {name: operator for name, (operator, *others) in kinds.items() if not others}
    helper.set_model_props(model, {OPERATORS: json.dumps(known)})


def upgrade_opset(model: onnx.ModelProto) -> None:
    """Convert a model of an older operator set to `MIN_OPSET`; nodes keep their names.

    The converter gives up names where it splits a node in several: the one that makes the
    node's output takes the name, the others are named after their own output and record it.
    """
    version = opset(model)
    if version >= MIN_OPSET:
        return
    named = [_Named.of(node) for node in model.graph.node]
    try:
        converted = version_converter.convert_version(_without_weights(model), MIN_OPSET)
    except Exception as error:
        raise FrontError(
            f"The model uses ONNX opset {version} and cannot be upgraded to {MIN_OPSET} "
            f"({first_line(error)}): export it again with opset {MIN_OPSET} or later."
        ) from error
    known = {item.name for item in model.graph.initializer}
    model.graph.initializer.extend(
        item for item in converted.graph.initializer if item.name not in known
    )
    replace_nodes(model, converted.graph.node)
    del model.opset_import[:]
    model.opset_import.extend(converted.opset_import)
    if version < 11:
        _keep_old_resize(model)
    if version < 7:
        _keep_old_slopes(model)
    _restore_names(model, named)


def _keep_old_resize(model: onnx.ModelProto) -> None:
    """Upsample and Resize before opset 11 sample asymmetrically; the later default is half a
    pixel off, and the converter does not say so on the node."""
    for node in model.graph.node:
        if node.op_type == "Resize":
            set_attributes(node, coordinate_transformation_mode="asymmetric", nearest_mode="floor")


def _keep_old_slopes(model: onnx.ModelProto) -> None:
    """PRelu before opset 7 has a slope for each channel, axis 1; the later one's line up with the
    last axis, and the converter leaves them as they are."""
    guessed = guess_shapes(model)
    infos = {item.name: item for item in (*guessed.graph.value_info, *guessed.graph.input)}
    held = {item.name: list(item.dims) for item in model.graph.initializer}

    def sizes(name: str) -> list[int | None]:
        known = dimensions(infos[name]) if name in infos else None
        return list(held.get(name, known or ()))

    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if node.op_type == "PRelu":
            rank, slopes = len(sizes(node.input[0])), sizes(node.input[1])
            if len(slopes) == 1 and slopes != [1] and rank > 2:
                name = f"{node.output[0]}/slope"
                axes = numpy_helper.from_array(np.arange(1, rank - 1), f"{name}/axes")
                model.graph.initializer.append(axes)
                nodes.append(
                    helper.make_node(
                        "Unsqueeze",
                        [node.input[1], axes.name],
                        [name],
                        name=f"{node.name}/Unsqueeze",
                    )
                )
                node.input[1] = name
        nodes.append(node)
    replace_nodes(model, nodes)


@dataclass(frozen=True)
class _Named:
    """What `_restore_names` needs of a node before the upgrade."""

    name: str
    origin: str
    first_input: str
    outputs: tuple[str, ...]

    @classmethod
    def of(cls, node: onnx.NodeProto) -> "_Named":
        outputs = tuple(filter(None, node.output))
        return cls(node.name, origin(node), input_name(node, 0), outputs)


def _restore_names(model: onnx.ModelProto, before: Sequence[_Named]) -> None:
    """Find each node's name by the output it makes, or else by the first input of a node whose
    output the converter renamed; what is left belongs to the node after it."""
    made = {output: old for old in before for output in old.outputs}
    survive = {output for node in model.graph.node for output in node.output}
    renamed = {old.first_input: old for old in before if not survive.intersection(old.outputs)}
    taken: set[str] = set()
    owner: _Named | None = None
    for node in reversed(model.graph.node):
        own = next((made[output] for output in node.output if output in made), None)
        own = own or renamed.pop(input_name(node, 0), None)
        owner = own or owner
        base = owner.name if owner else node.op_type
        node.name = unused_name(own.name if own else f"{base}/{node.op_type}", taken)
        set_origin(node, owner.origin if owner else node.name)


def infer_shapes(model: onnx.ModelProto) -> None:
    """Fill `value_info` and the outputs' shapes from the inputs' shapes, afresh.

    Weights go in as types only, so that the cost does not depend on their size.
    """
    _fill_defaults(model)
    light = _without_weights(model)
    try:
        inferred = shape_inference.infer_shapes(light, strict_mode=True)
    except Exception as error:
        raise FrontError(
            f"The shapes of the model's tensors contradict each other ({first_line(error)}): "
            "check the model and the shapes given with --shape."
        ) from error
    del model.graph.value_info[:]
    model.graph.value_info.extend(inferred.graph.value_info)
    del model.graph.output[:]
    model.graph.output.extend(inferred.graph.output)


def _fill_defaults(model: onnx.ModelProto) -> None:
    """Give MeanVarianceNormalization its default axes: ONNX infers shapes through its definition
    by other operators, which takes them from the node."""
    for node in model.graph.node:
        if (
            node.op_type == "MeanVarianceNormalization"
            and node.domain in DEFAULT_DOMAINS
            and not node.attribute
        ):
            set_attributes(node, axes=[0, 2, 3])


def guess_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph without its Slices and control flow, with the shapes that can be told without them.

    ONNX's own inference aborts the process on a Slice of a negative size, such as a window that is
    larger than its input makes: look for that here first. Branches that are never taken may say
    what they like of their shapes.
    """
    light = _without_weights(model)
    nodes = [node for node in light.graph.node if node.op_type not in ("Slice", "If")]
    del light.graph.node[:]
    light.graph.node.extend(nodes)
    del light.graph.output[:]
    return shape_inference.infer_shapes(light)


def _without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its weights declared as inputs, and without any inferred shape."""
    light = onnx.ModelProto(ir_version=model.ir_version)
    light.opset_import.extend(model.opset_import)
    light.graph.name = model.graph.name
    light.graph.node.extend(model.graph.node)
    light.graph.input.extend(model.graph.input)
    for item in model.graph.initializer:
        if math.prod(item.dims) <= _LARGEST_SHAPE_OPERAND:
            light.graph.initializer.append(item)
        else:
            info = helper.make_tensor_value_info(item.name, item.data_type, list(item.dims))
            light.graph.input.append(info)
    for output in model.graph.output:
        element = output.type.tensor_type.elem_type
        light.graph.output.append(helper.make_tensor_value_info(output.name, element, None))
    return light
