"""TOSA, MLIR's dialect of tensor operators, read from text as integer layers.

In the order of the flow:

- ``mlir_text``: MLIR text to operations, through xDSL (the extra ``mlir``).
- ``syntax``: operations as plain values, with the line each stands in.
- ``arithmetic``: TOSA's rounding, and what of it integer layers have.
- ``evaluate``: what the text means, operator by operator, in numpy.
- ``tensors``: activations, and how the text's tensors lie in them.
- ``sums``, ``build``, ``reader``: operators to integer layers.
- ``write``: layers to Relax, integer and float.
- ``quantizers``, ``float_operators``, ``to_onnx``: a text of floats, as torch-mlir writes it, to
  an ONNX model.
- ``read_tosa``: a text to an ``IntegerModel``; ``tflite``: a file of TFLite to text.
"""
