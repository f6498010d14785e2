"""What silicon costs: SRAM macros, logic and DRAM, as energy, area, leakage and time.

Pure data and interpolation. ``sram`` reads a table that CACTI made
(``benchmarks/make_sram_table.py``), ``logic`` published tables of operators and cells, ``dram``
energy by kind; each number has its source beside it. What an accelerator is built of is
``physics``'s to say, not this room's.
"""

from zeroskip.accel_model.technology.dram import DRAM_KINDS, DRAM_TIMINGS, DramDevice, dram
from zeroskip.accel_model.technology.logic import Cell, Logic, logic
from zeroskip.accel_model.technology.node import NODES, TechnologyError
from zeroskip.accel_model.technology.sram import PORTS, Macro, sram

__all__ = [
    "DRAM_KINDS",
    "DRAM_TIMINGS",
    "NODES",
    "PORTS",
    "Cell",
    "DramDevice",
    "Logic",
    "Macro",
    "TechnologyError",
    "dram",
    "logic",
    "sram",
]
