"""TOSA's text to integer layers: what is exact, what is told, what is refused."""

from __future__ import annotations

import re

import numpy as np
import pytest

from conftest import SEED
from tests.relay_passes.integer_texts import (
    CLAMP,
    module,
    number,
    printed_conv,
    rescale,
    run_layers,
)
from zeroskip.relay_passes.errors import FrontError
from zeroskip.relay_passes.integer.layers import (
    AvgPoolLayer,
    ConvLayer,
    MaxPoolLayer,
    RequantizeLayer,
)
from zeroskip.relay_passes.tosa.arithmetic import odds, reciprocal, scaled
from zeroskip.relay_passes.tosa.evaluate import evaluate
from zeroskip.relay_passes.tosa.read_tosa import check_integers, tosa_to_integer
from zeroskip.relay_passes.tosa.reader import Reader
from zeroskip.relay_passes.tosa.syntax import read_module

X = "tensor<1x4x4x2xi8>"
BYTE_SCALE = "\n".join(
    [number("m", 1518500250, "i32"), number("s", 31), number("zx", 3), number("zy", -7)]
)
POOL = (
    "{acc_type = i32, kernel = array<i64: 2, 2>, pad = array<i64: 0, 0, 0, 0>, "
    "stride = array<i64: 2, 2>}"
)
HALF = "tensor<1x2x2x2xi8>"


def average(zero: int) -> str:
    kinds = "tensor<1xi8>, tensor<1xi8>"
    return number("z", zero) + (
        f"\n%y = tosa.avg_pool2d %x, %z, %z {POOL} : ({X}, {kinds}) -> {HALF}"
    )


def read(text: str) -> Reader:
    """A module; its layers compute what the text means, of random bytes."""
    parsed = read_module(text, "t.mlir")
    reader = Reader(parsed)
    rng = np.random.default_rng(SEED)
    given = [rng.integers(-128, 128, each.shape).astype(np.int8) for each in reader.inputs]
    if not reader.building.differences:
        for want, got in zip(evaluate(parsed, given), run_layers(reader, given), strict=True):
            assert np.array_equal(want, got.view(np.int8))
    return reader


def kinds(reader: Reader) -> list[str]:
    return [made.layer.kind for made in reader.building.made if made.layer is not None]


def test_scaling_is_the_specifications() -> None:
    """By hand: 5/4 is 1.25; halves go up, and by DOUBLE_ROUND those below zero away from it."""
    assert scaled(np.array([5]), 1 << 30, 32) == 1
    values = np.array([2, 6, -2, -6])  # over 4: 0.5, 1.5, -0.5, -1.5
    assert scaled(values, 1 << 30, 32).tolist() == [1, 2, 0, -1]
    assert scaled(values, 1 << 30, 32, double=True).tolist() == [1, 2, -1, -2]
    assert reciprocal(4) == ((1 << 30) + 1, 32)
    assert reciprocal(1) == ((1 << 30) + 1, 30)


def test_a_change_of_scale_is_exact() -> None:
    reader = read(module(BYTE_SCALE + "\n" + rescale("y", "x", X, X)))
    (made,) = reader.building.made
    assert isinstance(made.layer, RequantizeLayer)
    assert (reader.inputs[0].zero, made.zero) == (3, -7)
    assert not reader.building.differences


def test_halves_that_go_up_are_a_convolution_by_ones() -> None:
    """A scale of a half: half of all bytes lie halfway, where layers go to even."""
    half = BYTE_SCALE.replace("1518500250", str(1 << 30))
    reader = read(module(half + "\n" + rescale("y", "x", X, X)))
    (made,) = [each for each in reader.building.made if isinstance(each.layer, ConvLayer)]
    assert not reader.building.differences
    assert np.all(made.layer.weight == 1)  # type: ignore[union-attr]


def test_an_average_pool_is_exact_whatever_its_zero() -> None:
    """TOSA's goes away from zero in halves, which an average here does not."""
    reader = read(module(average(0), result=HALF))
    assert kinds(reader) == ["conv"]
    clamped = f"%c = tosa.clamp %x {CLAMP}\n" + average(0).replace("%x", "%c")
    assert "avgpool" not in kinds(read(module(clamped, result=HALF)))
    large = average(0).replace("i64: 2, 2", "i64: 3, 3", 1)  # of nine no half is left
    kind = "tensor<1x3x3x2xi8>"
    found = read(
        module(
            large.replace(X, kind).replace(HALF, "tensor<1x1x1x2xi8>"), kind, "tensor<1x1x1x2xi8>"
        )
    )
    assert any(isinstance(made.layer, AvgPoolLayer) for made in found.building.made)


def test_limits_belong_to_the_layer_before() -> None:
    pool = f"%p = tosa.max_pool2d %x {POOL} : ({X}) -> {HALF}\n"
    clamp = f"%y = tosa.clamp %p {CLAMP}".replace(X, HALF)
    reader = read(module(pool + clamp, result=HALF))
    (made,) = [each for each in reader.building.made if isinstance(each.layer, MaxPoolLayer)]
    assert (made.layer.lo, made.layer.hi) == (0, 127)  # type: ignore[union-attr]
    assert "requantise" not in kinds(reader)


def test_limits_of_one_reader_do_not_reach_another() -> None:
    """Both the pool's result and the limited one are read: the limits are a layer of their own."""
    pool = f"%p = tosa.max_pool2d %x {POOL} : ({X}) -> {HALF}\n"
    clamp = f"%c = tosa.clamp %p {CLAMP}\n".replace(X, HALF)
    joined = f"%y = tosa.concat %p, %c {{axis = 3 : i32}} : ({HALF}, {HALF}) -> tensor<1x2x2x4xi8>"
    reader = read(module(pool + clamp + joined, result="tensor<1x2x2x4xi8>"))
    assert kinds(reader).count("requantise") == 1


def test_double_rounding_is_told() -> None:
    lines = BYTE_SCALE.replace("dense<31>", "dense<40>")
    text = module(lines + "\n" + rescale("y", "x", X, X, rounding_mode="DOUBLE_ROUND"))
    exact = read(text).building.differences
    assert not exact  # tried for each of the 256 bytes
    text = module(printed_conv("DOUBLE_ROUND", 40))
    (told,) = Reader(read_module(text, "t.mlir")).building.differences
    how = "it rounds twice (DOUBLE_ROUND), layers once, which is a step in 1,024 sums"
    assert (told.label, told.how) == ("conv2d_a", how)
    assert not Reader(
        read_module(module(printed_conv("DOUBLE_ROUND", 31)), "t.mlir")
    ).building.differences


@pytest.mark.parametrize("shift", [32, 34, 37])
def test_how_often_rounding_twice_is_another_integer(shift: int) -> None:
    """As often as the sentence says, and away from zero; up to a shift of 31 never."""
    mult = int(np.random.default_rng(SEED).integers(1 << 30, 1 << 31))
    values = np.arange(-(1 << 17), 1 << 17)
    off = scaled(values, mult, shift, double=True) - scaled(values, mult, shift)
    assert set(np.unique(off * np.sign(values))) <= {0, 1}
    said = int(odds(np.array([shift])).replace(",", ""))
    assert np.count_nonzero(off) == pytest.approx(values.size / said, rel=0.3)
    assert odds(np.array([31, shift, shift + 2])) == f"{said:,} to {4 * said:,}"
    assert np.array_equal(scaled(values, mult, 31, double=True), scaled(values, mult, 31))


def test_layers_are_called_by_their_location() -> None:
    text = module(printed_conv()).replace(
        "-> tensor<1x4x4x2xi32>", "-> tensor<1x4x4x2xi32> loc(#loc1)"
    )
    reader = read(text + '#loc = loc("net":0:0)\n#loc1 = loc("stem/conv;stem/relu"(#loc))\n')
    assert [made.label for made in reader.building.made][-2:] == ["stem/conv", "output/transpose"]


def test_the_whole_is_held_to_the_text() -> None:
    model = tosa_to_integer(module(printed_conv()), name="one")
    assert model.differences == ()
    check_integers(model)
    other = tosa_to_integer(module(printed_conv().replace("dense<11>", "dense<12345>")))
    wrong = type(model)(model.name, other.integer, model.floating, (), model.text)
    with pytest.raises(FrontError, match=r"'one' is read as layers that do not give .* 'output'"):
        check_integers(wrong)


def cut(y: str, x: str, whole: str, start: str, size: str) -> str:
    """A slice, and its shapes."""
    made = f"tensor<{size.replace(', ', 'x')}xi8>"
    rank = start.count(",") + 1
    held = [
        f"%{y}{name} = tosa.const_shape {{values = dense<[{value}]> : tensor<{rank}xindex>}} : () "
        f"-> !tosa.shape<{rank}>"
        for name, value in (("a", start), ("n", size))
    ]
    kinds = f"{whole}, !tosa.shape<{rank}>, !tosa.shape<{rank}>"
    return "\n".join([*held, f"%{y} = tosa.slice %{x}, %{y}a, %{y}n : ({kinds}) -> {made}"])


@pytest.mark.parametrize(
    ("start", "size", "made"),
    [
        ("0, 1, 0, 0", "1, 2, 4, 2", ["gather"]),
        ("0, 1, 2, 1", "1, 3, 2, 1", ["gather"]),
        ("0, 0, 0, 1", "1, 4, 4, 1", ["gather"]),  # of channels, read by no convolution
        ("0, 0, 0, 0", "1, 3, 4, 2", ["gather"]),  # of the first rows
        ("0, 0, 0, 0", "1, 4, 4, 2", []),
    ],
)
@pytest.mark.parametrize("behind", ["clamp", "slice", "nothing"])
def test_a_slice_of_an_activation_is_a_layer(
    start: str, size: str, made: list[str], behind: str
) -> None:
    part = f"tensor<{size.replace(', ', 'x')}xi8>"
    text, last = cut("p", "x", X, start, size), part
    if behind == "clamp":
        text += f"\n%y = tosa.clamp %p {CLAMP}".replace(X, part)
    elif behind == "nothing":
        text = cut("y", "x", X, start, size)
    else:
        last = f"tensor<1x1x{size[6:].replace(', ', 'x')}xi8>"
        text += "\n" + cut("y", "p", part, "0, 1, 0, 0", f"1, 1, {size[6:]}")
    found = kinds(read(module(text, X, last)))
    assert [each for each in found if each == "gather"][: len(made)] == made


def test_some_images_are_refused() -> None:
    whole, part = "tensor<2x4x4x2xi8>", "tensor<1x4x4x2xi8>"
    text = module(cut("y", "x", whole, "1, 0, 0, 0", "1, 4, 4, 2"), whole, part)
    with pytest.raises(FrontError, match=r"tosa\.slice takes some of the images"):
        Reader(read_module(text, "t.mlir"))


def test_flattened_pixels_meet_their_weights() -> None:
    """Channels last in the text, first in the activation: the weights are in another order."""
    flat, wide = "tensor<1x1x1x32xi8>", "tensor<1x1x1x2xi32>"
    values = ", ".join(str(n % 7 - 3) for n in range(64))
    weight = f'%w2 = "tosa.const"() <{{values = dense<[{values}]> : tensor<64xi8>}}> : () -> tensor<64xi8>'
    turned = ", ".join(f"{n}" for n in (2, 1, 1, 32))
    lines = [
        printed_conv().replace("%y =", "%r ="),
        weight,
        "%to = tosa.const_shape {values = dense<[1, 1, 1, 32]> : tensor<4xindex>} : () -> !tosa.shape<4>",
        f"%of = tosa.const_shape {{values = dense<[{turned}]> : tensor<4xindex>}} : () -> !tosa.shape<4>",
        "%k = tosa.reshape %w2, %of : (tensor<64xi8>, !tosa.shape<4>) -> tensor<2x1x1x32xi8>",
        f"%f = tosa.reshape %r, %to : ({X}, !tosa.shape<4>) -> {flat}",
        "%d = tosa.conv2d %f, %k, %b, %zy, %zw {acc_type = i32, dilation = array<i64: 1, 1>, "
        "pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>} : "
        f"({flat}, tensor<2x1x1x32xi8>, tensor<2xi32>, tensor<1xi8>, tensor<1xi8>) -> {wide}",
        rescale("y", "d", wide, "tensor<1x1x1x2xi8>", "%m, %s, %wide, %zy"),
    ]
    text = "\n".join(lines).replace("dense<38>", "dense<34>")
    assert "dense" in kinds(read(module(text, result="tensor<1x1x1x2xi8>")))


def test_a_constant_may_be_a_resource_behind_the_text() -> None:
    """Also for the second text of a process that has one of the same name."""
    text = module(printed_conv())
    inline = '"tosa.const"() <{values = dense<"0x0102FF03"> : tensor<2x1x1x2xi8>}>'
    assert inline in text
    held = text.replace('dense<"0x0102FF03">', "dense_resource<torch_tensor.w_1>")
    for content in ("0102FF03", "04FE0105"):
        blob = f'{{-# dialect_resources: {{ builtin: {{ torch_tensor.w_1: "0x01000000{content}" }} }} #-}}'
        found, want = (
            [m.layer for m in read(each).building.made if m.label == "conv2d_a"]
            for each in (held + blob, text.replace("0102FF03", content))
        )
        assert np.array_equal(found[0].weight, want[0].weight)  # type: ignore[union-attr]


def test_another_zero_point_is_made_up_for() -> None:
    """What a rescale gives zero point -7 a convolution reads with 3."""
    text = (
        BYTE_SCALE.replace("%zx", "%z0")
        .replace("%zy", "%z1")
        .replace("%m", "%m0")
        .replace("%s ", "%s0 ")
    )
    names = "%m0, %s0, %z0, %z1"
    first = rescale("q", "x", X, X, names).replace(
        "tensor<1xi8>, tensor<1xi8>, tensor<1xi8>, tensor<1xi8>",
        "tensor<1xi32>, tensor<1xi8>, tensor<1xi8>, tensor<1xi8>",
    )
    second = printed_conv().replace("tosa.conv2d %x", "tosa.conv2d %q")
    reader = read(module("\n".join([text, first, second])))
    (conv,) = [m.layer for m in reader.building.made if m.label == "conv2d_a"]
    assert conv.bias.tolist() != [11, 11]  # type: ignore[union-attr]


WRONG = {
    "another operator": (
        module('%y = "tosa.sigmoid"(%x) : (tensor<1x4x4x2xi8>) -> tensor<1x4x4x2xi8>'),
        r"t\.mlir line 3: tosa\.sigmoid is no operator of the accelerator's integer layers",
    ),
    "floats": (
        module("%y = tosa.identity %x : (tensor<4xf32>) -> tensor<4xf32>", "tensor<4xf32>"),
        r"line 2: func\.func has a tensor of f32: .* quantize the network to int8",
    ),
    "an open size": (
        module(f"%y = tosa.clamp %x {CLAMP}", "tensor<?x4x4x2xi8>"),
        r"is not MLIR that can be read|has an open dimension",
    ),
    "sums that leave": (
        module(printed_conv().rpartition("\n")[0].replace("%a =", "%y ="), result="tensor<1x4x4x2xi32>"),
        r"a result of @main is no int8 tensor",
    ),
    "zero points of weights": (
        module(printed_conv().replace(number("zw", 0), number("zw", 1))),
        r"line 11: tosa\.conv2d has weights with a zero point",
    ),
    "a shift too small": (module(printed_conv(shift=1)), r"has a shift outside 2\.\.62"),
    "windows that do not divide": (
        module(f"%y = tosa.max_pool2d %x {POOL} : ({X}) -> tensor<1x3x2x2xi8>", result="tensor<1x3x2x2xi8>"),
        r"makes 1x3x2x2 of 1x4x4x2, which its windows do not",
    ),
    "padded averages": (
        module(average(0).replace("i64: 0, 0, 0, 0", "i64: 1, 1, 1, 1").replace(HALF, "tensor<1x3x3x2xi8>"), result="tensor<1x3x3x2xi8>"),
        r"averages windows beyond the border",
    ),
    "old TOSA": (
        module(f"%y = tosa.avg_pool2d %x {POOL} : ({X}) -> {HALF}", result=HALF),
        r"has 1 operands and lacks one: write TOSA 1\.0",
    ),
    "two heads": (
        module(f"%y = tosa.clamp %x {CLAMP}").replace("@main", "@a").replace(
            "module {", "module {\n  func.func @b(%x: tensor<1xi8>) -> tensor<1xi8> {\n return %x : tensor<1xi8>\n }"
        ),
        r"holds 2 functions that no other calls",
    ),
    "a value made behind": (
        module(f"%y = tosa.clamp %q {CLAMP}\n%q = tosa.clamp %x {CLAMP}"),
        r"line 3: tosa\.clamp reads a value that is made behind it",
    ),
    "integers of too many bits": (
        module('%w = "tosa.const"() <{values = dense<1> : tensor<2xi900000000>}> : () -> tensor<2xi900000000>'),
        r"line 3: has an integer type of 900000000 bits",
    ),
    "a splat beyond memory": (
        module('%w = "tosa.const"() <{values = dense<0> : tensor<9999999xi8>}> : () -> tensor<9999999xi8>'),
        r"its splats \(dense<0>\) have more than 1048576 elements",
    ),
    "parts that do not fit": (
        module(
            f"%p = tosa.max_pool2d %x {POOL} : ({X}) -> {HALF}\n"
            f"%y = tosa.concat %x, %p {{axis = 3 : i32}} : ({X}, {HALF}) -> tensor<1x4x4x4xi8>",
            result="tensor<1x4x4x4xi8>",
        ),
        r"joins tensors of shapes that do not fit",
    ),
    "no text of MLIR": ("%y = =", r"t\.mlir line 1: is not MLIR that can be read"),
    "nothing": ("", r"t\.mlir: holds no function"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_refused(name: str) -> None:
    text, message = WRONG[name]
    with pytest.raises(FrontError) as found:
        tosa_to_integer(text, "t.mlir")
    assert re.search(message, str(found.value)), str(found.value)


def test_functions_that_call_each_other_are_refused() -> None:
    call = "  func.func @{0}(%x: tensor<1xi8>) -> tensor<1xi8> {{\n{1}    return %x : tensor<1xi8>\n  }}\n"
    lines = [
        call.format(
            f"f{i}", f"    %a = func.call @f{i + 1}(%x) : (tensor<1xi8>) -> tensor<1xi8>\n" * 1
        )
        for i in range(20)
    ]
    text = "module {\n" + "".join(lines) + call.format("f20", "") + "}\n"
    with pytest.raises(FrontError, match="calls a function that is not in the module, or too deep"):
        tosa_to_integer(text.replace("%a =", "%a ="), "t.mlir")
