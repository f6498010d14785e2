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
- ``plugins``: kinds of arrays by name, those of installed packages too.
- ``memory``: memories, and what each cell remembers of who used it.
- ``timing``: cycles of the array and of the units. Pure.
- ``arrays``: kinds of arrays, what each stores and how long it takes; the compiler asks it too.
- ``functional``: the numbers.
- ``execute``: each instruction's footprint, cost and semantics.
- ``machine``: both walks over a program, the audit of a run, its trace.
- ``reference``: the same hardware clock by clock, sharing no code with the above.
- ``conformance``: a kit that checks a kind of array against its reference.
"""
