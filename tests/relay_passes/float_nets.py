"""Small float Relax functions in the form the importer makes, with random weights."""

from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax

from zeroskip.relay_passes.attrs import NODES_ATTR

Array = npt.NDArray[Any]


class RelaxNet:
    """Builds `main` op by op; each op's variable is named after its ONNX-like node."""

    def __init__(self, *shape: int, seed: int = 0, dtype: str = "float32") -> None:
        self.rng = np.random.default_rng(seed)
        self.x = relax.Var("input", relax.TensorType(shape, dtype))
        self.builder = relax.BlockBuilder()
        self.nodes: dict[str, str] = {}
        self._scopes = [self.builder.function("main", [self.x]), self.builder.dataflow()]
        for scope in self._scopes:
            scope.__enter__()

    def op(self, name: str, expr: Any, node: str = "") -> Any:
        var = self.builder.emit(expr, name)
        self.nodes[str(var.name)] = node or f"/{name}"
        return var

    def const(self, value: Any, dtype: str = "float32") -> Any:
        return relax.const(np.array(value, dtype), dtype)

    def weight(self, *shape: int) -> Array:
        fan_in = np.prod(shape[1:])
        values: Array = self.rng.standard_normal(shape) * np.sqrt(2 / fan_in)
        return values.astype(np.float32)

    def conv(self, name: str, x: Any, k: int, kernel: int = 3, bias: bool = True, **kw: Any) -> Any:
        rank = len(x.ty.shape) - 2
        shape = (k, int(x.ty.shape[1]) // kw.get("groups", 1), *(kernel,) * rank)
        conv = getattr(relax.op.nn, f"conv{rank}d")
        kw.setdefault("padding", kernel // 2)
        value = self.op(
            f"{name}_conv" if bias else name,
            conv(x, self.const(self.weight(*shape)), **kw),
            f"/{name}",
        )
        if not bias:
            return value
        constant = self.const(self.rng.standard_normal((1, k, *(1,) * rank)) * 0.1)
        return self.op(name, relax.op.add(value, constant))

    def relu(self, name: str, x: Any) -> Any:
        return self.op(name, relax.op.nn.relu(x))

    def dense(self, name: str, x: Any, k: int) -> Any:
        weight = self.weight(k, int(x.ty.shape[1])).T
        value = self.op(f"{name}_matmul", relax.op.matmul(x, self.const(weight)), f"/{name}")
        return self.op(name, relax.op.add(value, self.const(self.rng.standard_normal(k) * 0.1)))

    def finish(self, *results: Any) -> tvm.IRModule:
        left = [self.builder.emit_output(result) for result in results]
        self._scopes[1].__exit__(None, None, None)
        self.builder.emit_func_output(left[0] if len(left) == 1 else relax.Tuple(left))
        self._scopes[0].__exit__(None, None, None)
        for var, result in zip(left, results, strict=True):
            self.nodes[str(var.name)] = self.nodes.get(str(result.name), "")
        module = relax.transform.CanonicalizeBindings()(self.builder.get())
        return tvm.IRModule({"main": module["main"].with_attr(NODES_ATTR, self.nodes)})

    def samples(self, count: int = 4) -> dict[str, Array]:
        shape = [int(d) for d in self.x.ty.shape]
        data = self.rng.standard_normal((count * shape[0], *shape[1:])).astype(np.float32)
        return {"input": data}


def residual_net(seed: int = 0) -> tuple[tvm.IRModule, dict[str, Array]]:
    """Stem, pool, a residual block, a depthwise convolution, global pool, classifier."""
    net = RelaxNet(1, 3, 24, 24, seed=seed)
    x = net.relu("stem_relu", net.conv("stem", net.x, 16, strides=2))
    x = net.op("pool", relax.op.nn.max_pool2d(x, (3, 3), (2, 2), (1, 1)))
    y = net.relu("block_relu1", net.conv("block_conv1", x, 16))
    y = net.conv("block_conv2", y, 16, bias=False)
    x = net.relu("block_relu2", net.op("block_add", relax.op.add(x, y)))
    y = net.op("clip", relax.op.clip(net.conv("depthwise", x, 16, groups=16), 0, 6))
    x = net.op("concat", relax.op.concat([x, y, net.conv("side", x, 8, kernel=1)], axis=1))
    x = net.op("gap", relax.op.mean(x, axis=[2, 3], keepdims=True))
    x = net.op("flatten", relax.op.reshape(x, (1, 40)))
    x = net.op("softmax", relax.op.nn.softmax(net.dense("fc", x, 10)))
    return net.finish(x), net.samples()
