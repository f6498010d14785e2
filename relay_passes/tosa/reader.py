"""A module's main function as integer layers: operators in order, each held to what layers have."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from zeroskip.relay_passes.errors import FrontError
from zeroskip.relay_passes.tosa import elements, sums
from zeroskip.relay_passes.tosa.evaluate import OPERATORS, compute
from zeroskip.relay_passes.tosa.reading import Held, Reading
from zeroskip.relay_passes.tosa.syntax import MAX_OPS, Function, Module, Operation, Value
from zeroskip.relay_passes.tosa.tensors import Activation, View

MAX_DEPTH = 8  # of functions that call each other


class Reader(Reading):
    """Reads a module; ``inputs`` and ``outputs`` are its activations, ``building`` the layers."""

    def __init__(self, module: Module) -> None:
        super().__init__()
        self._module = module
        self._left = MAX_OPS
        block = module.main.block
        self.inputs = [self._input(module, value) for value in block.params]
        results = self._run(module.main, [View(each) for each in self.inputs], 0)
        sizes = [value.type.shape for value in block.results]
        self.outputs = list(map(self._output, results, sizes))

    def _input(self, module: Module, value: Value) -> Activation:
        kind = value.type
        if kind.element != "i8" or not kind.shape:
            raise FrontError(
                f"{module.where}: @{module.main.name} takes a {kind}: inputs are tensors of int8"
            )
        reads = self._reads(module.main, value, 0)
        return Activation(kind.shape, "uint8" if reads and all(reads) else "int8")

    def _reads(self, function: Function, value: Value, depth: int) -> list[bool]:
        """For each operator that reads a value, whether it takes its bits for a uint8."""
        found: list[bool] = []
        self._spend(function)
        for op in function.block.ops:
            for at, each in enumerate(op.operands):
                callee = self._module.functions.get(str(op.attributes.get("callee")))
                if each is not value:
                    continue
                if op.name in ("tosa.transpose", "tosa.reshape", "tosa.identity"):
                    found += self._reads(function, op.result, depth)
                elif op.name == "func.call" and callee is not None and depth < MAX_DEPTH:
                    if at < len(callee.block.params):
                        found += self._reads(callee, callee.block.params[at], depth + 1)
                else:
                    found.append(op.name == "tosa.rescale" and op.truth("input_unsigned"))
        return found

    def _run(self, function: Function, arguments: Sequence[Held], depth: int) -> list[Held]:
        self._spend(function)
        block = function.block
        self.uses.update(each for op in block.ops for each in op.operands)
        self.uses.update(block.results)
        self.known |= dict(zip(block.params, arguments, strict=True))
        for op in block.ops:
            if op.name == "func.call":
                self._call(op, depth)
            else:
                self.known[op.result] = self._operation(op)
        return [self.held(each) for each in block.results]

    def _spend(self, function: Function) -> None:
        """Functions that call each other often are refused, before that takes long."""
        self._left -= 1 + len(function.block.ops)
        if self._left < 0:
            raise FrontError(
                f"{self._module.where}: its functions hold more than {MAX_OPS} operations where they "
                "are called: compile a part"
            )

    def _call(self, op: Operation, depth: int) -> None:
        callee = self._module.functions.get(str(op.attributes.get("callee")))
        if callee is None or depth >= MAX_DEPTH:
            op.refuse("calls a function that is not in the module, or too deep within others")
        kinds = [value.type for value in callee.block.params]
        if kinds != [value.type for value in op.operands] or len(op.results) != len(
            callee.block.results
        ):
            op.refuse(f"does not fit the parameters of @{callee.name}")
        before, self.function = self.function, callee.name
        found = self._run(callee, [self.held(each) for each in op.operands], depth + 1)
        self.function = before
        self.known |= dict(zip(op.results, found, strict=True))

    def _output(self, held: Held, size: tuple[int, ...]) -> Activation:
        held = self.cut(held, size, "output/slice") or held
        if not isinstance(held, View) or (held.of.dtype == "uint8" and held.moved):
            raise FrontError(
                f"{self._module.where}: a result of @{self._module.main.name} is no int8 tensor that "
                "layers make: return what a rescale or clamp gives"
            )
        return self.building.lying(held, None, "output")

    def _operation(self, op: Operation) -> Held:
        if op.name not in OPERATORS:
            op.refuse(
                "is no operator of the accelerator's integer layers: leave it out of what is "
                "compiled, or run it behind on the CPU"
            )
        constants = [self.constant(each) for each in op.operands]
        if all(each is not None for each in constants):
            return compute(op, [each for each in constants if each is not None], self.constant)
        return _READERS[op.name](self, op)


_READERS: dict[str, Callable[[Reading, Operation], Held]] = {
    "tosa.conv2d": sums.conv,
    "tosa.depthwise_conv2d": sums.conv,
    "tosa.rescale": elements.rescale,
    "tosa.clamp": elements.clamp,
    "tosa.table": elements.table,
    "tosa.max_pool2d": sums.max_pool,
    "tosa.avg_pool2d": sums.average_pool,
    "tosa.add": elements.add,
    "tosa.mul": elements.multiply,
    "tosa.minimum": sums.limits,
    "tosa.maximum": sums.limits,
    "tosa.reduce_sum": sums.reduce_sum,
    "tosa.concat": elements.concat,
    "tosa.reshape": elements.reshape,
    "tosa.transpose": elements.transpose,
    "tosa.slice": elements.slice_,
    "tosa.gather": elements.gather,
    "tosa.pad": elements.pad,
    "tosa.identity": elements.identity,
    "linalg.generic": elements.generic,
    "linalg.pooling_nhwc_max": sums.largest_of_windows,
}
