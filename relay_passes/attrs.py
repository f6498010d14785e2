"""The names by which passes tell each other things: attributes of modules, functions and calls."""

from __future__ import annotations

from typing import Any

# Of a function that passes take as `main`.
ENTRY_ATTR = "zeroskip.entry"  # how its module calls it

# Of a float function.
INPUTS_ATTR = "zeroskip.inputs"  # ONNX names of the inputs
OUTPUTS_ATTR = "zeroskip.outputs"  # and of the outputs
NODES_ATTR = "zeroskip.nodes"  # the ONNX node of each variable
BATCH_ATTR = "zeroskip.batch"  # images of the model's batch, of which the function computes one
IMAGES_ATTR = "zeroskip.images"  # images that the function computes at once, by request
TOGETHER_ATTR = "zeroskip.together"  # why the images of a batch do not run one by one
OPERATORS_ATTR = "zeroskip.operators"  # the ONNX operator of each variable
FLOAT_ATTR = "zeroskip.float"  # nodes that stay in float by request
PRUNED_ATTR = "zeroskip.pruned"  # what became of each layer
KEPT_ATTR = "zeroskip.kept"  # which channels of each layer stayed

# Of an integer layer: a composite function of its own.
COMPOSITE_ATTR = "Composite"
NODE_ATTR = "zeroskip.node"
ZERO_POINT_ATTR = "zeroskip.zero_point"

# Of main behind the quantizer and the partition.
SCALES_ATTR = "zeroskip.scales"
FLOATS_ATTR = "zeroskip.floats"  # the float variable that each integer one stands for
CPU_ATTR = "zeroskip.cpu"  # nodes that stay on the CPU, and why

# Of a region.
CODEGEN_ATTR = "Codegen"
CODEGEN = "zeroskip"
LAYERS_ATTR = "zeroskip.layers"  # the node of each result
HELD_ATTR = "zeroskip.held"  # what each input and result stands for
SCHEDULE_ATTR = "zeroskip.schedule"  # one line of JSON for each group of operations
TARGET_ATTR = "zeroskip.target"  # name and fingerprint of the schedule's accelerator

# Of what the CPU computes between two regions: a function of its own.
HOST_ATTR = "zeroskip.host"  # nodes of which it computes more than a change of type

# Of a module.
LINKED_ATTR = "zeroskip.linked"  # its external modules have what calls the packed function

PACKED = "zeroskip.run"  # the packed function that runs a region's program


def is_region(func: Any) -> bool:
    """Whether a function is an accelerator region."""
    return bool(func.attrs) and func.attrs.get(CODEGEN_ATTR) == CODEGEN
