"""A Relax module of TVM's, with the accelerator's part compiled by zeroskip and linked in.

python examples/in_tvm.py
"""

import numpy as np
import tvm
from tvm import relax

import zeroskip

# --- module ---
rng = np.random.default_rng(0)
weights = {
    name: relax.const((rng.standard_normal(shape) * 0.2).astype(np.float32))
    for name, shape in {"first": (16, 3, 3, 3), "second": (32, 16, 3, 3)}.items()
}
x = relax.Var("x", relax.TensorType((1, 3, 16, 16), "float32"))
builder = relax.BlockBuilder()
with builder.function("main", [x]):
    with builder.dataflow():
        y = builder.emit(relax.op.nn.relu(relax.op.nn.conv2d(x, weights["first"], padding=1)))
        y = builder.emit(relax.op.nn.relu(relax.op.nn.conv2d(y, weights["second"], padding=1)))
        y = builder.emit_output(relax.op.mean(y, axis=[2, 3]))
    builder.emit_func_output(y)
module = builder.get()
# --- partition ---
images = rng.standard_normal((8, 3, 16, 16)).astype(np.float32)
partitioned = zeroskip.partition_for_zeroskip(
    module, "sparse256", prune="unstructured:sparsity=0.75", samples={"x": images}
)
library = tvm.compile(partitioned, "llvm")
# --- run ---
zeroskip.register()
machine = relax.VirtualMachine(library, tvm.cpu())
got = machine["main"](tvm.runtime.tensor(images[:1])).numpy()
plain = relax.VirtualMachine(tvm.compile(module, "llvm"), tvm.cpu())
dense = plain["main"](tvm.runtime.tensor(images[:1])).numpy()
print("on the accelerator, pruned:", got.ravel()[:4].round(3))
print("on TVM's CPU, dense:       ", dense.ravel()[:4].round(3))
# --- report ---
network = zeroskip.compile(
    module, "sparse256", prune="unstructured:sparsity=0.75", calibrate={"x": images}
)
made = zeroskip.report(network, zeroskip.Session(network).time())
for layer in made.layers:
    print(f"{layer.title}: {layer.cycles:,} cycles, {layer.x_bound:.2f} x bound")
print(made.headline)
