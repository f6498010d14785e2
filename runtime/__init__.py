"""Running compiled networks.

``Session`` runs one, ``validate`` compares it with TVM, ``compare`` sets pruning schemes side by
side, ``tuning`` times schedules for the compiler, ``register`` makes ``zeroskip.run`` known to TVM,
for modules that were exported with accelerator regions in them. The rooms, in the order of the
flow:

- ``execution``: sessions, the packed function, validation.
- ``analysis``: reports, causes of loss, comparisons: values.
- ``compare``: pruning schemes side by side.
- ``render``: tables, files and pages of these values.
- ``cli``: the commands.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "Session": "execution.session",
    "compare": "compare",
    "tuning": "execution.tuning",
    "validate": "execution.validation",
}

__all__ = [*sorted(_HOME), "register"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def register() -> None:
    """Register the packed function that modules with accelerator regions call."""
    import_module(f"{__name__}.execution.packed")
