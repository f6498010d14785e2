"""How each Relay operator is written in ONNX.

- ``operation``: a call with its operands converted; ``layout``: to and from NCHW.
- ``elementwise``, ``convolution``, ``pooling``, ``normalization``, ``reduction``, ``shape``,
  ``resize``, ``quantized``: operators by kind, each with its ``TABLE``.
- ``table``: all of them.
"""
