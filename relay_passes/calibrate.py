"""The ranges of a float module's activations over sample inputs."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax

from zeroskip.relay_passes.calibrate_judge import Judge
from zeroskip.relay_passes.calibrate_ranges import BINS, range_by
from zeroskip.relay_passes.cpu_schedule import compile_for_cpu
from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.graph import bindings, nodes_of, op_name, outputs
from zeroskip.relay_passes.passes import with_unique_names
from zeroskip.relay_passes.quantise_graph import read_graph
from zeroskip.relay_passes.quantise_scales import Range, observed

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
    check: Callable[[list[Array], list[Array | None]], None] | None = None,
) -> dict[str, Range]:
    """The range of every activation that QuantizeInt8 asks for, by variable.

    ``samples`` maps each input of `main` to float32 data whose leading axis counts the samples, a
    multiple of the model's batch. The module runs on this machine's CPU. ``minmax`` takes the
    extremes; ``percentile`` cuts off ``100 - percentile`` per cent of the values, half at each
    end; ``mse`` shrinks the extremes to the range with the least squared error of 8-bit values
    (Krishnamoorthi, 2018; Sung et al., 2015); ``auto`` chooses one of these for each activation by
    samples that are held back (``calibrate_auto``). ``progress(done, total)`` is called after each
    run, ``check(inputs, outputs)`` after the first one; an output that is a constant is None.

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
        values = dict(zip(watched, run(batch), strict=True))
        if check is not None and not done:
            check(batch, [None if name is None else values[name] for name in ends])
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
    ranges = [Range(float(lo), float(hi))
              for lo, hi in zip(lows.min(axis=0), highs.max(axis=0), strict=True)]
    if twice:
        counts = [np.zeros(BINS, np.int64) for _ in names]
        for done, batch in enumerate(runs, len(runs)):
            for i, value in enumerate(run(batch)[: len(names)]):
                counts[i] += np.histogram(value, BINS, (ranges[i].lo, ranges[i].hi))[0]
            if progress is not None:
                progress(done + 1, total)
        ranges = [range_by(method, count, seen, percentile)
                  for count, seen in zip(counts, ranges, strict=True)]
    return dict(zip(names, ranges, strict=True))


def has_own_scales(func: relax.Function) -> bool:
    """Whether a float function quantises any activation itself, to whatever type.

    Such a function is quantised by its scales alone where there are no samples; which activations
    have one is asked of each (``integer_groups``).
    """
    return any(op_name(binding.value) in ("relax.quantize", "relax.dequantize")
               and isinstance(binding.value.args[0], relax.Var) for binding in bindings(func))


def _check_method(method: str, percentile: float) -> None:
    if method not in METHODS:
        raise PassError(f"calibration method '{method}' is unknown: use {', '.join(METHODS[:-1])} "
                        f"or {METHODS[-1]}")
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
        expected = f"{param.ty.dtype} of [samples, {', '.join(map(str, shape[1:]))}]"
        if name not in samples:
            raise PassError(f"calibration data lack input '{name}': give {expected}")
        data = np.asarray(samples[name])
        if str(data.dtype) != str(param.ty.dtype) or data.shape[1:] != shape[1:]:
            raise PassError(
                f"calibration data of input '{name}' are {data.dtype} of {list(data.shape)}: "
                f"give {expected}"
            )
        if not len(data) or len(data) % shape[0]:
            raise PassError(
                f"calibration data of input '{name}' hold {len(data)} samples: "
                f"give a multiple of the model's batch, {shape[0]}"
            )
        if data.dtype.kind == "f" and not np.isfinite(data).all():
            raise PassError(f"calibration data of input '{name}' hold NaN or infinity: remove them")
        columns.append(np.split(data, len(data) // shape[0]))
    if len({len(column) for column in columns}) != 1:
        counts = ", ".join(f"'{n}' {len(samples[n])}" for n in names)
        raise PassError(f"calibration data differ in their number of samples: {counts}")
    return [list(batch) for batch in zip(*columns, strict=True)]


def observer(mod: tvm.IRModule, names: list[str]) -> Callable[[list[Array]], list[Array]]:
    """A function from the inputs to the values of these variables."""
    func = mod["main"]
    inputs = {str(param.name): i for i, param in enumerate(func.params)}
    computed = [name for name in names if name not in inputs]
    variables = {str(binding.var.name): binding.var for binding in bindings(func)}
    block = relax.DataflowBlock
    outs = [relax.Var(f"{name}_seen", variables[name].ty) for name in computed]
    copies = [relax.VarBinding(out, variables[n]) for out, n in zip(outs, computed, strict=True)]
    body = relax.SeqExpr([block([*bindings(func), *copies])], relax.Tuple(outs))
    watched = relax.Function(func.params, body, body.body.ty).with_attr("global_symbol", "main")
    functions = {var: fn for var, fn in mod.functions.items() if var.name_hint != "main"}
    module = tvm.IRModule({**functions, relax.GlobalVar("main"): watched})
    vm = relax.VirtualMachine(compile_for_cpu(module), tvm.cpu())

    def run(batch: list[Array]) -> list[Array]:
        results = iter(vm["main"](*(tvm.runtime.tensor(np.ascontiguousarray(x)) for x in batch)))
        return [batch[inputs[n]] if n in inputs else next(results).numpy() for n in names]

    return run
