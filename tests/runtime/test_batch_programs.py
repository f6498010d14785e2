"""``compile(..., batch=N)``: one program of N images, with the bits, inputs and words of each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.runtime.command import refused, zeroskip
from tests.runtime.nets import SHAPE, of_batch, small_net
from zeroskip import compiler
from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.compiler.artifact.network import Network, NetworkError
from zeroskip.compiler.driver import import_float
from zeroskip.compiler.errors import CompileError
from zeroskip.compiler.multi_level import compile_levels
from zeroskip.relay_passes.tosa.read_tosa import tosa_to_integer
from zeroskip.runtime.analysis.report import report
from zeroskip.runtime.execution.evaluation import evaluate
from zeroskip.runtime.execution.session import Session
from zeroskip.runtime.execution.validation import validate
from zeroskip.runtime.render.pages.totals import headline

RNG = np.random.default_rng(11)
IMAGES = RNG.standard_normal((6, *SHAPE[1:])).astype(np.float32)
SAMPLES = {"x": IMAGES}


def compiled(model: onnx.ModelProto, **options: Any) -> Network:
    made: Network = compiler.compile(model, "sparse256", calibrate=SAMPLES, **options)
    return made


@pytest.fixture(scope="module")
def many() -> Network:
    """Two regions with a Softmax on the host between them, of three images each."""
    return compiled(small_net(cpu_node=True), batch=3)


def test_every_image_has_the_bits_that_it_has_alone(many: Network, tmp_path: Path) -> None:
    many.save(tmp_path / "net.zsk")
    loaded = Network.load(tmp_path / "net.zsk")
    assert (loaded.images, loaded.batch) == (3, 1)
    assert [port.shape for port in loaded.inputs] == [(3, *SHAPE[1:])]
    alone = Session(compiled(small_net(cpu_node=True)))
    together = Session(loaded)
    assert np.array_equal(together.run(SAMPLES)["y"], alone.run(SAMPLES)["y"])
    assert all(run.images == 2 for run in together.runs.values())  # of three
    result = validate(loaded, SAMPLES, layers=True)
    assert result.exact
    assert result.regions == 2 * len(loaded.programs)
    assert min(each.snr_db for each in result.quality) > 20


def test_rates_and_energy_are_of_an_image() -> None:
    """And the page has as many inferences in a second as the images take."""
    single, whole = (
        report(net, Session(net).time())
        for net in (compiled(small_net()), compiled(small_net(), batch=4))
    )
    one, of = single.efficiency, whole.efficiency
    assert one is not None
    assert of is not None
    assert of.images_a_second == pytest.approx(4000 / whole.milliseconds)
    assert of.edp == pytest.approx(of.microjoules * whole.milliseconds / 4)
    assert sum(whole.energy.values()) / 4 < of.microjoules < one.microjoules
    assert of.dense_tops == pytest.approx(2 * single.macs * of.images_a_second / 1e12)
    assert of.tops / of.dense_tops == pytest.approx(one.tops / one.dense_tops)
    text = "".join(headline(whole).itertext())
    assert f"inferences a second{of.images_a_second:,.0f}of the" in text
    assert "of all events of 4 images" in text


def test_samples_are_images_whatever_the_batch() -> None:
    """Of an array that looks at activations: whole runs of them are kept, six are no run of
    eight."""
    for batch, kept in ((4, {"x": (4, *SHAPE[1:])}), (8, {})):
        made = compiler.compile(small_net(), "scnn256", calibrate=SAMPLES, batch=batch)
        assert {name: array.shape for name, array in made.samples.items()} == kept


def test_a_host_without_tvm_takes_them_apart() -> None:
    made, one = compiled(small_net(), batch=2), compiled(small_net())
    assert made.direct is not None
    assert np.array_equal(Session(made).run(SAMPLES)["y"], Session(one).run(SAMPLES)["y"])
    assert validate(made, SAMPLES).exact


def test_figures_are_of_a_program_and_of_an_image(many: Network) -> None:
    single = compiled(small_net(cpu_node=True))
    whole, one = (report(net, Session(net).time()) for net in (many, single))
    assert (whole.images, one.images) == (3, 1)
    assert f"{whole.cycles:,} cycles on" in whole.headline
    assert f"for 3 images, {whole.cycles / 3:,.0f} cycles" in whole.headline
    assert whole.cycles < 3 * one.cycles
    assert whole.macs == 3 * one.macs
    assert whole.real_macs == 3 * one.real_macs
    weights = [each.traffic["weights"].compulsory for each in (whole, one)]
    assert weights[0] == weights[1] > 0
    assert whole.bound < 3 * one.bound
    assert whole.network_bound < 3 * one.network_bound


def test_a_batch_of_the_model_is_several_of_a_program() -> None:
    made = compiled(of_batch(6), batch=2)
    assert (made.images, made.batch) == (2, 3)
    one = compiled(small_net())
    assert np.array_equal(Session(made).run(SAMPLES)["y"], Session(one).run(SAMPLES)["y"])
    assert "for 2 images" in report(made, Session(made).time()).headline
    with pytest.raises(CompileError, match="own batch of 6 images is no multiple of 4; give a"):
        compiled(of_batch(6), batch=4)


def test_samples_are_evaluated_whatever_their_number() -> None:
    labels = np.array([3, 1, 4, 1, 5], np.int64)
    found = [
        evaluate(net, {"x": IMAGES[:5], "labels": labels}).to_table()
        for net in (compiled(small_net()), compiled(small_net(), batch=3))
    ]
    for each in found:
        each.pop("coverage")  # counts bytes of a program
    assert found[0] == found[1]


def test_levels_of_a_batch() -> None:
    made = compile_levels(
        small_net(),
        "sparse256",
        ["unstructured:sparsity=0.5", "unstructured:sparsity=0.75"],
        calibrate=SAMPLES,
        batch=2,
    )
    for level in range(2):
        network = made.network(level)
        assert network.images == 2
        assert validate(network, {"x": IMAGES[:2]}).exact


def model(nodes: list[Any], shape: list[int], **constants: Any) -> onnx.ModelProto:
    held = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        held,
    )
    return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17)])


MIXED = {
    "over images": helper.make_node("Softmax", ["a"], ["y"], "mix", axis=0),
    "into others": helper.make_node("Transpose", ["a"], ["y"], "mix", perm=[1, 0]),
    "of one": helper.make_node("ReduceMean", ["a"], ["y"], "mix", axes=[0], keepdims=0),
    "counted": helper.make_node("CumSum", ["a", "axis"], ["y"], "mix"),
}


@pytest.mark.parametrize("node", MIXED.values(), ids=MIXED)
def test_the_node_that_joins_images_is_named(node: Any) -> None:
    dense = helper.make_node("MatMul", ["x", "w"], ["a"], "dense")
    constants = {"w": np.eye(4, dtype=np.float32), "axis": np.array(0)}
    used = {name: value for name, value in constants.items() if name in ("w", *node.input)}
    with pytest.raises(ZeroskipError, match=r"'mix'.*leave the batch out"):
        compiler.compile(model([dense, node], [1, 4], **used), "dense256", batch=2)


def test_what_cannot_be_of_several_images_is_refused(tmp_path: Path) -> None:
    depends = of_batch(2)
    depends.graph.node[-1].output[0] = "logits"
    depends.graph.node.append(helper.make_node("Softmax", ["logits"], ["y"], "mix", axis=0))
    with pytest.raises(CompileError, match=r"node 'mix' \(Softmax\) makes .*; leave the batch out"):
        compiled(depends, batch=2)
    module = import_float(small_net(), {})
    rows = compiler.compile(module, "dense256", batch=2)
    assert rows.images == 2
    for images in (0, -1, 1025):
        with pytest.raises(CompileError, match=f"a batch of {images} images: give 1 to 1024"):
            compiled(small_net(), batch=images)
    dense = helper.make_node("MatMul", ["x", "w"], ["y"], "dense")
    several = model([dense], [3, 4], w=np.arange(12, dtype=np.float32).reshape(4, 3))
    onnx.save(several, tmp_path / "net.onnx")
    text = zeroskip("compile", tmp_path / "net.onnx", "--emit=tosa")
    assert text.exit_code == 0, text.output
    with pytest.raises(CompileError, match="is integers already: write it with the batch that"):
        compiler.compile(tosa_to_integer(text.stdout), "dense256", batch=2)


def test_the_command_says_what_an_image_takes(tmp_path: Path) -> None:
    onnx.save(small_net(), tmp_path / "net.onnx")
    np.savez(tmp_path / "x.npz", x=IMAGES)
    done = zeroskip("compile", tmp_path / "net.onnx", "--batch", "3", "-o", tmp_path / "net.zsk")
    assert done.exit_code == 0, done.output
    assert "for 3 images, " in zeroskip("report", tmp_path / "net.zsk").stdout
    done = zeroskip("run", tmp_path / "net.zsk", "--input", tmp_path / "x.npz")
    assert "y: float32 [6, 10], largest element of each image at " in done.stdout
    assert " ms an image, " in done.stdout
    assert " ms for 6 images, " in done.stdout
    done = zeroskip("validate", tmp_path / "net.zsk", "--input", tmp_path / "x.npz")
    assert done.exit_code == 0, done.output
    np.savez(tmp_path / "five.npz", x=IMAGES[:5])
    refused(
        zeroskip("run", tmp_path / "net.zsk", "--input", tmp_path / "five.npz"),
        "takes [3, 3, 16, 16], or several of these along the first axis",
    )
    onnx.save(of_batch(6), tmp_path / "six.onnx")
    refused(
        zeroskip("compile", tmp_path / "six.onnx", "--batch", "4", "-o", tmp_path / "six.zsk"),
        "own batch of 6 images is no multiple of 4; give a batch that divides 6",
    )
    assert not (tmp_path / "six.zsk").exists()
    assert zeroskip("compile", tmp_path / "net.onnx", "--batch", "0", "-o", "n").exit_code == 2


def test_a_file_of_other_images_is_refused(many: Network, tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="not of 2 images"):
        replace(many, images=2).save(tmp_path / "net.zsk")
