"""From a model to a network that runs: the whole compiler, read from top to bottom."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias, Unpack

import numpy as np
import numpy.typing as npt
import tvm
from tvm.ir import IRModule

from zeroskip.accel_model import physics
from zeroskip.accel_model.program.program import Program
from zeroskip.accel_model.spec import AccelSpec, load_spec
from zeroskip.compiler.artifact import float_source
from zeroskip.compiler.artifact.float_source import FloatSource
from zeroskip.compiler.artifact.host_calls import host_calls
from zeroskip.compiler.artifact.inputs import load_arrays, match_inputs
from zeroskip.compiler.artifact.network import Network, Port, crossing_bytes
from zeroskip.compiler.artifact.placement import Placement
from zeroskip.compiler.artifact.relax_modules import large_constants
from zeroskip.compiler.batching import images_of, in_batch
from zeroskip.compiler.errors import CompileError
from zeroskip.compiler.ir.layer_graph import makers
from zeroskip.compiler.lowering.from_relax import direct_plan
from zeroskip.compiler.options import (
    Arrays,
    CompileOptions,
    activation_type,
    checked,
    progress_of,
)
from zeroskip.compiler.passes import embed
from zeroskip.compiler.stages import (
    Stages,
    apply_passes,
    lower_fastest,
    lower_integer_model,
    without_dead,
)
from zeroskip.relay_passes.attrs import BATCH_ATTR, CPU_ATTR, TOGETHER_ATTR
from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.frontend.batch import batch_of, for_one_image, why_together
from zeroskip.relay_passes.frontend.load import check_model, load_onnx
from zeroskip.relay_passes.frontend.normalise import normalise_onnx, normalise_own
from zeroskip.relay_passes.frontend.to_relax import import_onnx
from zeroskip.relay_passes.host_calls import JoinHostCalls
from zeroskip.relay_passes.import_check import ImportCheck, RelaxCheck
from zeroskip.relay_passes.multiplies import weighted_of
from zeroskip.relay_passes.partition import reference_module
from zeroskip.relay_passes.pruning.activations.interpreter import Interpreter
from zeroskip.relay_passes.pruning.apply import prune as prune_by
from zeroskip.relay_passes.pruning.schemes.recipe import read_recipe
from zeroskip.relay_passes.quantize.calibrate import Method, Range, batches, has_own_scales
from zeroskip.relay_passes.quantize.calibrate import calibrate as measure_ranges
from zeroskip.relay_passes.quantize.keep_float import KeepFloat
from zeroskip.relay_passes.quantize.quantize_int8 import QuantizeInt8
from zeroskip.relay_passes.quantize.scales import wide_observed
from zeroskip.relay_passes.read_model import Model, read_model
from zeroskip.relay_passes.relax.cpu import compile_for_cpu, run_cpu
from zeroskip.relay_passes.relax.decompose import DecomposeOperators
from zeroskip.relay_passes.relax.entry import MAIN, entry_of
from zeroskip.relay_passes.relax.fold import FoldBatchNorm
from zeroskip.relay_passes.relax.fold_forward import FoldForward
from zeroskip.relay_passes.relax.normal_form import NormaliseRelax, bind_shapes
from zeroskip.relay_passes.relax.passes import with_unique_names
from zeroskip.relay_passes.relax.rewriting import const_value, nodes_of
from zeroskip.relay_passes.tosa.read_tosa import IntegerModel

KEPT = 4  # calibration samples that a file keeps for an array that looks at activations
Check: TypeAlias = ImportCheck | RelaxCheck
SAMPLES = 4  # random images that stand in for calibration data


def compile(  # the name that users expect: zeroskip.compiler.compile
    model: Model | Any, target: str | AccelSpec = "dense256", **options: Unpack[CompileOptions]
) -> Network:
    """Compile an ONNX model, a PyTorch network, a Relax module, Relay's text, TOSA or TFLite for an
    accelerator.

    model: a path, a ModelProto, a ``tvm.IRModule``, of which ``main`` is compiled, or its only
    public function, an ``IntegerModel``, or a torch module (with ``example``) or exported program.
    target: a built-in target's name, a TOML file's path or a spec. options: ``params``,
    ``example``, ``prune``, ``calibrate``, ``method``, ``activation_bits``, ``float_nodes``,
    ``shapes``, ``batch``, ``cache``, ``tune``, ``objective``, ``progress``, ``first``;
    ``compiler.options.CompileOptions`` says what each is.

    Raises a ZeroskipError that says in one sentence what is wrong, where, and what to do.
    """
    spec = target if isinstance(target, AccelSpec) else load_spec(target)
    physics.check(spec)
    model = read_model(model, options.get("params"), options.get("example"))
    stages = lower(model, spec, **options)
    network, calibrate = network_of(stages, model, spec), options.get("calibrate")
    if calibrate is None or not spec.kind.looks_at_inputs:
        return network
    return replace(network, samples=_kept(network, read_samples(stages.floating, calibrate)))


def _kept(network: Network, samples: Mapping[str, Any]) -> dict[str, Any]:
    """The first calibration samples, of as many runs as are kept for reports; none for a network
    with an input that is a single number, of which a run has one."""
    if not all(port.shape for port in network.run_inputs):
        return {}
    counts = [port.shape[0] for port in network.run_inputs]
    runs = min(
        [KEPT]
        + [
            len(samples[port.variable]) // count
            for port, count in zip(network.run_inputs, counts, strict=True)
        ]
    )
    return {
        port.name: samples[port.variable][: runs * count]
        for port, count in zip(network.run_inputs, counts, strict=True)
        if runs
    }


def network_of(stages: Stages, model: Model, spec: AccelSpec) -> Network:
    """The network of a model's last stages."""
    main = stages.floating["main"]
    reference = reference_module(stages.partitioned)
    cpu = reasons_of(stages.partitioned)
    placement, host_macs = placement_of(reference, stages.programs, cpu)
    host = apply_passes(embed(stages.scheduled, stages.programs), JoinHostCalls())
    return Network(
        name=name_of(model),
        spec=spec,
        inputs=ports_of(main, "inputs"),
        outputs=ports_of(main, "outputs"),
        host=host,
        programs=stages.programs,
        reference=reference,
        floating=stages.floating,
        cpu=cpu,
        placement=placement,
        host_macs=host_macs,
        host_calls=host_calls(host),
        batch=int(main.attrs.get(BATCH_ATTR, 1)),
        images=images_of(stages.floating),
        results={
            name: makers(stages.regions.graph(stages.partitioned, name)) for name in stages.programs
        },
        direct=direct_plan(stages.scheduled),
        source=stages.source,
    )


def lower(model: Model, spec: AccelSpec, **options: Unpack[CompileOptions]) -> Stages:
    """Every stage of ``compile``."""
    checked(options)
    if isinstance(model, IntegerModel):
        return lower_integer_model(model, spec, options)
    dtype = activation_type(options, spec)
    pruned, check = prepare(model, options)
    source = _source_of(model, pruned, options)
    module = without_dead(pruned)
    ranges = ranges_of(module, options, check)
    module, pruned = in_batch([module, pruned], options.get("batch"))
    quantize = QuantizeInt8(ranges=ranges, activation_dtype=dtype)
    stages = lower_fastest(pruned, module, spec, quantize, options)
    return replace(stages, source=source)


def _source_of(model: Model, imported: IRModule, options: CompileOptions) -> FloatSource | None:
    """Where the float weights are, of a large network of an ONNX file; None of a pruned one."""
    if not isinstance(model, str | Path) or read_recipe(options.get("prune") or ()):
        return None
    weights = large_constants(imported)
    arrays = map(const_value, weights.values())
    if sum(each.nbytes for each in arrays if each is not None) < float_source.LARGE:
        return None
    shapes = {name: tuple(map(int, sizes)) for name, sizes in (options.get("shapes") or {}).items()}
    return FloatSource(str(model), shapes, frozenset(weights))


def prepare(
    model: Model, options: CompileOptions, more: bool = False
) -> tuple[IRModule, Check | None]:
    """The float module that is quantized: the model imported, its normalisations folded, pruned;
    and what its outputs on the first calibration sample are to be compared with.

    A pruned network is another than the model: where it is pruned here, or will be (``more``), it
    is compared before, and there is no check to be made later.
    """
    progress, calibrate = progress_of(options), options.get("calibrate")
    shapes, float_nodes = options.get("shapes") or {}, options.get("float_nodes", ())
    recipe = read_recipe(options.get("prune") or ())
    progress("import", 0, 1)
    module = import_float(model, shapes)
    progress("onnxruntime", 0, 1)
    first = batches(module["main"], read_samples(module, calibrate))[0]
    check = _import_check(module, model, shapes, first)
    if recipe or more:
        progress("compare with onnxruntime", 0, 1)
        _compare_now(module, check, first)
    if float_nodes:
        module = apply_passes(module, KeepFloat(float_nodes))
    progress("prune", 0, 1)
    pruned = prune_by(module, recipe, samples=given_samples(module, calibrate))
    return pruned, None if recipe or more else check


def compare_import(
    module: IRModule,
    model: Model,
    shapes: Mapping[str, Sequence[int]],
    calibrate: str | Path | Arrays | None,
    *,
    by_image: bool = True,
) -> None:
    """FrontError unless what ``import_float`` made of a model computes what onnxruntime does, for
    the first calibration sample. by_image: as of ``import_float``."""
    first = batches(module["main"], read_samples(module, calibrate))[0]
    _compare_now(module, _import_check(module, model, shapes, first, by_image), first)


def _compare_now(module: IRModule, check: Check, first: list[Any]) -> None:
    """Check an import that will not be compiled as it is. Its convolutions, products and simple
    arithmetic are numpy's, all else TVM's, which saves the time of compiling them; what differs
    then, or cannot be run so, is asked of TVM's run of the whole."""
    if not check.comparable:
        check(())
        return
    unique = with_unique_names(module)
    names = [str(param.name) for param in unique["main"].params]
    try:
        results = Interpreter(unique, dict(zip(names, first, strict=True))).run()
        agrees = check.agrees([each[0] for each in results])
    except (PassError, ValueError, TypeError, tvm.error.InternalError):
        agrees = False
    if not agrees:
        check(run_cpu(compile_for_cpu(module), "main", first))


def ranges_of(
    module: IRModule, options: CompileOptions, check: Check | None = None
) -> dict[str, Range] | None:
    """The ranges of a float module's activations over calibration data; its outputs on the first
    sample are checked.

    None without data for a module that brings scales: those of random inputs are none for what it
    gives no scale, which stays float.
    """
    progress, calibrate = progress_of(options), options.get("calibrate")
    samples, wide = read_samples(module, calibrate), options.get("activation_bits", 8) > 8
    progress("calibrate", 0, 1)
    ranges = measure_ranges(
        module,
        samples,
        method=method_for(calibrate, options.get("method", "auto"), wide),
        check=check,
        first=options.get("first"),
        progress=lambda done, total: progress("calibrate", done, total),
    )
    if calibrate is None and has_own_scales(module["main"]):
        return None
    if not wide:
        _tell_narrowed(module["main"])
    return ranges


def _tell_narrowed(main: Any) -> None:
    """Warn of tensors that the model gives 16 bits and that get 8."""
    nodes = nodes_of(main)
    found = sorted({nodes.get(name, name) for name in wide_observed(main)})
    if found:
        named = ", ".join(f"'{node}'" for node in found[:3])
        named += f" and {len(found) - 3} more" if len(found) > 3 else ""
        warnings.warn(
            "Tensors that the model gives 16 bits become 8 bits by the samples: those of "
            f"{named}; leave the samples out to keep these in float, or name "
            "their nodes with --float.",
            RuntimeWarning,
            stacklevel=3,
        )


def method_for(calibrate: object | None, method: Method = "auto", wide: bool = False) -> Method:
    """The method of a calibration: random inputs, in place of none, are no ground to choose by, and
    activations of 16 bits (``wide``) need no range cut."""
    return "minmax" if (calibrate is None or wide) and method == "auto" else method


def _import_check(
    module: IRModule,
    model: Model,
    shapes: Mapping[str, Sequence[int]],
    first: list[Any],
    by_image: bool = True,
) -> Check:
    """What to compare the module's outputs with, for the first sample."""
    if isinstance(model, IRModule):
        return RelaxCheck(bind_shapes(model, shapes), module, first)
    main = module["main"]
    sources = [port.name for port in ports_of(main, "inputs")]
    return ImportCheck(
        model,
        module,
        dict(zip(sources, first, strict=True)),
        int(main.attrs.get(BATCH_ATTR, 1)),
        lambda: _imported(model, shapes, by_image)[0],
    )


def import_float(
    model: Model, shapes: Mapping[str, Sequence[int]], *, by_image: bool = True
) -> IRModule:
    """The model in Relax with its normalisations folded: the weights that will run.

    by_image: a batch of images that do not depend on each other becomes one image; attribute
    ``zeroskip.batch`` of main says how many there are. What the model was before may be as large
    and is gone when this returns.
    """
    module, batch, together = _imported(model, shapes, by_image)
    module = apply_passes(module, FoldBatchNorm(), DecomposeOperators(), FoldForward())
    if batch > 1:
        module["main"] = module["main"].with_attr(BATCH_ATTR, batch)
    if together:
        module["main"] = module["main"].with_attr(TOGETHER_ATTR, together)
    return module


def _imported(
    model: Model, shapes: Mapping[str, Sequence[int]], by_image: bool = True
) -> tuple[IRModule, int, str]:
    """The model in Relax, nothing folded; how many images of its batch it stands for; and if that
    is one of several, why."""
    if isinstance(model, IRModule):
        entry = entry_of(bind_shapes(model, shapes)).module
        return apply_passes(entry, NormaliseRelax()), 1, ""
    if isinstance(model, IntegerModel):
        raise not_float(model)
    if isinstance(model, str | Path):
        proto = normalise_own(load_onnx(model), shapes)
    else:
        check_model(model)
        proto = normalise_onnx(model, shapes)
    proto, batch = for_one_image(proto) if by_image else (proto, 1)
    together = why_together(proto) if by_image and batch_of(proto) > 1 else ""
    return import_onnx(proto), batch, together


def not_float(model: IntegerModel) -> CompileError:
    """The error to raise where only a float network will do: to prune it, to compare it."""
    return CompileError(
        f"'{model.name}' is integers already: it is compiled as it is; prune and compare the float "
        "network that it was made of"
    )


def given_samples(module: IRModule, calibrate: str | Path | Arrays | None) -> dict[str, Any] | None:
    """Calibration data by variable, if there are any: what a scheme may look at."""
    return None if calibrate is None else read_samples(module, calibrate)


def read_samples(module: IRModule, calibrate: str | Path | Arrays | None) -> dict[str, Any]:
    """Calibration data by variable, or seeded random numbers in its place: images, however many of
    them a run of the module computes."""
    images = images_of(module)
    ports = [
        replace(port, shape=(port.shape[0] // images, *port.shape[1:])) if port.shape else port
        for port in ports_of(module["main"], "inputs")
    ]
    if calibrate is None:
        rng = np.random.default_rng(0)
        return {port.variable: _random(rng, port) for port in ports}
    if isinstance(calibrate, str | Path):
        calibrate = load_arrays(calibrate)
    if not isinstance(calibrate, Mapping):
        raise CompileError(
            f"calibration data are a {type(calibrate).__name__}; give the path of "
            "an .npz file, or arrays by the names of inputs"
        )
    matched = match_inputs(calibrate, ports, "calibration data", samples=True)
    return {port.variable: matched[port.name] for port in ports}


def _random(rng: np.random.Generator, port: Port) -> npt.NDArray[Any]:
    """Samples of an input; of wide integers such as may be indices."""
    shape, dtype = (SAMPLES * (port.shape or (1,))[0], *port.shape[1:]), np.dtype(port.dtype)
    if dtype.kind not in "iu":
        return rng.standard_normal(shape).astype(dtype)
    if dtype.itemsize > 1:
        return rng.integers(0, 2, shape).astype(dtype)
    return rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def ports_of(main: Any, side: str) -> tuple[Port, ...]:
    """Names, shapes and types of the network's inputs or outputs."""
    names = [str(name) for name in main.attrs[f"zeroskip.{side}"]]
    if side == "inputs":
        found = [(str(param.name), param.ty) for param in main.params]
    else:
        result = main.ret_ty if hasattr(main, "ret_ty") else main.ret_struct_info
        fields = list(result.fields) if hasattr(result, "fields") else [result]
        found = [("", field) for field in fields]
    return tuple(
        Port(name, variable, tuple(int(n) for n in kind.shape), str(kind.dtype))
        for name, (variable, kind) in zip(names, found, strict=True)
    )


def reasons_of(module: IRModule) -> dict[str, str]:
    """The nodes of a partitioned module that stay on the CPU, and why."""
    attrs = module["main"].attrs
    reasons: Mapping[Any, Any] = attrs.get(CPU_ATTR, {}) if attrs else {}
    return {str(node): str(why) for node, why in reasons.items()}


def placement_of(
    reference: IRModule, programs: Mapping[str, Program], cpu: Mapping[str, str]
) -> tuple[Placement, dict[str, int]]:
    """What is where, counted in the ordinary ops of main and of each region; and multiplies of the
    nodes on the CPU."""
    host = weighted_of(reference["main"])
    every = [*host, *(each for name in programs for each in weighted_of(reference[name]))]
    host_macs: dict[str, int] = {}
    for each in host:
        host_macs[each.node] = host_macs.get(each.node, 0) + each.macs
    to_accelerator, to_host = crossing_bytes(programs)
    placement = Placement(
        regions=len(programs),
        to_accelerator=to_accelerator,
        to_host=to_host,
        nodes_on_cpu=len(cpu),
        layers=len(every),
        layers_on_cpu=len(host),
        macs=sum(each.macs for each in every),
        macs_on_cpu=sum(each.macs for each in host),
    )
    return placement, host_macs


def name_of(model: Model) -> str:
    """What a model's network is called."""
    if isinstance(model, IntegerModel):
        return model.name
    if isinstance(model, str | Path):
        return Path(model).stem
    if isinstance(model, IRModule):
        name = entry_of(model).name
        return "network" if name == MAIN else name
    return str(model.graph.name) or "network"
