"""One form for every ONNX model: what `import_onnx` takes.

Each step is a rewrite of its own, in `onnx_shapes`, `onnx_branches`, `onnx_floats`, `onnx_fold`,
`onnx_noops`, `onnx_dequantize`, `onnx_qdq`, `onnx_layer_norm`, `onnx_resize`, `onnx_layout`,
`onnx_token_layers`, `onnx_pools`, `onnx_pads` and `onnx_pad_layers`; this is their order and the
reason for it.
"""

from collections.abc import Mapping, Sequence

import onnx
from onnx import inliner

from zeroskip.relay_passes.frontend.branches import inline_branches
from zeroskip.relay_passes.frontend.dequantize import dequantize_operators
from zeroskip.relay_passes.frontend.editing import drop_unused
from zeroskip.relay_passes.frontend.floats import cast_floats
from zeroskip.relay_passes.frontend.fold import fold_constants, hoist_constants, remove_identities
from zeroskip.relay_passes.frontend.layer_norm import rewrite_layer_norms
from zeroskip.relay_passes.frontend.layout import move_transposes
from zeroskip.relay_passes.frontend.limits import (
    refuse_domains,
    refuse_many_nodes,
    refuse_missing_ends,
    refuse_numbers,
    refuse_sizes,
    refuse_types,
)
from zeroskip.relay_passes.frontend.noops import remove_noops
from zeroskip.relay_passes.frontend.pad_layers import gather_mirrored_pads
from zeroskip.relay_passes.frontend.pads import make_pads_explicit, merge_pads, refuse_empty_windows
from zeroskip.relay_passes.frontend.pools import make_pools
from zeroskip.relay_passes.frontend.qdq import dequantize_operands, move_integer_limits
from zeroskip.relay_passes.frontend.resize import rewrite_resizes
from zeroskip.relay_passes.frontend.shapes import (
    fix_input_shapes,
    guess_shapes,
    infer_shapes,
    name_nodes,
    own_initializers,
    refuse_control_flow,
    refuse_training,
    upgrade_opset,
)
from zeroskip.relay_passes.frontend.token_layers import make_token_layers


def normalise_onnx(
    model: onnx.ModelProto, shapes: Mapping[str, Sequence[int]] | None = None
) -> onnx.ModelProto:
    """A normalised copy of the model; `shapes` gives the shapes of its dynamic inputs.

    The copy has static input shapes, opset 15 or later, one name per node (and, on nodes that
    stand for one of the user's, that node's name in `metadata_props`), the inferred shape of
    every tensor, float32 for all floats but its inputs and outputs, no computation on constants
    or on shapes, no Identity or Dropout, explicit pads, and quantized operators in Q/DQ form.

    FrontError for what cannot be normalised: a dynamic or contradictory shape, a window larger than
    its input, control flow, training mode, an old operator that cannot be upgraded, and what
    ``onnx_limits`` refuses.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    return normalise_own(result, shapes)


def normalise_own(
    result: onnx.ModelProto, shapes: Mapping[str, Sequence[int]] | None = None
) -> onnx.ModelProto:
    """``normalise_onnx`` of a model that nobody else needs: it is not copied but changed."""
    own_initializers(result)
    refuse_missing_ends(result)
    refuse_many_nodes(result)
    if result.functions:
        result = inliner.inline_local_functions(result)
    name_nodes(result)
    refuse_domains(result)
    fix_input_shapes(result, shapes or {})
    inline_branches(result)
    refuse_control_flow(result)
    refuse_training(result)
    # Weights are initializers from here on, whatever the exporter made of them.
    hoist_constants(result)
    drop_unused(result)
    upgrade_opset(result)
    hoist_constants(result)
    cast_floats(result)
    dequantize_operators(result)
    guessed = guess_shapes(result)
    refuse_types(guessed)
    refuse_empty_windows(guessed)
    # Each round may show the shapes that the next one folds: Shape -> Concat -> Reshape -> ...
    infer_shapes(result)
    while fold_constants(result):
        infer_shapes(result)
    # Limits on integers, of activations: those of weights are folded by now.
    if move_integer_limits(result):
        infer_shapes(result)
    if dequantize_operands(result):
        infer_shapes(result)
    if rewrite_layer_norms(result):
        infer_shapes(result)
    remove_identities(result)
    _tidy(result)
    # What TVM would import as another Resize becomes what it imports right: behind the Transposes,
    # since it takes more of them in the layout of layers.
    if rewrite_resizes(result):
        infer_shapes(result)
        _tidy(result)
    if make_token_layers(result):
        infer_shapes(result)
        _tidy(result)
    if make_pools(result):
        infer_shapes(result)
    make_pads_explicit(result)
    merge_pads(result)
    infer_shapes(result)
    if gather_mirrored_pads(result):
        infer_shapes(result)
    refuse_empty_windows(result)
    refuse_types(result)
    refuse_sizes(result)
    refuse_numbers(result)
    return result


def _tidy(model: onnx.ModelProto) -> None:
    """Remove what has no effect, and the Transposes and Reshapes that need not be."""
    remove_noops(model)
    move_transposes(model)
    infer_shapes(model)
    remove_noops(model)
