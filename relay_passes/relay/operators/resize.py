"""Images in another size."""

from zeroskip.relay_passes.relay.operators.layout import data_layout, from_nchw, to_nchw
from zeroskip.relay_passes.relay.operators.operation import Operation, Rule
from zeroskip.relay_passes.relay.values import RelayTensor

_METHODS = {
    "nearest_neighbor": "nearest",
    "linear": "linear",
    "bilinear": "linear",
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
    op: Operation, size: tuple[int, int], places: str, rounding: str, cubic: float
) -> RelayTensor:
    """The image in this size. places: ONNX's name for how pixels are mapped. rounding: TVM's."""
    layout = data_layout(op)
    image = to_nchw(op, op.reals(0), layout)
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
    return from_nchw(op, result, layout)


def _resize2d(op: Operation) -> RelayTensor:
    op.attrs.setdefault("method", "linear")
    if any(op.attr("roi", None) or ()):
        raise op.refuse("has a region of interest (roi): cut it out before")
    if op.integer("cubic_exclude", 0):
        raise op.refuse("has cubic_exclude: use a linear method")
    op.attr("extrapolation_value")
    if op.attr("out_dtype") not in (None, "", "void", op.tensor(0).dtype):
        raise op.refuse("has another out_dtype than its input: cast behind it")
    places = op.choice(
        "coordinate_transformation_mode", "half_pixel", "half_pixel", "align_corners", "asymmetric"
    )
    rounding = op.choice("rounding_method", "round", "", *_ROUNDING)
    return _resized(op, op.pair("size", ()), places, rounding, op.number("cubic_alpha", _CUBIC))


def _upsampling(op: Operation) -> RelayTensor:
    op.attrs.setdefault("method", "nearest_neighbor")
    data, layout = op.tensor(0), op.text("layout", "NCHW")
    scales = op.number("scale_h", 1), op.number("scale_w", 1)
    if data.rank != 4 or not all(0 < scale <= 1 << 16 for scale in scales):
        raise op.refuse(f"by {scales[0]:g} and {scales[1]:g} of {data.type} makes no image")
    height, width = (
        round(data.shape[layout.find(letter)] * scale)
        for letter, scale in zip("HW", scales, strict=True)
    )
    if min(height, width) < 1:
        raise op.refuse("makes an image without pixels: mend its scales")
    places = "align_corners" if op.flag("align_corners") else "asymmetric"
    return _resized(op, (height, width), places, "", _CUBIC)


TABLE = {
    "image.resize2d": Rule(_resize2d, 1),
    "nn.upsampling": Rule(_upsampling, 1),
}
