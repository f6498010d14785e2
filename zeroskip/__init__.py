"""zeroskip compiles pruned convolutional networks for modeled sparse accelerators.

``compile`` makes a network of an ONNX model, ``Session`` runs it, ``validate`` compares it with TVM
bit by bit, ``report`` says where its cycles went, ``evaluate`` how often it classifies right;
``prune`` prunes a model, and ``compare`` compares ways to on several accelerators; ``sweep`` and
``search`` do so for many networks, prunings and accelerators. ``schemes`` and ``targets`` name what
there is. A ``Network`` can be saved and loaded; every refusal is a ``ZeroskipError``. For TVM's
users ``partition_for_zeroskip`` takes a Relax module for ``tvm.compile``, and ``register`` makes
zeroskip known to TVM. The packages, in the order in which a model passes through them:
``relay_passes`` (ONNX and Relax), ``compiler`` (tiles, schedules, instructions), ``accel_model``
(the machine), ``runtime`` (sessions, judgement, reports, the command line). Names are loaded when
they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zeroskip.accel_model.errors import ZeroskipError as ZeroskipError
    from zeroskip.accel_model.spec import targets as targets
    from zeroskip.compiler.artifact.network import Network as Network
    from zeroskip.compiler.backend import partition_for_zeroskip as partition_for_zeroskip
    from zeroskip.compiler.driver import compile as compile
    from zeroskip.relay_passes.pruning.schemes.recipe import schemes as schemes
    from zeroskip.runtime.analysis.report import report as report
    from zeroskip.runtime.compare import compare as compare
    from zeroskip.runtime.execution.evaluation import evaluate as evaluate
    from zeroskip.runtime.execution.registration import register as register
    from zeroskip.runtime.execution.session import Session as Session
    from zeroskip.runtime.execution.validation import validate as validate
    from zeroskip.runtime.experiments.search import search as search
    from zeroskip.runtime.experiments.sweep import sweep as sweep
    from zeroskip.runtime.prune import prune as prune

__version__ = "0.1.0"

_HOME = {
    "compare": "runtime.compare",
    "compile": "compiler.driver",
    "evaluate": "runtime.execution.evaluation",
    "Network": "compiler.artifact.network",
    "partition_for_zeroskip": "compiler.backend",
    "prune": "runtime.prune",
    "register": "runtime.execution.registration",
    "report": "runtime.analysis.report",
    "schemes": "relay_passes.pruning.schemes.recipe",
    "search": "runtime.experiments.search",
    "Session": "runtime.execution.session",
    "sweep": "runtime.experiments.sweep",
    "targets": "accel_model.spec",
    "validate": "runtime.execution.validation",
    "ZeroskipError": "accel_model.errors",
}

__all__ = [
    "Network",
    "Session",
    "ZeroskipError",
    "__version__",
    "compare",
    "compile",
    "evaluate",
    "partition_for_zeroskip",
    "prune",
    "register",
    "report",
    "schemes",
    "search",
    "sweep",
    "targets",
    "validate",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
