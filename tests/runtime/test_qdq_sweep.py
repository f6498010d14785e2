"""Random networks that onnxruntime's static quantizer made, against onnxruntime: every tensor."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from tests.relay_passes.onnx_oracle import parse
from zeroskip import compiler, runtime
from zeroskip.compiler.artifact.network import Network

Array = npt.NDArray[np.generic]
SHAPE = (1, 3, 10, 10)
IMAGES = 5


class ImageReader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    def __init__(self, images: list[Array]) -> None:
        self.images = iter(images)

    def get_next(self) -> dict[str, Array] | None:
        image = next(self.images, None)
        return None if image is None else {"x": image}


def random_network(rng: np.random.Generator) -> onnx.ModelProto:
    """Two convolutions of random widths and kernels, an addition, pools and a matrix product."""
    wide, kernel = int(rng.integers(4, 20)), int(rng.choice([1, 3, 5]))
    pad, groups = kernel // 2, int(rng.choice([1, wide]))
    pool = rng.choice(["MaxPool", "AveragePool"])

    def weight(*shape: int) -> Array:
        drawn = rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
        return np.asarray(
            drawn * rng.uniform(0.3, 3, (shape[0], *(1,) * (len(shape) - 1))), np.float32
        )

    return parse(
        f"""g (float[1,3,10,10] x) => (float[1,7] y) {{
            a = Conv<pads=[1,1,1,1]>(x, wa, ba) r = Relu(a)
            b = Conv<pads=[{pad},{pad},{pad},{pad}], group={groups}>(r, wb, bb)
            s = Add(b, r) t = Relu(s) p = {pool}<kernel_shape=[2,2], strides=[2,2]>(t)
            q = GlobalAveragePool(p) f = Flatten(q) y = Gemm<transB=1>(f, wc, bc) }}""",
        wa=weight(wide, 3, 3, 3),
        ba=weight(wide, 1)[:, 0],
        wb=weight(wide, wide // groups, kernel, kernel),
        bb=weight(wide, 1)[:, 0],
        wc=weight(7, wide),
        bc=weight(7, 1)[:, 0],
    )


def compared(
    form: QuantFormat, activations: QuantType, weights: QuantType, per_channel: bool, seed: int
) -> tuple[Network, dict[str, Array]]:
    """The compiled network, and by the operator that makes it every quantized tensor's differences
    from onnxruntime, in steps."""
    rng = np.random.default_rng(seed)
    images: list[Array] = [rng.standard_normal(SHAPE).astype(np.float32) for _ in range(IMAGES)]
    with TemporaryDirectory() as folder:
        source, made = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
        onnx.save(random_network(rng), source)
        quantize_static(
            source,
            made,
            ImageReader(images),
            quant_format=form,
            per_channel=per_channel,
            activation_type=activations,
            weight_type=weights,
        )
        model = onnx.load(made)
    makers = returning_integers(model)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    judge = onnxruntime.InferenceSession(model.SerializeToString(), options)
    network = compiler.compile(model, "sparse256")
    session = runtime.Session(network)
    found: dict[str, list[Array]] = {}
    for x in images:
        got, want = session.run({"x": x}), judge.run(list(makers), {"x": x})
        for (name, maker), right in zip(makers.items(), want, strict=True):
            found.setdefault(maker, []).append((got[name].astype(int) - right).ravel())
    return network, {maker: np.concatenate(steps) for maker, steps in found.items()}


def returning_integers(model: onnx.ModelProto) -> dict[str, str]:
    """Make every quantized activation an output of the model; the operators they come from."""
    graph = model.graph
    producer = {name: node for node in graph.node for name in node.output}
    constants = {item.name: item for item in graph.initializer}
    makers: dict[str, str] = {}
    for node in graph.node:
        if not node.op_type.startswith("Q") or node.input[0] in constants:
            continue
        [result] = node.output
        before = producer.get(node.input[0], node)
        makers[result] = before.op_type if node.op_type == "QuantizeLinear" else node.op_type
        zero = max(
            (constants[name] for name in node.input[-2:] if name in constants),
            key=lambda item: item.data_type in (2, 3),
        )
        graph.output.append(onnx.helper.make_tensor_value_info(result, zero.data_type, None))
    return makers


AVERAGES = {"AveragePool", "GlobalAveragePool", "QLinearAveragePool", "QLinearGlobalAveragePool"}


@pytest.mark.parametrize(
    ("activations", "form"),
    [
        (QuantType.QInt8, QuantFormat.QDQ),
        (QuantType.QUInt8, QuantFormat.QOperator),
        pytest.param(QuantType.QInt8, QuantFormat.QOperator, marks=pytest.mark.slow),
        pytest.param(QuantType.QUInt8, QuantFormat.QDQ, marks=pytest.mark.slow),
    ],
)
def test_every_tensor_is_onnxruntimes_and_every_layer_on_the_accelerator(
    form: QuantFormat, activations: QuantType
) -> None:
    """An average that is a half goes to the even neighbour here, and where float32 puts it there;
    what reads it may differ then."""
    every = []
    for per_channel, seed in ((False, 1), (True, 2), (True, 3)):
        network, found = compared(form, activations, QuantType.QInt8, per_channel, seed)
        assert not network.cpu
        assert network.placement.layers_on_cpu == 0
        for maker, steps in found.items():
            if maker in ("Conv", "Relu", "Add", "QLinearConv", "QLinearAdd"):
                assert np.mean(steps == 0) >= 0.999, (maker, seed)
            if maker in AVERAGES:
                assert np.abs(steps).max() <= 1, (maker, seed)
            every.append(steps)
    off = np.abs(np.concatenate(every))
    assert off.size > 10000
    assert np.mean(off <= 1) >= 0.999
    assert off.max() <= 2


@pytest.mark.parametrize("form", [QuantFormat.QDQ, QuantFormat.QOperator])
def test_unsigned_weights_are_the_models_own_or_on_the_cpu_by_name(form: QuantFormat) -> None:
    network, found = compared(form, QuantType.QUInt8, QuantType.QUInt8, False, 3)
    assert any("more than 8 bits" in why for why in network.cpu.values())
    assert max(np.abs(steps).max() for steps in found.values()) <= 1
