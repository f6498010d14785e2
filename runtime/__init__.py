"""Running compiled networks.

``Session`` runs one, ``validate`` compares it with TVM, ``prune`` prunes a model, ``compare`` sets
pruning schemes side by side, ``sweep`` and ``search`` go over hardware as well, ``tuning`` times
schedules for the compiler, ``register`` makes ``zeroskip.run`` and the names of the compiler known
to TVM. The rooms, in the order of the flow:

- ``environment``: what all of it runs on.
- ``execution``: sessions, the packed function, validation.
- ``analysis``: reports, causes of loss, comparisons: values.
- ``prune``: a model in, a pruned one out; ``compare``: pruning schemes side by side; ``measure``:
  one pruned network's figures; ``ahead``: the machine compiled before its first use;
  ``equal_quality``: how much a scheme may remove for a loss.
- ``experiments``: sweeps and searches over networks, pruning and hardware.
- ``render``: tables, files and pages of these values.
- ``cli``: the commands.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "Session": "execution.session",
    "compare": "compare",
    "prune": "prune",
    "register": "execution.registration",
    "search": "experiments.search",
    "sweep": "experiments.sweep",
    "tuning": "execution.tuning",
    "validate": "execution.validation",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
