"""How much a run may take of the computer it runs on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What a program may ask for before it is refused.

    dram_bytes: of DRAM; the machine holds about 2.5 bytes for each, so these are about 1 GiB.
    step_bytes: of the largest array that one instruction needs. work: multiplies of the whole run,
    by zeros too.
    """

    dram_bytes: int = 3 << 27
    step_bytes: int = 1 << 28
    work: int = 1 << 44
