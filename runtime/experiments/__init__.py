"""Experiments: many compiles over networks, pruning and hardware, kept and compared.

The files, in the order of the flow:

- ``errors``: what is refused.
- ``options``: keywords of ``sweep`` and ``search``.
- ``settings``: keys of hardware and the values that an experiment gives them.
- ``sources``: networks and data by their content.
- ``point``: one compile as a value, with the key under which its figures are kept.
- ``space``: the points of a sweep, from options or a TOML file.
- ``store``: figures and failures, by key, in one SQLite file.
- ``front``: import, pruning, calibration and quality of a point, which others share.
- ``engine``: where points are measured: this process, or workers of dask.distributed.
- ``run``: points through an engine into a store.
- ``metrics``: what points are compared by.
- ``table``: points with their figures as columns, and which no other beats.
- ``sweep``, ``search``: all points of a space; those that an optimizer asks for.
"""
