"""PyTorch's modules and programs: names of layers, masks, what is refused. Needs torch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxscript")

import torch
from torch import nn
from torch.nn.utils import prune

import zeroskip
from tests.relay_passes.torch_nets import Net, net
from tests.runtime.command import refused
from tests.runtime.command import zeroskip as command
from zeroskip.compiler.artifact.network import Network
from zeroskip.compiler.driver import import_float
from zeroskip.relay_passes.errors import FrontError
from zeroskip.relay_passes.pruning.detect import detect
from zeroskip.relay_passes.pytorch import said_of, torch_to_onnx
from zeroskip.relay_passes.read_model import read_model
from zeroskip.runtime.execution.session import Session

pytestmark = pytest.mark.torch
SHAPE = (1, 3, 16, 16)
LAYERS = [
    "stem.0",
    "layer1.0.conv1",
    "layer1.0.conv2",
    "layer1.1.conv1",
    "layer1.1.conv2",
    "layer1.1.down",
    "fc",
]


def image() -> torch.Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(7))


def structures(model: nn.Module) -> dict[str, str]:
    """What the zeros of each layer are, by its name."""
    found = detect(import_float(torch_to_onnx(model, SHAPE), {}))
    return {each.node: str(each) for each in found}


def test_layers_are_called_by_their_modules() -> None:
    named = {node.name: node.op_type for node in torch_to_onnx(net(), SHAPE).graph.node}
    assert [name for name, op in named.items() if op in ("Conv", "Gemm")] == LAYERS
    assert {name for name, op in named.items() if op == "Add"} == {"layer1.0.add", "layer1.1.add_1"}
    assert named["stem.1"] == "Relu"
    assert named["pool"] == "ReduceMean"
    assert sum(name.startswith("layer1.0.relu.") for name in named) == 2  # one module, run twice


def test_layers_of_a_users_own_export_too(tmp_path: Path) -> None:
    """Whose exporter has folded the normalisation; the model that was given is as it was."""
    file = tmp_path / "net.onnx"
    made = torch.onnx.export(net(), (image(),), dynamo=True, verbose=False).model_proto
    before = made.SerializeToString()
    onnx.save(made, file)
    for model in (file, read_model(made)):
        found = [each.node for each in detect(import_float(model, {}))]
        assert found == LAYERS
    assert made.SerializeToString() == before


def test_a_module_is_compiled_and_computes_what_torch_does() -> None:
    model = net().train()
    network = zeroskip.compile(
        model, "pattern256", example=image(), calibrate={"image": image().numpy()}
    )
    assert model.training
    assert all(module.training for module in model.modules())
    found = Session(network).run({"image": image().numpy()})
    with torch.no_grad():
        want = model.eval()(image()).numpy()
    (got,) = found.values()
    noise = np.square(got - want).sum() / np.square(want).sum()
    assert 10 * np.log10(noise) < -25
    assert network.name == "Net"
    assert network.placement.macs_on_cpu == 0


def test_a_program_file_is_compiled_from_the_command_line(tmp_path: Path) -> None:
    model = net()
    prune.l1_unstructured(model.fc, "weight", 0.5)
    torch.export.save(torch.export.export(model, (image(),)), tmp_path / "net.pt2")
    done = command("compile", tmp_path / "net.pt2", "-o", tmp_path / "net.zsk")
    assert done.exit_code == 0, done.output
    assert "masks of torch.nn.utils.prune are applied: fc" in done.stderr
    np.savez(tmp_path / "x.npz", image=image().numpy())
    done = command("validate", tmp_path / "net.zsk", "--input", tmp_path / "x.npz")
    assert done.exit_code == 0, done.output
    assert "bit-exact" in done.output


def test_masks_are_recognised() -> None:
    model = net()
    prune.l1_unstructured(model.fc, "weight", 0.7)
    prune.ln_structured(model.layer1[1].conv2, "weight", 0.5, n=2, dim=0)
    weight = model.layer1[0].conv2.weight.detach()
    pairs = weight.abs().reshape(16, -1, 4, 3, 3).transpose(2, 4).contiguous()
    kept = torch.zeros_like(pairs).scatter_(4, pairs.topk(2, dim=4).indices, 1.0)
    mask = kept.transpose(2, 4).reshape(weight.shape)
    prune.custom_from_mask(model.layer1[0].conv2, "weight", mask)
    said = structures(model)
    assert said["fc"] == "unstructured"
    assert "16 filters of zeros" in said["layer1.1.conv2"]
    assert said["layer1.0.conv2"].startswith("nm: 2 of every 4")
    assert said["stem.0"] == "dense"
    note = said_of(torch_to_onnx(model, SHAPE))
    assert note == ("masks of torch.nn.utils.prune are applied: layer1.0.conv2, layer1.1.conv2, fc")


def test_a_mask_that_was_made_permanent_is_one_too() -> None:
    model = net()
    prune.l1_unstructured(model.fc, "weight", 0.7)
    prune.remove(model.fc, "weight")
    assert structures(model)["fc"] == "unstructured"


def test_what_torch_pruning_leaves_is_said() -> None:
    pruning = pytest.importorskip("torch_pruning")
    model = net()
    tool = pruning.pruner.MagnitudePruner(
        model,
        image(),
        importance=pruning.importance.MagnitudeImportance(p=2),
        pruning_ratio=0.3,
        ignored_layers=[model.fc],
    )
    tool.step()
    proto = torch_to_onnx(model, SHAPE)
    assert "are no multiple of 8" in said_of(proto)
    assert "stem.0 1" in said_of(proto)
    network = zeroskip.compile(proto, "dense256")
    with torch.no_grad():
        want = model(image()).numpy()
    (got,) = Session(network).run({"image": image().numpy()}).values()
    assert got.shape == want.shape


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "no example": (lambda: read_model(Net()), "give example=, a tensor or a shape"),
    "a wrong shape": (
        lambda: read_model(Net(), example=(1, 4, 16, 16)),
        "'Net' cannot be exported by torch.export",
    ),
    "no values": (
        lambda: read_model(Net().to("meta"), example=SHAPE),
        "'Net' has no values for stem.0.weight, which is on the meta device",
    ),
    "no tensor": (lambda: read_model(Net(), example="cat.png"), "An example is a str"),
    "an example of a program": (
        lambda: read_model(torch.export.export(Net().eval(), (image(),)), example=SHAPE),
        "has its own inputs: leave the example out",
    ),
    "an example of ONNX": (
        lambda: read_model("net.onnx", example=SHAPE),
        "An example belongs to a module of torch's",
    ),
    "parameters": (lambda: read_model(Net(), params="p"), "Parameters belong to Relay's text"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    make, message = REFUSED[name]
    with pytest.raises(FrontError) as found:
        make()
    assert message in str(found.value)
    assert "\n" not in str(found.value)


class Branching(nn.Module):  # type: ignore[misc]  # torch is optional
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1 if x.sum() > 0 else x


def test_a_branch_on_values_is_refused() -> None:
    with pytest.raises(FrontError, match=r"'Branching' cannot be exported by torch\.export"):
        torch_to_onnx(Branching(), SHAPE)


def test_a_file_that_is_none_of_torchs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.pt2").write_bytes(b"no program")
    done = command("compile", tmp_path / "net.pt2", "-o", tmp_path / "net.zsk")
    assert "is no program that torch.export.save wrote" in refused(done)
    assert not (tmp_path / "net.zsk").exists()


class Quantized(nn.Module):  # type: ignore[misc]  # torch is optional
    """What PT2E's quantizers leave: int8 weights by channel, float biases, scales between."""

    def __init__(self) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(0)
        weight = torch.randint(-127, 128, (8, 3, 3, 3), generator=rng, dtype=torch.int8)
        self.register_buffer("weight", weight)
        self.register_buffer("scales", torch.rand(8, generator=rng) * 0.01 + 0.001)
        self.register_buffer("zeros", torch.zeros(8, dtype=torch.int64))
        self.register_buffer("bias", torch.randn(8, generator=rng))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        of = torch.ops.quantized_decomposed
        weight = of.dequantize_per_channel(
            self.weight, self.scales, self.zeros, 0, -127, 127, torch.int8
        )
        y = torch.relu(nn.functional.conv2d(held(x, 0.03, 9), weight, self.bias, padding=1))
        return held(nn.functional.max_pool2d(held(y, 0.05, -128), 2), 0.05, -128)


def held(x: torch.Tensor, scale: float, zero: int) -> torch.Tensor:
    """Values as int8 of this scale holds them."""
    of, by = torch.ops.quantized_decomposed, (scale, zero, -128, 127, torch.int8)
    return of.dequantize_per_tensor(of.quantize_per_tensor(x, *by), *by)


def test_what_pt2e_quantized_runs_as_it_is(tmp_path: Path) -> None:
    """Read by a process that knows of no quantizer; every layer with torch's own results."""
    import torch.ao.quantization.fx._decomposed  # registers the operators

    model = Quantized()
    torch.export.save(torch.export.export(model, (image(),)), tmp_path / "net.pt2")
    done = subprocess.run(
        [sys.executable, "-m", "zeroskip", "compile", "net.pt2", "-o", "net.zsk"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    network = Network.load(tmp_path / "net.zsk")
    assert network.placement.whole
    (got,) = Session(network).run({network.inputs[0].name: image().numpy()}).values()
    steps = np.round((got - model(image()).numpy()) / 0.05)
    assert np.abs(steps).max() <= 1
    assert np.count_nonzero(steps) <= 0.01 * steps.size


def test_a_module_that_torch_exported_is_one_too() -> None:
    """As PT2E takes and gives them; torch lets nobody put them in another mode."""
    exported = torch.export.export(net(), (image(),)).module()
    with pytest.raises(NotImplementedError):
        exported.eval()
    ops = [node.op_type for node in torch_to_onnx(exported, SHAPE).graph.node]
    assert ops == [node.op_type for node in torch_to_onnx(net(), SHAPE).graph.node]


def test_an_operator_that_nothing_registers_is_named(tmp_path: Path) -> None:
    code = """
import torch
@torch.library.custom_op("mine::twice", mutates_args=())
def twice(x: torch.Tensor) -> torch.Tensor:
    return x * 2
twice.register_fake(lambda x: x.new_empty(x.shape))
class Net(torch.nn.Module):
    def forward(self, x):
        return twice(x)
torch.export.save(torch.export.export(Net(), (torch.zeros(1, 4),)), "net.pt2")
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)
    done = command("compile", tmp_path / "net.pt2", "-o", tmp_path / "net.zsk")
    said = refused(done)
    assert "holds the operator torch.ops.mine.twice.default" in said
    assert "import what registers it" in said


def test_keras_on_torch_is_a_module_too(tmp_path: Path) -> None:
    """Keras 3 by its own export, and its model, which is a module where torch is its backend."""
    code = """
import os, sys
os.environ["KERAS_BACKEND"] = "torch"
import keras, numpy as np
from keras import layers
import zeroskip
model = keras.Sequential([
    layers.Input((16, 16, 3)), layers.Conv2D(8, 3, padding="same"), layers.ReLU(),
    layers.GlobalAveragePooling2D(), layers.Dense(10),
])
x = np.random.default_rng(0).standard_normal((1, 16, 16, 3)).astype(np.float32)
want = keras.ops.convert_to_numpy(model(x))
model.export("net.onnx", format="onnx")
exported = zeroskip.compile("net.onnx", "dense256", shapes={"keras_tensor": (1, 16, 16, 3)})
for network in (exported, zeroskip.compile(model, "dense256", example=(1, 16, 16, 3))):
    (got,) = zeroskip.Session(network).run({network.inputs[0].name: x}).values()
    assert np.abs(got - want).max() < 0.1 * np.abs(want).max(), (got, want)
    assert network.placement.macs_on_cpu == 0
"""
    if find_spec("keras") is None:
        pytest.skip("needs Keras")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
