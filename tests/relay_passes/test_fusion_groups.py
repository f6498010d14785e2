import numpy as np
import pytest
import tvm
from tvm import relax

from tests.relay_passes.onnx_oracle import assert_close, run_tvm
from zeroskip.relay_passes.attrs import NODES_ATTR
from zeroskip.relay_passes.errors import FrontError, PassError
from zeroskip.relay_passes.relax.rewriting import (
    Env,
    bind,
    bindings,
    const_value,
    has_one_use,
    make_const,
    node_of,
    nodes_of,
    op_name,
    outputs,
    rebuild,
    substitute,
    users,
)

SHAPE = (1, 2, 4, 4)
WEIGHT = np.random.default_rng(3).standard_normal((2, 2, 1, 1)).astype(np.float32)


def function() -> relax.Function:
    """conv -> double = conv + conv -> (y = relu(double), halves = split(double))."""
    x = relax.Var("x", relax.TensorType(SHAPE, "float32"))
    builder = relax.BlockBuilder()
    with builder.function("main", [x]):
        with builder.dataflow():
            conv = bind(builder, relax.op.nn.conv2d(x, make_const(WEIGHT)), "conv")
            double = bind(builder, relax.op.add(conv, conv), "double")
            bind(builder, relax.op.exp(double), "dead")
            y = bind(builder, relax.op.nn.relu(double), "y", output=True)
            halves = bind(builder, relax.op.split(double, 2, axis=1), "halves")
            half = bind(builder, relax.TupleGetItem(halves, 1), "half", output=True)
        builder.emit_func_output(relax.Tuple([y, half]))
    nodes = {"conv": "m/conv", "double": "m/add", "y": "r", "halves": "s", "half": "s"}
    return builder.finalize()["main"].with_attrs({NODES_ATTR: nodes, "other": 5})


@pytest.mark.parametrize("dtype", ["float64", "float16", "int64", "int8", "uint8", "bool"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 0), (2, 3)])
def test_constants_keep_dtype_and_shape(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.ones(shape, dtype)
    value = const_value(make_const(array))
    assert value is not None
    assert value.dtype == array.dtype
    np.testing.assert_array_equal(value, array)
    assert value.shape == shape


def test_a_constants_value_cannot_be_changed_in_place() -> None:
    value = const_value(make_const(np.ones(3, np.float32)))
    assert value is not None
    with pytest.raises(ValueError, match="read-only"):
        value[0] = 2


def test_make_const_takes_any_layout_of_memory() -> None:
    array = np.arange(6, dtype=np.int64).reshape(2, 3).T
    np.testing.assert_array_equal(const_value(make_const(array)), array)


def test_queries() -> None:
    func = function()
    names = [binding.var.name for binding in bindings(func)]
    assert names == ["conv", "double", "dead", "y", "halves", "half"]
    assert op_name(bindings(func)[0].value) == "relax.nn.conv2d"
    assert op_name(bindings(func)[-1].value) is None
    assert [output.name for output in outputs(func)] == ["y", "half"]
    readers = {name: [use.var.name for use in uses] for name, uses in users(func).items()}
    assert readers == {
        "x": ["conv"], "conv": ["double"], "double": ["dead", "y", "halves"],
        "dead": [], "y": [], "halves": ["half"], "half": [],
    }  # fmt: skip
    # conv is read twice by one binding; y and half are outputs.
    assert has_one_use(func) == {"x", "halves"}
    assert node_of(func, bindings(func)[0].var) == "m/conv"
    assert node_of(func, bindings(func)[2].var) == "dead"


def test_an_unchanged_rebuild_only_drops_what_is_dead() -> None:
    func = function()
    again = rebuild(func, lambda builder, binding, env: None)
    assert [b.var.name for b in bindings(again)] == ["conv", "double", "y", "halves", "half"]
    assert again.params[0].same_as(func.params[0])
    assert int(again.attrs["other"]) == 5
    assert nodes_of(again) == nodes_of(func)
    assert len(again.body.blocks) == 1
    relax.analysis.well_formed(tvm.IRModule({"main": again}))
    x = np.random.default_rng(4).standard_normal(SHAPE).astype(np.float32)
    before, after = (
        run_tvm(tvm.IRModule({"main": f.with_attr("global_symbol", "main")}), [x])
        for f in (func, again)
    )
    assert_close(after, before, 0)


def test_shapes_are_inferred_again() -> None:
    def widen(builder: relax.BlockBuilder, binding: relax.VarBinding, env: Env) -> object:
        if op_name(binding.value) != "relax.nn.conv2d":
            return None
        weight = make_const(np.ones((6, 2, 1, 1), np.float32))
        return relax.op.nn.conv2d(env[binding.value.args[0]], weight)

    func = rebuild(function(), widen)
    assert [int(dim) for dim in func.ret_ty.fields[0].shape] == [1, 6, 4, 4]
    assert [int(dim) for dim in func.ret_ty.fields[1].shape] == [1, 3, 4, 4]


def test_extra_bindings_inherit_the_node_and_get_free_names() -> None:
    def expand(builder: relax.BlockBuilder, binding: relax.VarBinding, env: Env) -> object:
        if binding.var.name != "conv":
            return None
        first = builder.emit(substitute(binding.value, env), "double")
        return relax.op.add(first, make_const(np.float32(1)))

    func = rebuild(function(), expand)
    names = [binding.var.name for binding in bindings(func)]
    assert names[1:] == ["conv", "double", "y", "halves", "half"]
    assert len(set(names)) == len(names)
    assert nodes_of(func)[names[0]] == "m/conv"


def test_returning_a_variable_drops_the_binding() -> None:
    def skip(builder: relax.BlockBuilder, binding: relax.VarBinding, env: Env) -> object:
        return env[binding.value.args[0]] if binding.var.name in ("double", "y") else None

    func = rebuild(function(), skip)
    # y is an output, so a binding by that name must stay.
    assert [binding.var.name for binding in bindings(func)] == ["conv", "y", "halves", "half"]
    x = np.random.default_rng(5).standard_normal(SHAPE).astype(np.float32)
    mod = tvm.IRModule({"main": func.with_attr("global_symbol", "main")})
    y, half = run_tvm(mod, [x])
    assert_close([y[:, 1:]], [half], 0)


def test_an_item_of_a_replaced_tuple_is_the_element() -> None:
    def untuple(builder: relax.BlockBuilder, binding: relax.VarBinding, env: Env) -> object:
        if binding.var.name == "halves":
            return relax.Tuple([env[binding.value.args[0]]] * 2)
        return None

    func = rebuild(function(), untuple)
    assert [int(dim) for dim in func.ret_ty.fields[1].shape] == [1, 2, 4, 4]


@pytest.mark.parametrize("error", [FrontError, PassError])
def test_errors_keep_their_class_through_a_pass(error: type[Exception]) -> None:
    def fail(
        func: relax.Function, mod: tvm.IRModule, ctx: tvm.transform.PassContext
    ) -> relax.Function:
        raise error("Node 'a' is wrong: mend it.")

    failing = relax.transform.function_pass(fail, opt_level=0, name="Fail")
    mod = tvm.IRModule({"main": function()})
    with pytest.raises(error) as caught:
        tvm.transform.Sequential([failing])(mod)
    assert str(caught.value) == "Node 'a' is wrong: mend it."
