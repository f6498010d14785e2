"""MLIR text: programs in a ``zeroskip`` dialect, layers in TOSA; written without any package."""
