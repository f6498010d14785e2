"""A module on TVM's CPU whose variables can be looked at, and what is compared at its end."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy.typing as npt
import tvm
from tvm import relax

from zeroskip.relay_passes.host_calls import JoinHostCalls
from zeroskip.relay_passes.quantize.calibrate import watched, watching
from zeroskip.relay_passes.relax.cpu import compile_for_cpu, run_cpu
from zeroskip.relay_passes.relax.passes import with_unique_names
from zeroskip.relay_passes.relax.saturation import Before

Array = npt.NDArray[Any]
WATCH = "zeroskip_watch"  # the function that returns the variables


class Watch:
    """A module and the variables of its main that are looked at besides its outputs."""

    def __init__(self, module: tvm.IRModule, names: Sequence[str]) -> None:
        self._module, self._names = with_unique_names(module), list(dict.fromkeys(names))

    @property
    def module(self) -> tvm.IRModule:
        """The module, its calls of the CPU joined as they run (they round alike then), with a
        function that returns the variables, but inputs."""
        joined: tvm.IRModule = JoinHostCalls()(self._module)
        if not self._computed:
            return joined
        made = tvm.IRModule(joined.functions, attrs=joined.attrs)
        made[relax.GlobalVar(WATCH)] = relax.analysis.remove_all_unused(
            watching(self._module["main"], self._names, WATCH)
        )
        return made

    @property
    def _computed(self) -> bool:
        """Whether one of the variables is no input."""
        return bool({*self._names} - {str(param.name) for param in self._module["main"].params})

    @cached_property
    def executable(self) -> Any:
        """The module compiled."""
        return compile_for_cpu(self.module)

    def outputs(self, arrays: list[Array]) -> list[Array]:
        """What main returns."""
        results: list[Array] = run_cpu(self.executable, "main", arrays)
        return results

    def values(self, arrays: list[Array]) -> dict[str, Array]:
        """The variables."""
        results = run_cpu(self.executable, WATCH, arrays) if self._computed else []
        return dict(
            zip(
                self._names,
                watched(self._module["main"], self._names, arrays, results),
                strict=True,
            )
        )


Ends = list[tuple[Before, Before] | None]


def ends_of(floats: Sequence[Before | None], integers: Sequence[Before | None]) -> Ends:
    """Both networks' tensors before the end of each output, where they are of the same kind."""
    return [
        (one, other) if one and other and one.functions == other.functions else None
        for one, other in zip(floats, integers, strict=True)
    ]


def compared(
    pair: tuple[Before, Before] | None,
    want: tuple[Array, dict[str, Array]],
    got: tuple[Array, dict[str, Array]],
) -> list[tuple[Array, Array]]:
    """The tensors by which an output is judged. want, got: the output of the float and of the
    integer network, and their variables."""
    if pair is None:
        return [(want[0], got[0])]
    return [
        (want[1][name], got[1][other])
        for name, other in zip(pair[0].names, pair[1].names, strict=True)
    ]
