"""The ranges of a float module's activations over sample inputs."""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax

from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.relay_passes.attrs import NODES_ATTR
from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.quantize.calibrate_judge import Judge, uncut_results
from zeroskip.relay_passes.quantize.calibrate_ranges import BINS, range_by
from zeroskip.relay_passes.quantize.fusion_groups import read_graph
from zeroskip.relay_passes.quantize.scales import Range, observed
from zeroskip.relay_passes.relax.cpu import compile_for_cpu
from zeroskip.relay_passes.relax.passes import with_unique_names
from zeroskip.relay_passes.relax.rewriting import bindings, node_of, nodes_of, op_name, outputs

__all__ = ["METHODS", "Method", "Range", "batches", "calibrate", "has_own_scales"]

Method = Literal["auto", "minmax", "percentile", "mse"]
METHODS: tuple[Method, ...] = get_args(Method)
Array = npt.NDArray[Any]


def calibrate(
    mod: tvm.IRModule,
    samples: Mapping[str, Array],
    method: Method = "auto",
    percentile: float = 99.99,
    progress: Callable[[int, int], None] | None = None,
    check: Callable[[list[Array | None]], None] | None = None,
    first: Callable[[list[Array], dict[str, Array]], None] | None = None,
) -> dict[str, Range]:
    """The range of every activation that QuantizeInt8 asks for, by variable.

    ``samples`` maps each input of `main` to float32 data whose leading axis counts the samples, a
    multiple of the model's batch. The module runs on this machine's CPU. ``minmax`` takes the
    extremes; ``percentile`` cuts off ``100 - percentile`` per cent of the values, half at each
    end; ``mse`` shrinks the extremes to the range with the least squared error of 8-bit values
    (Krishnamoorthi, 2018; Sung et al., 2015), but neither of results of thousands of classes, of
    which it could cut off the answers; ``auto`` chooses one of these for each activation by
    samples that are held back (``calibrate_auto``). ``progress(done, total)`` is called after
    each run, ``check(outputs)`` after the first one; an output that is a constant is None.
    ``first(inputs, values)`` then gets the network's inputs and the activations, by variable.

    PassError names the input whose data do not fit, or the node whose result is not finite.
    """
    _check_method(method, percentile)
    mod = with_unique_names(mod)
    func = mod["main"]
    runs = batches(func, samples)
    names = observed(func, read_graph(func))
    ends = [str(out.name) if isinstance(out, relax.Var) else None for out in outputs(func)]
    results = [name for name in ends if name is not None] if check is not None else []
    judge = Judge(mod, names, runs) if method == "auto" else None
    watched = list(dict.fromkeys([*names, *results, *(judge.ends if judge else ())]))
    run = observer(mod, watched)
    twice = method in ("percentile", "mse")
    total = len(runs) * (2 if twice else 1)
    nodes = nodes_of(func)
    lows, highs = np.full((2, len(runs), len(names)), np.inf) * [[[1]], [[-1]]]
    for done, batch in enumerate(runs):
        try:
            values = dict(zip(watched, run(batch), strict=True))
        except ZeroskipError:
            raise
        except Exception as error:  # TVM's, of many kinds
            raise PassError(
                f"Node '{_failing(mod, batch)}' cannot be run by TVM on the CPU: "
                "replace it by other ONNX operators before export"
            ) from error
        if check is not None and not done:
            check([None if name is None else values[name] for name in ends])
        if first is not None and not done:
            first(batch, values)
        for i, name in enumerate(names):
            lows[done, i], highs[done, i] = values[name].min(), values[name].max()
            if not np.isfinite(values[name]).all():
                raise PassError(
                    f"Node '{nodes.get(name, name)}' gives NaN or infinity on calibration run "
                    f"{done}: calibrate with inputs scaled as the model was trained"
                )
        if judge is not None:
            judge.see(done, values)
        if progress is not None:
            progress(done + 1, total)
    if judge is not None:
        return judge.ranges(lows, highs, percentile)
    ranges = [
        Range(float(lo), float(hi))
        for lo, hi in zip(lows.min(axis=0), highs.max(axis=0), strict=True)
    ]
    if twice:
        counts = [np.zeros(BINS, np.int64) for _ in names]
        for done, batch in enumerate(runs, len(runs)):
            for i, value in enumerate(run(batch)[: len(names)]):
                counts[i] += np.histogram(value, BINS, (ranges[i].lo, ranges[i].hi))[0]
            if progress is not None:
                progress(done + 1, total)
        uncut = uncut_results(func, percentile)
        ranges = [
            seen if name in uncut else range_by(method, count, seen, percentile)
            for name, count, seen in zip(names, counts, ranges, strict=True)
        ]
    return dict(zip(names, ranges, strict=True))


def has_own_scales(func: relax.Function) -> bool:
    """Whether a float function quantizes any activation itself, to whatever type.

    Such a function is quantized by its scales alone where there are no samples; which activations
    have one is asked of each (``integer_groups``).
    """
    return any(
        op_name(binding.value) in ("relax.quantize", "relax.dequantize")
        and isinstance(binding.value.args[0], relax.Var)
        for binding in bindings(func)
    )


def _check_method(method: str, percentile: float) -> None:
    if method not in METHODS:
        raise PassError(
            f"calibration method '{method}' is unknown: use {', '.join(METHODS[:-1])} "
            f"or {METHODS[-1]}"
        )
    if not 50 < percentile <= 100:
        raise PassError(f"percentile {percentile} keeps too little: use more than 50, up to 100")


def batches(func: relax.Function, samples: Mapping[str, Array]) -> list[list[Array]]:
    """The arguments of each run; PassError for data that do not fit the inputs."""
    names = [str(param.name) for param in func.params]
    unknown = sorted(set(samples) - set(names))
    if unknown:
        raise PassError(
            f"calibration data name '{unknown[0]}', which is no input of the model: "
            f"it has {', '.join(names)}"
        )
    columns: list[list[Array]] = []
    for param in func.params:
        name, shape = str(param.name), tuple(int(d) for d in param.ty.shape)
        expected = f"{param.ty.dtype} of [{', '.join(map(str, ('samples', *shape[1:])))}]"
        batch = shape[0] if shape else 1  # of a number there are as many as samples
        if name not in samples:
            raise PassError(
                f"calibration data lack input '{name}': give {expected}, or bind it first if it is "
                f"a weight, relax.transform.BindParams('main', {{'{name}': tensor}})"
            )
        data = np.asarray(samples[name])
        if str(data.dtype) != str(param.ty.dtype) or data.shape[1:] != shape[1:] or not data.ndim:
            raise PassError(
                f"calibration data of input '{name}' are {data.dtype} of {list(data.shape)}: "
                f"give {expected}"
            )
        if not len(data) or len(data) % batch:
            raise PassError(
                f"calibration data of input '{name}' hold {len(data)} samples: "
                f"give a multiple of the model's batch, {batch}"
            )
        if data.dtype.kind == "f" and not np.isfinite(data).all():
            raise PassError(f"calibration data of input '{name}' hold NaN or infinity: remove them")
        columns.append([part.reshape(shape) for part in np.split(data, len(data) // batch)])
    if len({len(column) for column in columns}) != 1:
        counts = ", ".join(f"'{n}' {len(samples[n])}" for n in names)
        raise PassError(f"calibration data differ in their number of samples: {counts}")
    return [list(batch) for batch in zip(*columns, strict=True)]


def observer(mod: tvm.IRModule, names: list[str]) -> Callable[[list[Array]], list[Array]]:
    """A function from the inputs to the values of these variables."""
    functions = {var: fn for var, fn in mod.functions.items() if var.name_hint != "main"}
    module = tvm.IRModule({**functions, relax.GlobalVar("main"): watching(mod["main"], names)})
    vm = relax.VirtualMachine(compile_for_cpu(module), tvm.cpu())

    def run(batch: list[Array]) -> list[Array]:
        results = vm["main"](*(tvm.runtime.tensor(np.asarray(x, order="C")) for x in batch))
        return watched(mod["main"], names, batch, [each.numpy() for each in results])

    return run


def watching(func: relax.Function, names: Sequence[str], symbol: str = "main") -> relax.Function:
    """A function that returns the values of these variables instead, without its inputs."""
    inputs = {str(param.name) for param in func.params}
    computed = [name for name in names if name not in inputs]
    variables = {str(binding.var.name): binding.var for binding in bindings(func)}
    outs = [relax.Var(f"{name}_seen", variables[name].ty) for name in computed]
    copies = [relax.VarBinding(out, variables[n]) for out, n in zip(outs, computed, strict=True)]
    body = relax.SeqExpr([relax.DataflowBlock([*bindings(func), *copies])], relax.Tuple(outs))
    made = relax.Function(func.params, body, body.body.ty).with_attrs(
        {"global_symbol": symbol, NODES_ATTR: nodes_of(func)}
    )
    return relax.analysis.remove_all_unused(made)


def watched(
    func: relax.Function, names: Sequence[str], inputs: list[Array], results: list[Array]
) -> list[Array]:
    """The variables' values: inputs, and what ``watching(func, names)`` returned."""
    given = {str(param.name): value for param, value in zip(func.params, inputs, strict=True)}
    rest = iter(results)
    return [given[name] if name in given else next(rest) for name in names]


def _failing(mod: tvm.IRModule, batch: list[Array]) -> str:
    """The first node of a module that fails on these inputs."""
    func = mod["main"]
    made = bindings(func)
    names = [str(binding.var.name) for binding in made]

    def fails(count: int) -> bool:
        try:
            observer(mod, names[:count])(batch)
        except Exception:
            return True
        return False

    return node_of(func, made[bisect_left(range(1, len(names)), True, key=fails)].var)
