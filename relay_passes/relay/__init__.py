"""Relay of TVM 0.18 and before, read without TVM and written as ONNX.

In the order of the flow:

- ``types``, ``syntax``: tensor types and a function as values.
- ``lexer``, ``parser``: the text of ``IRModule.astext()`` to a function.
- ``ndarray``, ``metadata``: the arrays of ``relay.save_param_dict`` and of ``#[metadata]``.
- ``builder``, ``values``: an ONNX graph that knows the type of every tensor in it.
- ``operators``: how each operator is written in ONNX, one table.
- ``convert``: ``relay_to_onnx``.
"""
