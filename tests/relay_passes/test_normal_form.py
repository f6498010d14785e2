"""Users' modules in normal form: the same numbers, in channels first, the entry as ``main``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tvm
from tvm import relax

from zeroskip.accel_model.spec import load_spec
from zeroskip.compiler.driver import compile as compile_network
from zeroskip.relay_passes import NormaliseRelax, QuantizeInt8
from zeroskip.relay_passes.attrs import ENTRY_ATTR, INPUTS_ATTR, NODES_ATTR, OUTPUTS_ATTR
from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.import_check import RelaxCheck
from zeroskip.relay_passes.relax.cpu import compile_for_cpu, run_cpu
from zeroskip.relay_passes.relax.entry import entry_of, public_functions
from zeroskip.relay_passes.relax.layouts import fold_transpositions
from zeroskip.relay_passes.relax.normal_form import bind_shapes
from zeroskip.relay_passes.relax.passes import with_main
from zeroskip.relay_passes.relax.rewriting import bindings, op_name

op = relax.op
RNG = np.random.default_rng(5)
X = RNG.standard_normal((1, 6, 6, 4)).astype(np.float32)
LAST = {"data_layout": "NHWC", "kernel_layout": "HWIO"}


def const(*shape: int) -> Any:
    return relax.const(RNG.standard_normal(shape).astype(np.float32))


def module(
    body: Callable[[relax.BlockBuilder, Any], Any], shape: tuple[Any, ...] = X.shape
) -> tvm.IRModule:
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType(shape, "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            out = builder.emit_output(body(builder, x))
        builder.emit_func_output(out)
    return builder.get()


def evaluated(mod: tvm.IRModule, x: np.ndarray = X) -> list[np.ndarray]:
    return run_cpu(compile_for_cpu(mod), "main", [x])


def operators(mod: tvm.IRModule) -> list[str]:
    names = [op_name(each.value) for each in bindings(mod["main"])]
    return [name.rpartition(".")[2] for name in names if name is not None]


def joins(b: relax.BlockBuilder, x: Any) -> Any:
    """Concatenated channels, a mean and a result that is also read inside."""
    y = b.emit(op.nn.conv2d(x, const(3, 3, 4, 8), padding=1, **LAST))
    z = b.emit(op.nn.relu(b.emit(op.multiply(y, const(8)))))
    both = b.emit(op.concat([y, z], axis=-1))
    pooled = b.emit(op.nn.avg_pool2d(both, (2, 2), strides=(2, 2), layout="NHWC"))
    return relax.Tuple([both, b.emit(op.mean(pooled, axis=[1, 2], keepdims=True))])


def flattens(b: relax.BlockBuilder, x: Any) -> Any:
    y = b.emit(op.nn.conv2d(x, const(3, 3, 1, 4), groups=4, **LAST))
    return b.emit(op.matmul(b.emit(op.reshape(y, (1, 64))), const(64, 5)))


def global_pool(b: relax.BlockBuilder, x: Any) -> Any:
    y = b.emit(op.nn.conv2d(x, const(1, 1, 4, 8), **LAST))
    y = b.emit(op.nn.adaptive_avg_pool2d(y, (1, 1), layout="NHWC"))
    return b.emit(op.matmul(b.emit(op.reshape(y, (1, 8))), const(8, 3)))


def other_kernel(b: relax.BlockBuilder, x: Any) -> Any:
    first = b.emit(op.permute_dims(x, [0, 3, 1, 2]))
    y = op.nn.conv2d(first, const(3, 3, 4, 8), data_layout="NCHW", kernel_layout="HWIO")
    return b.emit(op.add(b.emit(y), const(8, 1, 1)))


LAYOUTS = {
    joins: ["permute_dims", "conv2d", "multiply", "relu", "concat", "avg_pool2d", "mean"],
    flattens: ["permute_dims", "conv2d", "reshape", "matmul"],
    global_pool: ["permute_dims", "conv2d", "adaptive_avg_pool2d", "reshape", "matmul"],
    other_kernel: ["permute_dims", "conv2d", "add"],
}


@pytest.mark.parametrize("body", LAYOUTS, ids=lambda body: body.__name__)
def test_channels_first(body: Callable[..., Any]) -> None:
    """One transposition at the input, none between layers; at the end where a result wants one."""
    mod = module(body)
    made = NormaliseRelax()(mod)
    assert [each for each in operators(made) if each != "permute_dims"] == [
        each for each in LAYOUTS[body] if each != "permute_dims"
    ] + ["reshape"] * (body is joins)
    assert operators(made).count("permute_dims") == 1 + (body is joins)
    assert "NHWC" not in made.script()
    assert "HWIO" not in made.script()
    for got, want in zip(evaluated(made), evaluated(mod), strict=True):
        assert np.allclose(got, want, rtol=1e-4, atol=1e-4)


def test_a_pool_with_indices_as_torch_has_it() -> None:
    """A tuple of the pool and of zeros, of which the pool alone is read: one operator is left."""

    def body(b: relax.BlockBuilder, x: Any) -> Any:
        y = b.emit(op.nn.max_pool2d(x, (2, 2)))
        both = b.emit(relax.Tuple([y, b.emit(op.zeros_like(y))]))
        return relax.Tuple([b.emit(op.nn.relu(b.emit(relax.TupleGetItem(both, 0))))])

    mod = module(body)
    made = NormaliseRelax()(mod)
    assert operators(made) == ["max_pool2d", "relu"]
    assert np.array_equal(evaluated(made), evaluated(mod))


@pytest.mark.parametrize("seed", range(8))
def test_transpositions_are_joined(seed: int) -> None:
    """Two at random, flattened before a product: at most one is left, and the numbers stay."""
    rng = np.random.default_rng(seed)
    first, second = (list(map(int, rng.permutation(4))) for _ in range(2))
    if seed % 2:  # the batch stays first: all of it goes into the weights
        first, second = ([0, *(axis for axis in axes if axis)] for axes in (first, second))
    shape = tuple(map(int, rng.permutation([1, 2, 3, 4])))
    if seed % 2:
        shape = (1, *map(int, rng.permutation([2, 3, 4])))
    rows = [shape[first[axis]] for axis in second]

    def body(b: relax.BlockBuilder, x: Any) -> Any:
        y = b.emit(op.permute_dims(b.emit(op.permute_dims(x, first)), second))
        flat = b.emit(op.reshape(y, (rows[0], int(np.prod(rows[1:])))))
        return relax.Tuple([b.emit(op.matmul(flat, const(int(np.prod(rows[1:])), 3))), flat])

    mod = module(body, shape)
    made = with_main(mod, fold_transpositions(mod["main"]))
    assert operators(made).count("permute_dims") <= 1
    x = rng.standard_normal(shape).astype(np.float32)
    for got, want in zip(evaluated(made, x), evaluated(mod, x), strict=True):
        assert np.allclose(got, want, rtol=1e-4, atol=1e-4), f"seed {seed}"


def test_names_are_given_once() -> None:
    made = NormaliseRelax()(module(flattens))
    attrs = made["main"].attrs
    assert list(attrs[INPUTS_ATTR]) == ["x"]
    assert len(attrs[OUTPUTS_ATTR]) == 1
    assert set(attrs[NODES_ATTR]) == {str(each.var.name) for each in bindings(made["main"])}
    assert NormaliseRelax()(made).same_as(made)


def test_a_normal_form_that_computes_something_else_is_refused() -> None:
    mod = module(flattens)
    made = NormaliseRelax()(mod)
    check = RelaxCheck(mod, made, [X])
    (right,) = evaluated(made)
    check([right])
    check([None])  # a constant
    assert check.agrees([right])
    assert not check.agrees([right * 1.05])
    with pytest.raises(PassError, match=r"agrees with the module that was given to 26 dB, 40 are"):
        check([right * 1.05])


def shared() -> tvm.IRModule:
    """Public functions `one` and `two` that call the same TIR function, `one` by a private one."""
    builder = relax.BlockBuilder()
    ty = relax.TensorType((1, 4), "float32")
    inner = None
    for name in ("inner", "one", "two"):
        x = relax.Var("x", ty)
        with builder.function(name, [x], private=name == "inner"):
            value = op.add(x, x) if inner is None or name == "two" else relax.Call(inner, [x])
            builder.emit_func_output(builder.emit(value))
        if name == "inner":
            inner = builder.get().get_global_var("inner")
    return relax.transform.LegalizeOps()(builder.get())


def test_the_entry_is_main_and_back() -> None:
    mod = shared()
    assert public_functions(mod) == ["one", "two"]
    entry = entry_of(mod, "one")
    assert {var.name_hint for var in entry.module.get_global_vars()} == {"main", "inner", "add"}
    assert entry.module["main"].attrs["global_symbol"] == "main"
    assert entry.module["main"].attrs[ENTRY_ATTR] == "one"
    back = entry.put_back(entry.module)
    assert back["two"].same_as(mod["two"])
    tvm.ir.assert_structural_equal(back, mod)


def test_a_pass_takes_the_entry_alone() -> None:
    """By whatever name; what it does not call is the object that it was, whatever that holds."""
    size = tvm.tirx.Var("n", "int64")
    mod = tvm.IRModule(
        {
            "forward": module(flattens)["main"].with_attr("global_symbol", "forward"),
            "other": module(lambda b, x: b.emit(op.nn.relu(x)), (size, 6, 6, 4))["main"]
            .with_attr("global_symbol", "other")
            .with_attr("Primitive", 1),
        }
    )
    made = NormaliseRelax()(mod)
    assert [var.name_hint for var in made.get_global_vars()] == ["forward", "other"]
    assert made["other"].same_as(mod["other"])
    assert made["forward"].attrs["global_symbol"] == "forward"
    assert ENTRY_ATTR not in made["forward"].attrs


def test_quantization_alone_refuses_a_lowered_module_too() -> None:
    lowered = relax.transform.LegalizeOps()(module(flattens))
    with pytest.raises(PassError, match=r"calls 'conv2d', .*before relax.transform.LegalizeOps"):
        QuantizeInt8(samples={"x": X})(lowered)


def test_new_functions_do_not_take_the_names_of_others() -> None:
    mod = shared()
    entry = entry_of(mod, "one")
    made = {**entry.module.functions, tvm.ir.GlobalVar("two"): entry.module["inner"]}
    back = entry.put_back(tvm.IRModule(made))
    assert back["two"].same_as(mod["two"])
    names = {var.name_hint for var in back.get_global_vars()}
    assert names == {"one", "two", "two_1", "inner", "add"}


def test_shapes_are_bound() -> None:
    size = tvm.tirx.Var("n", "int64")
    mod = module(lambda b, x: b.emit(op.nn.relu(x)), (size, 6, 6, 4))
    bound = bind_shapes(mod, {"x": (2, 6, 6, 4)})
    assert [int(each) for each in bound["main"].params[0].ty.shape] == [2, 6, 6, 4]
    assert bind_shapes(mod, {}).same_as(mod)
    for shapes, sentence in (
        ({"x": (2, 6, 6, 5)}, r"'x' cannot have the shape \[2, 6, 6, 5\]"),
        ({"x": (2, 6, 6)}, r"'x' cannot have the shape \[2, 6, 6\]"),
        ({"y": (2,)}, "'y' is given a shape and is no input: the inputs are 'x'"),
    ):
        with pytest.raises(PassError, match=sentence):
            bind_shapes(mod, shapes)


def test_a_network_is_called_after_its_function() -> None:
    mod = entry_of(module(flattens)).module
    named = tvm.IRModule({"classify": mod["main"].with_attr("global_symbol", "classify")})
    spec = load_spec("dense256")
    assert compile_network(named, spec, calibrate={"x": X}).name == "classify"
    assert compile_network(mod, spec, calibrate={"x": X}).name == "network"
