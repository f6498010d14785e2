"""A network whose programs are taken from elsewhere: from text that somebody has looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from tvm import relax
from tvm.ir import IRModule

from zeroskip.accel_model.program.program import Program
from zeroskip.accel_model.program.tensor_layout import Tensor
from zeroskip.compiler.artifact.network import Network, NetworkError
from zeroskip.relay_passes.relax.rewriting import const_value, make_const


def with_programs(network: Network, programs: Sequence[Program], where: str) -> Network:
    """The network with these programs in the place of its own of the same names.

    ``where`` names what they are from. NetworkError unless each is for the network's accelerator
    and takes and gives the tensors of the region that it is named after.
    """
    given = {program.name: program for program in programs}
    if len(given) != len(programs):
        raise NetworkError(f"{where}: holds two programs of one name")
    for name, program in given.items():
        own = network.programs.get(name)
        if own is None:
            raise NetworkError(
                f"{where}: holds program '{name}'; the network's regions are "
                f"{', '.join(network.programs) or 'none'}"
            )
        if program.fingerprint != network.spec.fingerprint:
            raise NetworkError(
                f"{where}: program '{name}' is for another accelerator than the network's, "
                f"{network.spec.name}; compile both for one"
            )
        for side in ("inputs", "outputs"):
            expected, got = (
                [_form(tensor) for tensor in getattr(of, side)] for of in (own, program)
            )
            if expected != got:
                raise NetworkError(
                    f"{where}: program '{name}' has the {side} {', '.join(got) or 'none'}; the "
                    f"region has {', '.join(expected)}"
                )
        if len(program.places) != len(own.places):
            raise NetworkError(
                f"{where}: program '{name}' says of {len(program.places)} layers where they are; "
                f"the region has {len(own.places)}"
            )
    old = {network.programs[name].to_bytes(): program for name, program in given.items()}
    return replace(
        network,
        programs={**network.programs, **given},
        host=_exchanged(
            network.host_module,
            {blob: np.frombuffer(program.to_bytes(), np.uint8) for blob, program in old.items()},
        ),
    )


def _form(tensor: Tensor) -> str:
    shape = "x".join(map(str, (tensor.channels, *tensor.spatial)))
    return f"{tensor.name} {tensor.dtype}[{shape}]"


def _exchanged(host: IRModule, blobs: dict[bytes, Any]) -> IRModule:
    """The host module with other constants for those whose bytes are keys."""
    updated = IRModule(attrs=host.attrs)
    for gvar, func in host.functions.items():
        taken = _Exchange(blobs).visit_expr(func) if isinstance(func, relax.Function) else func
        updated[gvar] = taken
    return updated


@relax.expr_functor.mutator
class _Exchange(relax.PyExprMutator):  # type: ignore[misc]  # TVM has no types
    def __init__(self, blobs: dict[bytes, Any]) -> None:
        super().__init__()
        self.blobs = blobs

    def visit_generic_const_(self, constant: Any) -> Any:
        value = const_value(constant)
        if value is None or value.dtype != np.uint8:
            return constant
        other = self.blobs.get(value.tobytes())
        return constant if other is None else make_const(other)
