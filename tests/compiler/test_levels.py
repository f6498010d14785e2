"""Nested levels: what comes out of a file is what compiling each level alone would give."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.runtime.nets import SHAPE, small_net
from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.accel_model.io.archive import read_npy, seal, write_zip
from zeroskip.accel_model.program.weight_map import weight_streams
from zeroskip.accel_model.spec import load_spec
from zeroskip.compiler.artifact.derived_members import (
    NestedConstant,
    RebuiltProgram,
    WeightSource,
    split_program,
)
from zeroskip.compiler.artifact.nested_file import Levels
from zeroskip.compiler.artifact.network import Network, NetworkError
from zeroskip.compiler.driver import compile as compile_network
from zeroskip.compiler.driver import import_float, lower
from zeroskip.compiler.errors import CompileError
from zeroskip.compiler.lowering.from_relax import extract
from zeroskip.compiler.multi_level import _check_level, compile_levels, lower_levels
from zeroskip.compiler.stages import Stages
from zeroskip.relay_passes.integer.layers import ConvLayer, DenseLayer
from zeroskip.relay_passes.pruning.base.layers import prunable_layers
from zeroskip.relay_passes.pruning.schemes.unstructured import UnstructuredOptions
from zeroskip.runtime.execution.session import Session
from zeroskip.runtime.execution.validation import validate

TARGETS = {  # with the levels that it is compiled at, and what they share
    "dense256": (["unstructured:sparsity=0", "nm:n=2,m=4", "nm:n=1,m=4"], None),
    "sparse256": (
        [
            "unstructured:sparsity=0.5",
            "unstructured:sparsity=0.75,layers=conv*",
            "unstructured:sparsity=0.9,scope=global",
        ],
        "channels:ratio=0.2",
    ),
    "pattern256": (
        ["pattern:pointwise=0", "pattern:connectivity=0.5", "pattern:connectivity=0.75"],
        None,
    ),
}
X = {"x": np.random.default_rng(7).standard_normal(SHAPE).astype(np.float32)}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(each, marks=pytest.mark.matrix) if each == "dense256" else each
        for each in TARGETS
    ],
)
def case(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Levels, Path]:
    """A target, its levels and their file."""
    recipes, shared = TARGETS[request.param]
    levels = compile_levels(small_net(cpu_node=True), request.param, recipes, prune=shared)
    path = tmp_path_factory.mktemp(request.param) / "net.zsk"
    levels.save(path)
    return request.param, levels, path


def stages_of(target: str) -> list[Stages]:
    recipes, shared = TARGETS[target]
    return list(lower_levels(small_net(cpu_node=True), load_spec(target), recipes, prune=shared))


def integers(stages: Stages) -> dict[str, np.ndarray]:
    return {
        node.node: node.layer.weight
        for name in stages.programs
        for node in extract(stages.partitioned, name).nodes
        if isinstance(node.layer, ConvLayer | DenseLayer)
    }


def test_a_level_is_the_program_that_compiling_it_gives(case: tuple[str, Levels, Path]) -> None:
    """Byte for byte, from the file and from memory, with weights that are nested."""
    target, levels, path = case
    before: dict[str, np.ndarray] = {}
    for number, stages in enumerate(stages_of(target)):
        for network in (Network.load(path, number), levels.network(number)):
            assert network.level == number
            assert {name: program.to_bytes() for name, program in network.programs.items()} == {
                name: program.to_bytes() for name, program in stages.programs.items()
            }
        after = integers(stages)
        for node, weight in before.items():
            there = after[node] != 0
            assert np.array_equal(after[node][there], weight[there])
        assert sum(map(np.count_nonzero, after.values())) < (
            sum(map(np.count_nonzero, before.values())) or np.inf
        )
        before = after


def test_every_level_agrees_with_tvm(case: tuple[str, Levels, Path]) -> None:
    """On each target another one: what a level is does not depend on its number."""
    target, levels, path = case
    for number in {"dense256": (0,), "sparse256": (1,)}.get(target, (2,)):
        network = Network.load(path, number)
        found = validate(network, X)
        assert found.exact
        assert found.regions == 2
        direct = Session(levels, level=number).run(X)["y"]
        two = {name: np.concatenate([values, -values]) for name, values in X.items()}
        together = Session(path, level=number).run(two)["y"]
        assert np.array_equal(together[:1], direct)
        assert np.array_equal(
            together[1:],
            Session(levels, level=number).run({name: -values for name, values in X.items()})["y"],
        )


def test_weights_are_stored_once(case: tuple[str, Levels, Path]) -> None:
    """Of a program nothing is stored of the weights whose integers are; those are nested."""
    _target, levels, _path = case
    for number in range(3):
        head, network = levels.heads[number], levels.network(number)
        for name, program in network.programs.items():
            packed = levels.derived[head["sha256"][head["programs"][name]]]
            assert isinstance(packed, RebuiltProgram)
            pieces = read_npy(b"".join(levels.parts[packed.pieces]))
            streams = [
                each
                for each in weight_streams(program)
                if program.layers[each.layer].node != "conv0"
            ]  # its constant is small
            assert pieces[:, 1].tolist() == [each.size for each in streams]
            assert (
                len(b"".join(levels.parts[packed.rest])) + pieces[:, 1].sum()
                == len(program.to_bytes()) + 128
            )  # of the .npy file's header
    parts = {each.part for each in levels.derived.values() if isinstance(each, NestedConstant)}
    nodes = {layer.node for layer in prunable_layers(levels.network(2).floating_module["main"])}
    changed = [
        node
        for node in nodes - {"conv0"}
        if len(
            {
                next(
                    layer.weight.tobytes()
                    for layer in prunable_layers(levels.network(number).floating_module["main"])
                    if layer.node == node
                )
                for number in range(3)
            }
        )
        > 1
    ]
    assert len(parts) >= 2 * len(changed)  # as integers and as floats
    assert not parts & {name for head in levels.heads for name in head["sha256"].values()}


def test_the_densest_is_what_one_gets_without_asking(case: tuple[str, Levels, Path]) -> None:
    target, _levels, path = case
    assert Network.load(path).level == 0
    assert Network.load(path).levels == tuple(TARGETS[target][0])
    assert Session(path).network.level == 0
    for level in (3, -1):
        with pytest.raises(NetworkError, match=f"has no level {level}; give one of 0: "):
            Network.load(path, level)


def test_saving_twice_gives_the_same_file(case: tuple[str, Levels, Path], tmp_path: Path) -> None:
    _target, levels, path = case
    levels.save(tmp_path / "again.zsk")
    assert (tmp_path / "again.zsk").read_bytes() == path.read_bytes()


def test_a_file_without_levels_has_none(tmp_path: Path) -> None:
    network = compile_network(small_net(), "dense256")
    network.save(tmp_path / "net.zsk")
    assert Network.load(tmp_path / "net.zsk", 0).levels == ()
    with pytest.raises(NetworkError, match="holds one network without levels, not level 1"):
        Network.load(tmp_path / "net.zsk", 1)
    with pytest.raises(NetworkError, match="is loaded at level 0"):
        Session(network, level=1)


@pytest.mark.parametrize("second", ["channels:ratio=0.5", "lowrank:energy=0.5,layers=conv1"])
def test_a_level_only_removes_weights(second: str) -> None:
    levels = lower_levels(small_net(), load_spec("dense256"), ["unstructured", second])
    next(levels)
    with pytest.raises(CompileError, match=r"level 1 '.*' does more to 'conv.*--prune"):
        next(levels)


def test_a_level_has_no_other_weights() -> None:
    one, other = (import_float(small_net(seed=seed), {}) for seed in range(2))
    _check_level(one, one, 1, "same")
    with pytest.raises(CompileError, match="level 1 'other' does more to 'conv0'"):
        _check_level(one, other, 1, "other")


def test_only_what_comes_back_bit_for_bit_is_taken_out_of_a_program() -> None:
    """Weights that are the program's, and others of which as many are not zero."""
    stages = lower(small_net(), load_spec("dense256"))
    ((name, program),) = stages.programs.items()
    file = np.frombuffer(program.to_bytes(), np.uint8)
    node = next(
        node
        for node in extract(stages.partitioned, name).nodes
        if isinstance(node.layer, ConvLayer)
    )
    layer = node.layer
    assert isinstance(layer, ConvLayer)
    for weight, pieces in ((layer.weight, 1), (-layer.weight, 0)):
        known = {node.node: (WeightSource("w", layer.groups, 1, 0), weight)}
        assert min(len(split_program(file, 0, program, known).pieces), 1) == pieces


@pytest.mark.parametrize("count", [0, 256])
def test_a_number_of_levels_that_a_file_cannot_hold(count: int) -> None:
    with pytest.raises(CompileError, match=f"{count} levels cannot be compiled together"):
        compile_levels(small_net(), "dense256", ["unstructured"] * count)


def test_recipes_may_be_options() -> None:
    every = [[UnstructuredOptions(sparsity=0.5)], [UnstructuredOptions(sparsity=0.75)]]
    levels = compile_levels(small_net(), "dense256", every)
    assert levels.recipes == ("unstructured:sparsity=0.5", "unstructured:sparsity=0.75")
    left = [
        np.count_nonzero(layer.weight) / layer.weight.size
        for number in range(2)
        for layer in prunable_layers(levels.network(number).floating_module["main"])
    ]
    assert left == pytest.approx([0.5] * 3 + [0.25] * 3, abs=0.01)


def grouped_net(groups: int) -> onnx.ModelProto:
    """A grouped convolution of 96 channels between two plain ones that make a concatenation."""
    rng = np.random.default_rng(0)
    weights = {"w0": (96, 3, 3, 3), "w1": (96, 96 // groups, 3, 3), "w2": (40, 96, 1, 1)}
    nodes = [
        helper.make_node("Conv", ["x", "w0"], ["a"], name="c0", pads=[1] * 4),
        helper.make_node("Conv", ["a", "w1"], ["b"], name="c1", pads=[1] * 4, group=groups),
        helper.make_node("Conv", ["a", "w2"], ["c"], name="c2"),
        helper.make_node("Concat", ["c", "b"], ["y"], name="cat", axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "grouped",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 136, 16, 16))],
        [
            numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name)
            for name, shape in weights.items()
        ],
    )
    return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17)])


@pytest.mark.parametrize(("target", "groups"), [("sparse256", 2), ("pattern256", 12)])
def test_groups_and_concatenations_come_back(target: str, groups: int) -> None:
    """Filters are counted within their layer, channels through its groups."""
    recipes = ["unstructured:sparsity=0.5", "unstructured:sparsity=0.8"]
    levels = compile_levels(grouped_net(groups), target, recipes)
    every = lower_levels(grouped_net(groups), load_spec(target), recipes)
    for number, stages in enumerate(every):
        assert {
            name: program.to_bytes() for name, program in levels.network(number).programs.items()
        } == {name: program.to_bytes() for name, program in stages.programs.items()}
    for each in levels.derived.values():
        if isinstance(each, RebuiltProgram):
            assert sorted(source.groups for source in each.sources) == [1, 1, groups]
            streams = sum(read_npy(b"".join(levels.parts[each.pieces]))[:, 1].tolist())
            assert streams > len(b"".join(levels.parts[each.rest])) / 4


# ------------------------------------------------------------------------------- files altered


def test_altered_and_truncated_files_are_refused(
    case: tuple[str, Levels, Path], tmp_path: Path
) -> None:
    raw = case[2].read_bytes()
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(raw), 40):
        bad = bytearray(raw)
        bad[at] ^= 1 << int(rng.integers(8))
        (tmp_path / "bad.zsk").write_bytes(bad)
        with pytest.raises(NetworkError, match="compile it again"):
            Network.load(tmp_path / "bad.zsk", 1)
    for size in (0, 10, len(raw) // 2, len(raw) - 1):
        (tmp_path / "cut.zsk").write_bytes(raw[:size])
        with pytest.raises(NetworkError, match="compile it again"):
            Network.load(tmp_path / "cut.zsk", 1)


def resealed(path: Path, target: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """The file with its manifest changed and sealed again."""
    with zipfile.ZipFile(path) as box:
        members = {name: [box.read(name)] for name in box.namelist()}
    head = json.loads(members["manifest.json"][0])
    head.pop("seal")
    change(head)
    head["seal"] = seal(head)
    members["manifest.json"] = [json.dumps(head).encode()]
    with target.open("wb") as out:
        write_zip(out, members)
    return target


def _use_all(path: Path) -> None:
    for level in range(3):
        network = Network.load(path, level)
        assert network.reference_module
        assert network.floating_module


def _derived(head: dict[str, Any], key: str) -> dict[str, Any]:
    """A weight (``level``) or a program (``sources``) that is made of others."""
    found: dict[str, Any] = next(each for each in head["derived"].values() if key in each)
    return found


@pytest.mark.parametrize(
    "change",
    [
        lambda head: _derived(head, "level").update(shape=[1 << 40]),
        lambda head: _derived(head, "level").update(shape=[-1, 3]),
        lambda head: _derived(head, "level").update(level=7),
        lambda head: _derived(head, "level").update(dtype="object"),
        lambda head: _derived(head, "level").update(part="0" * 64),
        lambda head: _derived(head, "level").pop("part"),
        lambda head: _derived(head, "sources").update(kind="csr"),
        lambda head: _derived(head, "sources").update(rest=_derived(head, "sources")["pieces"]),
        lambda head: _derived(head, "sources").update(sources=[]),
        lambda head: _derived(head, "sources")["sources"][0].update(taps=0),
        lambda head: _derived(head, "sources")["sources"][0].update(groups=1 << 40),
        lambda head: _derived(head, "sources")["sources"][0].update(
            member=next(name for name, each in head["derived"].items() if "sources" in each)
        ),
        lambda head: head["derived"].clear(),
        lambda head: head["parts"].pop(),
        lambda head: head["levels"][1].update(recipe=5),
        lambda head: head["levels"][1].update(network=None),
        lambda head: head["levels"][1]["network"].update(seal=""),
        lambda head: head.update(levels={}),
        lambda head: head.update(format=3),
    ],
)
def test_a_manifest_that_lies_is_refused(
    case: tuple[str, Levels, Path], tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    """When it is loaded, or when what it lies about is used."""
    bad = resealed(case[2], tmp_path / "bad.zsk", change)
    with pytest.raises(ZeroskipError) as refusal:
        _use_all(bad)
    assert len(str(refusal.value).splitlines()) == 1
