"""PyTorch's networks as ONNX models, by ``torch.export`` (the extra ``torch``).

torch is imported when there is something of it to read. The ONNX model goes the way of every other:
normalised, compared with onnxruntime, quantized.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from zeroskip.accel_model.io.atomic_write import refuse_irregular
from zeroskip.relay_passes.errors import FrontError
from zeroskip.relay_passes.frontend.load import first_line
from zeroskip.relay_passes.frontend.torch_names import name_by_modules

SUFFIX = ".pt2"
_INSTALL = "pip install 'zeroskip[torch]'"
_NOTE = "zeroskip.torch"  # what is said of the network, in the ONNX model's metadata
_EVEN = 8  # what widths of layers are multiples of, before channels are removed
_NAMED = 4  # layers in a note
_UNKNOWN = re.compile(r"failed to resolve (torch\.ops\.[\w.]+)")


def is_torch(model: object) -> bool:
    """Whether an object is a module or a program of torch's; torch is not imported for it."""
    names = {f"{each.__module__}.{each.__name__}" for each in type(model).__mro__}
    return bool(
        names & {"torch.nn.modules.module.Module", "torch.export.exported_program.ExportedProgram"}
    )


def torch_to_onnx(model: Any, example: Any = None, *, name: str = "") -> onnx.ModelProto:
    """A module in evaluation mode, or an exported program, as an ONNX model.

    Nodes are called by their modules; masks are applied. example: of a module, its inputs: a tensor
    or an array, or several in a tuple, or by name in a dict; or the shape of its only one. name: of
    the graph, else the module's class. FrontError for what torch cannot export.
    """
    torch = _torch(name or type(model).__name__)
    with _quiet():
        if isinstance(model, torch.nn.Module):
            name = name or type(model).__name__
            _refuse_without_values(torch, [*model.named_parameters(), *model.named_buffers()], name)
            program = _exported(torch, model, example, name)
        else:
            if example is not None:
                raise FrontError("An exported program has its own inputs: leave the example out.")
            program, name = model, name or "program"
        held = [*program.state_dict.items(), *program.constants.items()]
        _refuse_without_values(torch, held, name)
        try:
            made = torch.onnx.export(program, dynamo=True, verbose=False, optimize=False)
        except Exception as error:  # torch's, of many kinds
            raise FrontError(
                f"'{name}' cannot be written as ONNX by torch.onnx ({_reason(error)}): replace that "
                "operator, or export it yourself and give the ONNX file."
            ) from error
    proto: onnx.ModelProto = made.model_proto
    proto.graph.name = name
    name_by_modules(proto)
    note = "; ".join(_notes(program))
    if note:
        proto.metadata_props.add(key=_NOTE, value=note)
    return proto


def load_pt2(path: str | Path) -> onnx.ModelProto:
    """The program that ``torch.export.save`` wrote, as an ONNX model; torch reads the file, so it
    should come from someone who is trusted."""
    file = Path(path)
    refuse_irregular(file)
    if not file.is_file():
        raise FrontError(f"'{file}' does not exist: give the path of a .pt2 file.")
    torch = _torch(str(file))
    with _quiet(), _told_by("torch.export") as told:
        with contextlib.suppress(ImportError):  # the operators of networks that PT2E quantized
            importlib.import_module("torch.ao.quantization.fx._decomposed")
        try:
            program = torch.export.load(file)
        except Exception as error:  # torch's, of many kinds
            unknown = _UNKNOWN.search(" ".join(told))
            if unknown:
                raise FrontError(
                    f"'{file}' holds the operator {unknown[1]}, which torch does not have by itself: "
                    "in Python, import what registers it, and give zeroskip.compile what "
                    "torch.export.load reads then."
                ) from error
            raise FrontError(
                f"'{file}' is no program that torch.export.save wrote ({_reason(error)}): save it "
                "with this version of torch."
            ) from error
    return torch_to_onnx(program, name=file.stem)


def said_of(model: object) -> str:
    """What there is to say of a torch network's pruning, from its ONNX model; "" of all else."""
    if not isinstance(model, onnx.ModelProto):
        return ""
    return next((each.value for each in model.metadata_props if each.key == _NOTE), "")


def _torch(what: str) -> Any:
    try:
        import onnxscript  # noqa: F401  # torch.onnx needs it
        import torch
    except ImportError as problem:
        raise FrontError(f"'{what}': reading PyTorch needs it ({problem}): {_INSTALL}") from None
    return torch


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch tells of itself while it exports."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def _told_by(name: str) -> Iterator[list[str]]:
    """What a logger says meanwhile, and nothing of it on standard error."""
    told: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(logging.Formatter().format(record))

    logger, keep = logging.getLogger(name), Keep()
    before = logger.propagate
    logger.addHandler(keep)
    logger.propagate = False
    try:
        yield told
    finally:
        logger.removeHandler(keep)
        logger.propagate = before


def _refuse_without_values(torch: Any, held: Sequence[tuple[str, Any]], name: str) -> None:
    """FrontError for tensors, by name, that have shapes only."""
    for key, value in held:
        if isinstance(value, torch._subclasses.FakeTensor) or getattr(value, "is_meta", False):
            raise FrontError(
                f"'{name}' has no values for {key}, which is on the meta device: load its weights "
                "(to_empty(device='cpu'), then load_state_dict) before it is compiled."
            )


def _exported(torch: Any, module: Any, example: Any, name: str) -> Any:
    arguments, named = _inputs(torch, module, example, name)
    modes = {each: each.training for each in module.modules()}
    with contextlib.suppress(NotImplementedError):  # what torch.export made keeps its one mode
        module.eval()
    try:
        return torch.export.export(module, arguments, named)
    except Exception as error:  # torch's, of many kinds
        raise FrontError(
            f"'{name}' cannot be exported by torch.export ({_reason(error)}): give an example of its "
            "inputs, and leave what depends on their values out of forward."
        ) from error
    finally:
        for each, mode in modes.items():
            each.training = mode


def _inputs(
    torch: Any, module: Any, example: Any, name: str
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if example is None:
        raise FrontError(
            f"'{name}' is a module, whose inputs have any shape: give example=, a tensor or a shape "
            "such as (1, 3, 224, 224)."
        )
    if isinstance(example, Mapping):
        return (), {str(key): _tensor(torch, value) for key, value in example.items()}
    if isinstance(example, Sequence) and example and all(isinstance(n, int) for n in example):
        if min(example) < 1:
            raise FrontError(f"The example of '{name}' has the shape {tuple(example)}: give sizes.")
        kinds = [each.dtype for each in module.parameters()] or [torch.float32]
        return (torch.zeros(tuple(example), dtype=kinds[0]),), {}
    several = example if isinstance(example, tuple | list) else (example,)
    return tuple(_tensor(torch, each) for each in several), {}


def _tensor(torch: Any, value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(value))
    raise FrontError(f"An example is a {type(value).__name__}: give tensors, arrays or a shape.")


def _notes(program: Any) -> Iterator[str]:
    """Sentences on masks, and on widths that removed channels leave."""
    state = program.state_dict
    masked = [key.removesuffix(".weight_mask") for key in state if key.endswith(".weight_mask")]
    if masked:
        yield f"masks of torch.nn.utils.prune are applied: {_some(masked)}"
    mark = ".parametrizations.weight.0.mask"
    masked = [key.removesuffix(mark) for key in state if key.endswith(mark)]
    if masked:
        yield f"masks of torch.ao.pruning are applied: {_some(masked)}"
    widths = {
        key.removesuffix(".weight"): len(value)
        for key, value in state.items()
        if key.endswith(".weight") and value.dim() > 1
    }
    odd = [f"{key} {width}" for key, width in list(widths.items())[:-1] if width % _EVEN]
    if odd:
        yield (
            f"filters of {len(odd)} layers are no multiple of {_EVEN} ({_some(odd)}): channels were "
            "removed, as Torch-Pruning does, or never there; arrays treat 16 together"
        )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _reason(error: BaseException) -> str:
    return " ".join(first_line(error).split())[:200]
