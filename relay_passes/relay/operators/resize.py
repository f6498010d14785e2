"""Images in another size."""

from zeroskip.relay_passes.relay.operators.layout import (
    as_it_was,
    channels_first,
    data_layout,
    spatial,
)
from zeroskip.relay_passes.relay.operators.operation import Operation, Rule
from zeroskip.relay_passes.relay.values import RelayTensor

_METHODS = {
    "nearest_neighbor": "nearest",
    "linear": "linear",
    "bilinear": "linear",
    "trilinear": "linear",
    "cubic": "cubic",
    "bicubic": "cubic",
}
# TVM's words for how a place between two pixels is rounded; its "round" goes half up.
_ROUNDING = {
    "round": "round_prefer_ceil",
    "round_prefer_floor": "round_prefer_floor",
    "round_prefer_ceil": "round_prefer_ceil",
    "floor": "floor",
    "ceil": "ceil",
}
_CUBIC = -0.5  # TVM's coefficient where none is given


def _resized(
    op: Operation, size: tuple[int, ...], places: str, rounding: str, cubic: float
) -> RelayTensor:
    """The image in this size. places: ONNX's name for how pixels are mapped. rounding: TVM's."""
    layout = data_layout(op)
    image = channels_first(op, op.reals(0), layout)
    method = _METHODS[op.choice("method", "", *_METHODS)]
    # Left open, TVM rounds by how pixels are mapped.
    rounding = rounding or ("round" if places == "align_corners" else "floor")
    attrs: dict[str, object] = {}
    if method == "nearest":
        attrs["nearest_mode"] = _ROUNDING[rounding]
    if method == "cubic":
        attrs["cubic_coeff_a"] = cubic
    sizes = op.const([*image.shape[:2], *size], "int64")
    result = op.emit(
        "Resize",
        image,
        None,
        None,
        sizes,
        mode=method,
        coordinate_transformation_mode=places,
        **attrs,
    )
    return as_it_was(op, result, layout)


def _places(op: Operation) -> str:
    """How pixels are mapped; ONNX has the same names."""
    return op.choice(
        "coordinate_transformation_mode", "half_pixel", "half_pixel", "align_corners", "asymmetric"
    )


def _resize(op: Operation) -> RelayTensor:
    op.attrs.setdefault("method", "linear")
    if any(op.attr("roi", None) or ()):
        raise op.refuse("has a region of interest (roi): cut it out before")
    if op.integer("cubic_exclude", 0):
        raise op.refuse("has cubic_exclude: use a linear method")
    op.attr("extrapolation_value")
    if op.attr("out_dtype") not in (None, "", "void", op.tensor(0).dtype):
        raise op.refuse("has another out_dtype than its input: cast behind it")
    places = _places(op)
    rounding = op.choice("rounding_method", "round", "", *_ROUNDING)
    return _resized(
        op,
        op.sizes("size", len(spatial(op)), ()),
        places,
        rounding,
        op.number("cubic_alpha", _CUBIC),
    )


def _upsampling(op: Operation) -> RelayTensor:
    op.attrs.setdefault("method", "nearest_neighbor")
    default = f"NC{spatial(op)}"
    data, layout = op.tensor(0), op.text("layout", default)
    scales = {axis: op.number(f"scale_{axis.lower()}", 1) for axis in spatial(op)}
    if data.rank != len(default) or not all(0 < scale <= 1 << 16 for scale in scales.values()):
        by = " and ".join(f"{scale:g}" for scale in scales.values())
        raise op.refuse(f"by {by} of {data.type} makes no image")
    size = tuple(round(data.shape[layout.find(axis)] * scale) for axis, scale in scales.items())
    if min(size) < 1:
        raise op.refuse("makes an image without pixels: mend its scales")
    if "3d" in op.op:
        places = _places(op)
    else:
        places = "align_corners" if op.flag("align_corners") else "asymmetric"
    return _resized(op, size, places, "", _CUBIC)


TABLE = {
    **{f"image.resize{axes}d": Rule(_resize, 1) for axes in (1, 2, 3)},
    "nn.upsampling": Rule(_upsampling, 1),
    "nn.upsampling3d": Rule(_upsampling, 1),
}
