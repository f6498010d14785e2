"""zeroskip compiles pruned convolutional networks for modeled sparse accelerators.

``compile`` makes a network of an ONNX model, ``Session`` runs it, ``validate`` compares it with TVM
bit by bit, ``report`` says where its cycles went, ``evaluate`` how often it classifies right;
``sweep`` and ``search`` do so for many networks, prunings and accelerators. For TVM's users
``partition_for_zeroskip`` takes a Relax module for ``tvm.compile``, and ``register`` makes zeroskip
known to TVM. The packages, in the order in which a model passes through them: ``relay_passes``
(ONNX and Relax), ``compiler`` (tiles, schedules, instructions), ``accel_model`` (the machine),
``runtime`` (sessions, judgement, reports, the command line). Names are loaded when they are first
used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zeroskip.compiler.backend import partition_for_zeroskip as partition_for_zeroskip
    from zeroskip.compiler.driver import compile as compile
    from zeroskip.runtime.analysis.report import report as report
    from zeroskip.runtime.execution.evaluation import evaluate as evaluate
    from zeroskip.runtime.execution.registration import register as register
    from zeroskip.runtime.execution.session import Session as Session
    from zeroskip.runtime.execution.validation import validate as validate
    from zeroskip.runtime.experiments.search import search as search
    from zeroskip.runtime.experiments.sweep import sweep as sweep

__version__ = "0.1.0"

_HOME = {
    "compile": "compiler.driver",
    "evaluate": "runtime.execution.evaluation",
    "partition_for_zeroskip": "compiler.backend",
    "register": "runtime.execution.registration",
    "report": "runtime.analysis.report",
    "search": "runtime.experiments.search",
    "Session": "runtime.execution.session",
    "sweep": "runtime.experiments.sweep",
    "validate": "runtime.execution.validation",
}

__all__ = [
    "Session",
    "__version__",
    "compile",
    "evaluate",
    "partition_for_zeroskip",
    "register",
    "report",
    "search",
    "sweep",
    "validate",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
