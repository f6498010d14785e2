"""The accelerator: its instruction set, its memories, and the machine that runs programs.

In the order in which each stands on the one before:

- ``errors``, ``io``: refusals; files that appear whole, compiled loops, tables that are believed
  only after a look.
- ``technology``: what memories, logic and DRAM cost in energy, area and time, from tables.
- ``spec``, ``targets``: the hardware description and the built-in ones.
- ``physics``: what a target is built of, and the energy, area and time of its parts.
- ``isa``: instructions as declarations; encoding, assembly and the manual follow from them.
- ``formats``: how weights lie in DRAM and in WGT.
- ``program``: a compiled program and its file.
- ``memory``: memories, and what each cell remembers of who used it.
- ``timing``: cycles of the array and of the units. Pure; the one room that the compiler may ask.
- ``arrays``: the seam: what a kind of array declares, and the lanes.
- ``functional``: the numbers.
- ``execute``: each instruction's footprint, cost and semantics.
- ``machine``: both walks over a program, the audit of a run, its trace.
- ``reference``: the same hardware clock by clock, sharing no code with the above.
"""
