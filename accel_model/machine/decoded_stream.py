"""A program's instructions, with what is known of each before anything is executed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.execute.model import Cost, Footprint
from zeroskip.accel_model.isa.encoding import decode_all
from zeroskip.accel_model.isa.instructions import BUS, UNITS, Instruction, LoadParams, LoadWeights
from zeroskip.accel_model.spec import AccelSpec

Int64 = npt.NDArray[np.int64]


@dataclass
class DecodedInstruction:
    """An instruction, and when it has been executed once what that depends on nothing but it and
    the registers before it: its footprint and, unless weights decide, its cost."""

    one: Instruction
    footprint: Footprint | None = None
    cost: Cost | None = None


@dataclass(frozen=True, eq=False)
class DecodedProgram:
    """unit: int64 [n], 0 load, 1 compute, 2 store. wait, post: int64 [n], units as bits. on_bus:
    bool [n]. constants: where the weights and parameters that it loads end in DRAM."""

    steps: tuple[DecodedInstruction, ...]
    unit: Int64
    wait: Int64
    post: Int64
    on_bus: npt.NDArray[np.bool_]
    constants: int


@lru_cache(maxsize=8)  # a network is run image after image
def decode_program(
    words: bytes, spec: AccelSpec, dram_bytes: int, image_bytes: int
) -> DecodedProgram:
    """The stream of uint8 [n, 16] for an accelerator and sizes of DRAM and of its image; IsaError
    names the first pc that is not an instruction."""
    stream = decode_all(np.frombuffer(words, np.uint8).reshape(-1, 16))
    numbers = {unit: number for number, unit in enumerate(UNITS)}
    columns = [(numbers[one.unit], one.wait, one.post, isinstance(one, BUS)) for one in stream]
    unit, wait, post, on_bus = np.ascontiguousarray(np.array(columns, np.int64).reshape(-1, 4).T)
    return DecodedProgram(
        tuple(DecodedInstruction(one) for one in stream),
        unit,
        wait,
        post,
        on_bus.astype(np.bool_),
        max(map(_constants, stream), default=0),
    )


def _constants(one: Instruction) -> int:
    """Where the weights or parameters that an instruction loads end in DRAM; 0 if it loads none."""
    if isinstance(one, LoadWeights):
        return one.dram + one.size
    return one.dram + 16 * one.rows if isinstance(one, LoadParams) else 0
