"""How much a run may take of the computer it runs on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ResourceLimits:
    """What a program may ask for before it is refused. By default a run stays below 1 GiB, but for
    what the program's file takes itself.

    dram_bytes: of DRAM behind the program's image, of which the machine holds 2.75 bytes for each,
    and those of outputs once more. step_bytes: of the largest array that one instruction needs;
    there are two. work: multiplies of the whole run, by zeros too: some minutes.
    """

    dram_bytes: int = 3 << 26
    step_bytes: int = 1 << 27
    work: int = 1 << 38
