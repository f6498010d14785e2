"""A model in, a pruned one out: what ``zeroskip prune`` does, without its tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import tvm

from zeroskip.accel_model.io.telling import Progress, no_progress
from zeroskip.accel_model.spec import AccelSpec, load_spec
from zeroskip.compiler.driver import compare_import, given_samples, import_float, name_of
from zeroskip.compiler.options import Arrays
from zeroskip.compiler.scheduling.layer_cost import cycles_on
from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.frontend.from_relax import export_onnx
from zeroskip.relay_passes.pruning.apply import LayerChange, layer_changes, share_out
from zeroskip.relay_passes.pruning.apply import prune as prune_module
from zeroskip.relay_passes.pruning.budget.allocate import Allocation, Budget
from zeroskip.relay_passes.pruning.schemes.recipe import Recipe, read_recipe
from zeroskip.relay_passes.read_model import Model, Params, read_model


@dataclass(frozen=True, eq=False)
class Pruned:
    """A pruned network.

    module: in Relax, float, its normalisations folded and its shapes fixed. changes: what became of
    each layer. share: how a budget was shared out; None without one. name: of the model.
    """

    module: tvm.IRModule
    changes: list[LayerChange]
    share: Allocation | None
    name: str

    def to_onnx(self) -> onnx.ModelProto:
        """PassError for a node whose operator has no equivalent in ONNX here."""
        return export_onnx(self.module, self.name)


def prune(
    model: Model | Any,
    recipe: Recipe = (),
    *,
    shapes: Mapping[str, Sequence[int]] | None = None,
    calibrate: str | Path | Arrays | None = None,
    reconstruct: str | None = None,
    budget: str | None = None,
    target: str | AccelSpec | None = None,
    params: Params | None = None,
    example: Any = None,
    progress: Progress | None = None,
) -> Pruned:
    """Prune a model by a recipe.

    model, params, example, shapes: as of ``compile``. recipe: schemes such as
    ``pattern:connectivity=0.5``, joined by +, the path of a TOML file, or options. calibrate: an
    .npz path or arrays, whose leading axis counts samples, for ``reconstruct``, ``budget`` and
    schemes that look at some. reconstruct: ``weights`` or ``statistics``, makes the pruned layers
    give again what the dense ones gave. budget: ``macs=0.25``, ``weights=0.25``, ``cycles=0.4`` on
    ``target``, or ``snr=20dB``: each layer's strength is then chosen.

    ZeroskipError, of a kind of its own for each stage, says what is wrong and what to do.
    """
    progress = progress or no_progress
    wanted = None if budget is None else Budget.parse(budget)
    spec = load_spec(target) if isinstance(target, str) else target
    schemes = read_recipe(recipe)
    progress("import", 0, 1)
    source = read_model(model, params, example)
    dense = import_float(source, shapes or {}, by_image=False)
    progress("compare with onnxruntime", 0, 1)
    compare_import(dense, source, shapes or {}, calibrate, by_image=False)
    samples, share = given_samples(dense, calibrate), None
    progress("prune", 0, 1)
    if wanted is not None:
        if samples is None:
            raise PassError("A budget is shared out by sample inputs: give calibrate.")
        cycles = None if spec is None else cycles_on(spec)
        schemes, share = share_out(
            dense,
            schemes,
            wanted,
            samples,
            cycles=cycles,
            method=reconstruct,
            progress=progress,
        )
    module = dense
    if schemes:
        module = prune_module(
            dense, schemes, samples=samples, method=reconstruct, progress=progress
        )
    return Pruned(module, layer_changes(dense, module), share, name_of(source))
