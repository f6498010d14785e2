"""What every pass shares: constants, bindings, users and the rebuilding of a Relax function.

A function here is one dataflow block of variable bindings in A-normal form, as `import_onnx`
makes it. Each binding's variable is named after the ONNX node it came from, and the function
attribute `zeroskip.nodes` maps the variable's name to the node's own name; `rebuild` keeps both.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax
from tvm.ir import Call, GenericConst, Op

from zeroskip.relay_passes.attrs import NODES_ATTR
from zeroskip.relay_passes.errors import PassError

Array: TypeAlias = npt.NDArray[np.generic]
Env: TypeAlias = dict[relax.Var, relax.Expr]
Visit: TypeAlias = Callable[[relax.BlockBuilder, relax.VarBinding, Env], "relax.Expr | None"]


def const_value(expr: relax.Expr) -> Array | None:
    """The array of a constant, not a copy and not writable; None for all else."""
    if not isinstance(expr, GenericConst):
        return None
    value = _view(expr.value)
    if value is None:
        value = expr.value.numpy()
    value.flags.writeable = False
    return value


def const_number(expr: relax.Expr) -> float | None:
    """The value of a constant or an attribute that is one number; None for all else."""
    value = const_value(expr)
    if value is None:
        value = getattr(expr, "value", None)
    return float(np.reshape(value, ())) if value is not None and np.size(value) == 1 else None


_PLAIN = {
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    "float16",
    "float32",
    "float64",
}


def make_const(array: npt.ArrayLike) -> relax.Expr:
    """A constant of the array's own dtype (plain `relax.const` narrows int64 and float64).

    Copied once, whatever its strides: the weights of a network may be half of the memory.
    """
    value = np.asarray(array)
    tensor = tvm.runtime.empty(value.shape, str(value.dtype))
    view = _view(tensor)
    if view is None:
        return relax.const(np.ascontiguousarray(value).reshape(value.shape), str(value.dtype))
    view[...] = value
    return relax.const(tensor)


def _view(tensor: tvm.runtime.Tensor) -> Array | None:
    """The memory of a tensor, where numpy can look at its type (TVM's bool it cannot)."""
    if str(tensor.dtype) not in _PLAIN:
        return None
    view: Array = np.from_dlpack(tensor).view()
    return view


def op_name(expr: relax.Expr) -> str | None:
    """The operator of a call, e.g. "relax.nn.conv2d"; None when `expr` calls no operator."""
    if isinstance(expr, Call) and isinstance(expr.op, Op):
        return str(expr.op.name)
    return None


def bindings(func: relax.Function) -> list[relax.VarBinding]:
    """Every binding of the function in order; PassError for control flow or MatchCast."""
    found = [binding for block in func.body.blocks for binding in block.bindings]
    for binding in found:
        if not isinstance(binding, relax.VarBinding) or isinstance(binding.value, relax.If):
            raise PassError(
                f"Binding '{binding.var.name}' is control flow or a dynamic shape; "
                "give the model fixed input shapes and no If or Loop."
            )
    return found


def outputs(func: relax.Function) -> list[relax.Expr]:
    """What the function returns, in order (a single result is a list of one)."""
    body = func.body.body
    return list(body.fields) if isinstance(body, relax.Tuple) else [body]


def used_vars(expr: relax.Expr) -> list[relax.Var]:
    """The variables that `expr` reads, in argument order, repeated as often as they occur.

    A called local function is one of them; what its body captures is not.
    """
    if isinstance(expr, relax.Var):
        return [expr]
    if isinstance(expr, Call):
        return [var for part in (expr.op, *expr.args) for var in used_vars(part)]
    if isinstance(expr, relax.Tuple):
        return [var for field in expr.fields for var in used_vars(field)]
    if isinstance(expr, relax.TupleGetItem):
        return used_vars(expr.tuple_value)
    return []


def users(func: relax.Function) -> dict[str, list[relax.VarBinding]]:
    """The bindings that read each variable, by its name; every variable and parameter has a key.

    A binding that reads a variable twice is listed once. Being an output is not a use: see
    `outputs`, or ask `has_one_use`.
    """
    found: dict[str, list[relax.VarBinding]] = {str(param.name): [] for param in func.params}
    for binding in bindings(func):
        for name in dict.fromkeys(str(var.name) for var in used_vars(binding.value)):
            found[name].append(binding)
        found[str(binding.var.name)] = []
    return found


def has_one_use(func: relax.Function) -> set[str]:
    """The names of the variables that exactly one binding reads, once, and no output returns."""
    count: dict[str, int] = {}
    reads = [var for binding in bindings(func) for var in used_vars(binding.value)]
    reads += [var for output in outputs(func) for var in used_vars(output)] * 2
    for var in reads:
        count[var.name] = count.get(var.name, 0) + 1
    return {name for name, times in count.items() if times == 1}


def nodes_of(func: relax.Function) -> dict[str, str]:
    """Variable name -> ONNX node name, as the function records it (empty when it does not)."""
    attrs = func.attrs
    if attrs is None or NODES_ATTR not in attrs:
        return {}
    return {str(name): str(node) for name, node in attrs[NODES_ATTR].items()}


def node_of(func: relax.Function, var: relax.Var) -> str:
    """The ONNX node that made `var`; the variable's own name when nothing is recorded."""
    name, attrs = str(var.name), func.attrs
    if attrs is None or NODES_ATTR not in attrs:
        return name
    return str(attrs[NODES_ATTR].get(name, name))


def is_leaf(expr: relax.Expr) -> bool:
    """Whether `expr` stands as an argument by itself: a variable or a constant."""
    return isinstance(expr, relax.Var | GenericConst)


def substitute(expr: relax.Expr, env: Mapping[relax.Var, relax.Expr]) -> relax.Expr:
    """`expr` with its variables replaced; calls lose their type, to be inferred again."""
    if isinstance(expr, relax.Var):
        return env.get(expr, expr)
    if isinstance(expr, Call):
        op, *args = (substitute(part, env) for part in (expr.op, *expr.args))
        return Call(op, args, expr.attrs, expr.ty_args, expr.span)
    if isinstance(expr, relax.Tuple):
        return relax.Tuple([substitute(field, env) for field in expr.fields])
    if isinstance(expr, relax.TupleGetItem):
        source = substitute(expr.tuple_value, env)
        if isinstance(source, relax.Tuple):
            return source.fields[expr.index]
        return relax.TupleGetItem(source, expr.index)
    return expr


@contextmanager
def function_in(
    builder: relax.BlockBuilder, name: str, params: list[relax.Var], **options: object
) -> Iterator[None]:
    """The builder's function. An error that leaves it closes the open block, of which TVM would
    complain on standard error whenever the builder goes."""
    try:
        with builder.function(name, params, **options):
            yield
    except BaseException:
        with suppress(Exception):  # of TVM's, where no block is open
            builder._end_block()
        raise


def bind(
    builder: relax.BlockBuilder, value: relax.Expr, name: str, *, output: bool = False
) -> relax.Var:
    """Bind `value` to a variable called exactly `name` in the builder's dataflow block.

    The caller answers for `name` being free. `output` makes a variable that leaves the block.
    """
    value = builder.normalize(value)
    var = (relax.Var if output else relax.DataflowVar)(name, value.ty)
    builder.emit_normalized(relax.VarBinding(var, value))
    return var


def rebuild(
    func: relax.Function, visit: Visit, params: Mapping[relax.Var, relax.Var] | None = None
) -> relax.Function:
    """Emit a function again, binding by binding, in one dataflow block.

    `visit(builder, binding, env)` returns the expression that takes a binding's place, or None
    to keep it. `env` maps every earlier variable of `func` to what now stands for it; an
    expression built from the old binding must go through `substitute(expr, env)` (or look its
    variables up in `env`). Returning a variable or a constant drops the binding and puts that in
    its place. `visit` may emit further bindings with `builder.emit(expr, name_hint)`; they
    inherit the ONNX node of the binding that is visited.

    ``params`` are other parameters of the same names, by those that they stand for; else they are
    kept. Variable names and attributes are kept (`zeroskip.nodes` for the variables that
    are left), types are inferred again, so shapes may change, and bindings nobody reads are
    removed.
    """
    old = bindings(func)
    builder = relax.BlockBuilder()
    for name in [str(var.name) for var in [*func.params, *(binding.var for binding in old)]]:
        builder.get_unique_name(name)
    env: Env = {param: (params or {}).get(param, param) for param in func.params}
    leaving = {var for output in outputs(func) for var in used_vars(output)}
    with function_in(builder, "main", [env[param] for param in func.params]):
        with builder.dataflow():
            for binding in old:
                value = visit(builder, binding, env)
                if value is None:
                    value = substitute(binding.value, env)
                leaves = binding.var in leaving
                if is_leaf(value) and not leaves:
                    env[binding.var] = value
                else:
                    name = str(binding.var.name)
                    env[binding.var] = bind(builder, value, name, output=leaves)
        builder.emit_func_output(substitute(func.body.body, env))
    result = relax.analysis.remove_all_unused(builder.finalize()["main"])
    return _with_attributes_of(result, func)


def _with_attributes_of(result: relax.Function, func: relax.Function) -> relax.Function:
    """`result` with `func`'s attributes; its new variables inherit the next known node."""
    attrs = {str(key): value for key, value in func.attrs.items()} if func.attrs else {}
    known = nodes_of(func)
    if known:
        names = [str(binding.var.name) for binding in bindings(result)]
        attrs[NODES_ATTR] = inherit_nodes(names, known)
    result = relax.Function(result.params, result.body, result.ret_ty, func.is_pure)
    return result.with_attrs(attrs) if attrs else result


def inherit_nodes(names: Sequence[str], known: Mapping[str, str]) -> dict[str, str]:
    """The node of each variable, in binding order: its own, else that of the next known one."""
    nodes: dict[str, str] = {}
    node = ""
    for name in reversed(names):
        node = known.get(name, node)
        if node:
            nodes[name] = node
    return {name: nodes[name] for name in names if name in nodes}
