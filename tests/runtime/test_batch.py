"""N images of one program, in a model's batch or given together: each has the bits that it has
alone."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.runtime.command import zeroskip
from tests.runtime.nets import SHAPE, of_batch, small_net
from zeroskip import compiler
from zeroskip.accel_model.functional.kernels import MOST
from zeroskip.accel_model.isa.encoding import decode_all
from zeroskip.accel_model.isa.instructions import LoadParams
from zeroskip.accel_model.machine.machine import Inputs, Machine
from zeroskip.accel_model.machine.run import Run
from zeroskip.accel_model.memory.faults import MachineError
from zeroskip.accel_model.program.program import Program
from zeroskip.compiler.artifact.inputs import DataError
from zeroskip.compiler.artifact.network import Network
from zeroskip.compiler.driver import lower
from zeroskip.compiler.passes import embed
from zeroskip.relay_passes.frontend.batch import for_one_image, why_together
from zeroskip.relay_passes.frontend.normalise import normalise_onnx
from zeroskip.runtime.execution.lockstep import TOGETHER
from zeroskip.runtime.execution.packed import Hook, hooked
from zeroskip.runtime.execution.session import Session
from zeroskip.runtime.execution.validation import validate

RNG = np.random.default_rng(5)
IMAGES = RNG.standard_normal((6, *SHAPE[1:])).astype(np.float32)


@pytest.mark.parametrize(("batch", "cpu_node"), [(2, False), (3, True)])
def test_each_image_has_its_own_bits(batch: int, cpu_node: bool, tmp_path: Path) -> None:
    one = compiler.compile(small_net(cpu_node=cpu_node), "sparse256", calibrate={"x": IMAGES})
    many = compiler.compile(
        of_batch(batch, cpu_node=cpu_node), "sparse256", calibrate={"x": IMAGES}
    )
    many.save(tmp_path / "net.zsk")
    many = Network.load(tmp_path / "net.zsk")
    assert many.batch == batch
    assert many.placement == one.placement
    session = Session(many)
    got = session.run({"x": IMAGES[:batch]})["y"]
    alone = Session(one)
    want = np.concatenate([alone.run({"x": IMAGES[n : n + 1]})["y"] for n in range(batch)])
    assert got.shape == (batch, 10)
    assert np.array_equal(got, want)
    assert {name: run.cycles for name, run in session.runs.items()} == {
        name: run.cycles for name, run in alone.runs.items()
    }
    result = validate(many, {"x": IMAGES[:batch]})
    assert result.exact
    assert result.regions == batch * len(many.programs)


def test_the_headline_has_an_image_and_the_batch(tmp_path: Path) -> None:
    onnx.save(of_batch(3), tmp_path / "net.onnx")
    np.savez(tmp_path / "x.npz", x=IMAGES[:3])
    done = zeroskip(
        "compile",
        tmp_path / "net.onnx",
        "-o",
        tmp_path / "net.zsk",
        "--calibrate",
        tmp_path / "x.npz",
    )
    assert done.exit_code == 0, done.output
    for command in (("report",), ("run", "--input", tmp_path / "x.npz")):
        done = zeroskip(command[0], tmp_path / "net.zsk", *command[1:])
        assert done.exit_code == 0, done.output
        (line,) = [each for each in done.stdout.splitlines() if "for the batch of 3" in each]
        words = line.replace(",", "").split()
        figures = [int(words[at - 1]) for at, word in enumerate(words) if word == "cycles"]
        assert figures[1] == 3 * figures[0] > 0


@pytest.fixture(scope="module")
def mixed() -> Network:
    """Two regions with a Softmax on the host between them."""
    network: Network = compiler.compile(
        small_net(cpu_node=True), "sparse256", calibrate={"x": IMAGES}
    )
    return network


@pytest.mark.parametrize("count", [2, TOGETHER + 2])
def test_regions_run_for_all_images_together(mixed: Network, count: int) -> None:
    x = np.random.default_rng(count).standard_normal((count, *SHAPE[1:])).astype(np.float32)
    told: list[str] = []
    session, alone = (
        Session(mixed, seed=3, progress=lambda *step: told.append(step[0])),
        Session(mixed),
    )
    got = session.run({"x": x})["y"]
    assert len(mixed.programs) == 2
    for number in range(count):
        want = alone.run({"x": x[number : number + 1]})["y"]
        assert np.array_equal(got[number : number + 1], want)
        for name, run in alone.runs.items():
            found = session.runs[name].of_image(number)
            assert (found.cycles, found.totals) == (run.cycles, run.totals)
            for tensor, values in run.outputs.items():
                assert np.array_equal(found.outputs[tensor], values)
    walks = [name for name, before in zip(told, ["", *told], strict=False) if name != before]
    assert len(walks) == 2 * -(-count // TOGETHER)  # regions, not images


def test_the_first_image_that_fails_is_named(mixed: Network) -> None:
    """Biases of the second region so large that only some images have a sum that fits."""
    stages = lower(small_net(cpu_node=True), mixed.spec, calibrate={"x": IMAGES})
    name, program = list(stages.programs.items())[-1]
    params = next(one for one in decode_all(program.words) if isinstance(one, LoadParams))
    seen: list[Inputs] = []

    def keep(of: Program, inputs: Inputs, _run: Run) -> None:
        if of.name == name:
            seen.append({key: np.array(values) for key, values in inputs.items()})

    with hooked(Hook(keep)):
        for image in IMAGES[:4]:
            Session(mixed).run_host([image[np.newaxis]])

    def with_room(room: int) -> Program:
        """Biases of 16 channels that leave so much room in int32."""
        changed = program.image.copy()
        changed[params.dram : params.dram + 64].view("<i4")[:] = MOST - room
        return replace(program, image=changed)

    def room_of(inputs: Inputs) -> int:
        return bisect_left(
            range(1 << 20), True, key=lambda room: not stops(with_room(room), inputs)
        )

    needed = [room_of(inputs) for inputs in seen]
    few, *others, most = np.argsort(needed).tolist()
    assert needed[few] < needed[most]
    x, first = IMAGES[[few, few, most, *others, few]], 2
    wrong = with_room(needed[most] - 1)
    host = embed(stages.scheduled, {**stages.programs, name: wrong})
    broken = replace(mixed, host=host, programs={**stages.programs, name: wrong})
    said = failure(broken, x[first : first + 1])
    assert "does not fit in int32" in said
    assert failure(broken, x) == f"image {first}: {said}"
    assert failure(broken, x[:first]) == ""
    with pytest.raises(MachineError, match=f"^image {first}: "):
        validate(broken, {"x": x})


def stops(program: Program, inputs: Inputs) -> bool:
    try:
        Machine(program.spec).run(program, inputs)
    except MachineError:
        return True
    return False


def failure(network: Network, x: np.ndarray) -> str:
    """What a run is refused with; nothing if it is not."""
    try:
        Session(network).run({"x": x})
    except MachineError as problem:
        return str(problem)
    return ""


@pytest.mark.parametrize(
    "shape",
    [
        (0, 3, 16, 16),
        (2, 3, 16, 15),
        (3, 16, 16),
        (2, 1, 3, 16, 16),
        (48, 16, 16),
        (),
        (2, 0, 16, 16),
    ],
)
def test_images_that_do_not_fit_are_refused(mixed: Network, shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"takes \[1, 3, 16, 16\], or several of these along"):
        Session(mixed).run({"x": np.zeros(shape, np.float32)})


def test_inputs_are_of_equally_many_images() -> None:
    nodes = [helper.make_node("Add", ["x", "z"], ["y"], "add")]
    model = network(nodes, [1, 4], [1, 4])
    model.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 4]))
    made = compiler.compile(model, "sparse256")
    x = np.ones((3, 4), np.float32)
    assert Session(made).run({"x": x, "z": x})["y"].shape == (3, 4)
    with pytest.raises(DataError, match="different numbers of runs: 'x' 3, 'z' 2; give equally"):
        Session(made).run({"x": x, "z": x[:2]})


def test_the_command_runs_and_checks_all_images(mixed: Network, tmp_path: Path) -> None:
    mixed.save(tmp_path / "net.zsk")
    np.savez(tmp_path / "x.npz", x=IMAGES[:4])
    done = zeroskip(
        "run", tmp_path / "net.zsk", "--input", tmp_path / "x.npz", "--output", tmp_path / "y.npz"
    )
    assert done.exit_code == 0, done.output
    classes = ", ".join(map(str, Session(mixed).run({"x": IMAGES[:4]})["y"].argmax(axis=1)))
    assert f"y: float32 [4, 10], largest element of each image at {classes}\n" in done.stdout
    (line,) = [each for each in done.stdout.splitlines() if "ms for 4 images" in each]
    words = line.replace(",", "").split()
    one, all_of_them = [int(words[at - 1]) for at, word in enumerate(words) if word == "cycles"]
    assert all_of_them == 4 * one == 4 * sum(run.cycles for run in Session(mixed).time().values())
    done = zeroskip("validate", tmp_path / "net.zsk", "--input", tmp_path / "x.npz")
    assert done.exit_code == 0, done.output
    assert "8 of 8 regions bit-exact" in done.stdout


def network(
    nodes: list[Any], shape: list[int], result: list[int], **constants: Any
) -> onnx.ModelProto:
    held = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, result)],
        held,
    )
    return normalise_onnx(
        helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17)])
    )


def test_images_that_depend_on_each_other_stay_together() -> None:
    softmax = helper.make_node("Softmax", ["x"], ["y"], "mix", axis=0)
    mean = [
        helper.make_node("ReduceMean", ["x"], ["m"], "mean", axes=[0], keepdims=1),
        helper.make_node("Sub", ["x", "m"], ["y"], "less"),
    ]
    rows = helper.make_node("Add", ["x", "rows"], ["y"], "rows")
    whole = helper.make_node("ReduceSum", ["x"], ["y"], "sum", keepdims=1)
    for nodes, result, constants in (
        ([softmax], [2, 4], {}),
        (mean, [2, 4], {}),
        ([whole], [1, 1], {}),
        ([rows], [2, 4], {"rows": np.arange(8, dtype=np.float32).reshape(2, 4)}),
    ):
        model = network(nodes, [2, 4], result, **constants)
        assert for_one_image(model) == (model, 1)


def test_what_is_the_same_for_every_image_is_halved() -> None:
    """Equal rows of a constant, and axes that begin with a multiple of the batch."""
    nodes = [
        helper.make_node("Concat", ["x", "token"], ["a"], "token", axis=1),
        helper.make_node("Reshape", ["a", "wide"], ["b"], "wide"),
        helper.make_node("Relu", ["b"], ["c"], "relu"),
        helper.make_node("Reshape", ["c", "back"], ["y"], "back"),
    ]
    model = network(
        nodes,
        [2, 4, 3],
        [2, 5, 3],
        token=np.full((2, 1, 3), 7, np.float32),
        wide=np.array([10, 3]),
        back=np.array([2, 5, 3]),
    )
    single, batch = for_one_image(model)
    assert batch == 2
    assert [dim.dim_value for dim in single.graph.output[0].type.tensor_type.shape.dim] == [1, 5, 3]


def test_the_node_that_joins_the_images_is_named() -> None:
    """Behind nodes that only move data; none where constants differ from image to image."""
    turn = {"perm": [1, 0]}
    nodes = [
        helper.make_node("Sigmoid", ["x"], ["a"], "gate"),
        helper.make_node("Transpose", ["a"], ["b"], "turn", **turn),
        helper.make_node("Softmax", ["b"], ["c"], "mix", axis=1),
        helper.make_node("Transpose", ["c"], ["d"], "back", **turn),
        helper.make_node("MatMul", ["d", "w"], ["y"], "dense"),
    ]
    weight = np.ones((4, 3), np.float32)
    assert why_together(network(nodes, [2, 4], [2, 3], w=weight)) == (
        "node 'mix' (Softmax) makes the images of a batch depend on each other"
    )
    rows = helper.make_node("Add", ["x", "rows"], ["y"], "rows")
    assert why_together(
        network([rows], [2, 4], [2, 4], rows=np.arange(8, dtype=np.float32).reshape(2, 4))
    ) == ("the model does not treat the images of a batch alike")
    model = of_batch(2)
    model.graph.node[-1].output[0] = "logits"
    model.graph.node.append(helper.make_node("Softmax", ["logits"], ["y"], "mix", axis=0))
    net = compiler.compile(model, "dense256")
    assert list(net.cpu) == ["mix"]  # the layers before it run on both images at once
    assert net.batch == len(net.programs) == 1
    assert validate(net, {"x": IMAGES[:2]}).exact
