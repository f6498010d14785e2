"""ONNX in and out: one normal form for every model, then Relax; and a module back to ONNX."""
