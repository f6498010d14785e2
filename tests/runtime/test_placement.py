"""What stays on the CPU is said with every figure: by compile, run, report, compare, validate."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.campaigns.hostile_networks import close_network, network_file, open_network
from tests.runtime.command import zeroskip
from tests.runtime.nets import small_net
from zeroskip import compiler
from zeroskip.compiler.artifact.network import Network, NetworkError
from zeroskip.compiler.artifact.placement import Placement, notice, percent, reasons, size

MACS = {
    "conv0": 16 * 3 * 9 * 256,
    "conv1": 16 * 16 * 9 * 256,
    "conv2": 16 * 16 * 9 * 256,
    "fc": 10 * 16 * 64,
}


def test_multiplies_are_those_of_the_shapes() -> None:
    net = compiler.compile(small_net(cpu_node=True), "sparse256")
    assert net.placement == Placement(
        regions=2,
        to_accelerator=768 + 4096,
        to_host=4096 + 10,
        nodes_on_cpu=1,
        layers=4,
        layers_on_cpu=0,
        macs=sum(MACS.values()),
        macs_on_cpu=0,
    )
    assert sum(layer.macs for each in net.programs.values() for layer in each.layers) == (
        net.placement.macs
    )


def mixed_net() -> onnx.ModelProto:
    """conv (on the accelerator) -> SiLU -> convolution of a dilation that only the CPU takes."""
    rng = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name)
        for name, shape in (("v", (4, 3, 3, 3)), ("w", (7, 4, 1, 2)))
    ]
    nodes = [
        helper.make_node("Conv", ["x", "v"], ["a"], "flat"),
        helper.make_node("Sigmoid", ["a"], ["s"], "gate"),
        helper.make_node("Mul", ["a", "s"], ["b"], "silu"),
        helper.make_node("Conv", ["b", "w"], ["y"], "deep", dilations=[128, 1], pads=[0, 0, 0, 1]),
    ]
    graph = helper.make_graph(
        nodes,
        "mixed",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 7, 6, 6])],
        weights,
    )
    return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17)])


HERE, THERE = 4 * 27 * 36, 4 * 7 * 2 * 36  # multiplies on the accelerator, on the CPU


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixed")
    onnx.save(mixed_net(), folder / "net.onnx")
    np.savez(folder / "x.npz", x=np.ones((1, 3, 8, 8), np.float32))
    done = zeroskip(
        "compile", folder / "net.onnx", "-o", folder / "net.zsk", "--calibrate", folder / "x.npz"
    )
    assert done.exit_code == 0, done.output
    share = percent(THERE / (HERE + THERE))
    assert share == "34 %"
    lines = done.stderr.splitlines()
    assert f"1 of 2 layers with multiplies, {share} of the multiplies" in lines[0]
    assert f"{share} of the multiplies" in lines[1]
    assert "'deep'" in lines[1]  # most multiplies first
    assert len(lines) <= 6
    return folder


def test_every_headline_has_the_share(mixed: Path) -> None:
    words = (
        "for 66 % of the multiplies; 34 % (",
        "on the CPU is not in this figure; 1 region, ",
        "cross in, ",
        " out",
    )
    figures = []
    for command in (
        ("run", "--input", mixed / "x.npz"),
        ("report",),
        ("validate", "--input", mixed / "x.npz"),
    ):
        done = zeroskip(command[0], mixed / "net.zsk", *command[1:])
        assert done.exit_code == 0, done.output
        (line,) = [each for each in done.stdout.splitlines() if words[0] in each]
        assert all(word in line for word in words)
        figures.append(line)
    assert "cycles on dense256" in figures[0]
    assert "bit-exact" in figures[2]


def test_the_page_and_the_json_have_the_share(mixed: Path, tmp_path: Path) -> None:
    done = zeroskip(
        "report", mixed / "net.zsk", "--json", tmp_path / "r.json", "--html", tmp_path / "r.html"
    )
    assert done.exit_code == 0, done.output
    assert "x the bound of the part on the accelerator" in done.stdout
    table = json.loads((tmp_path / "r.json").read_text())
    assert table["placement"]["macs_on_cpu"] == THERE
    assert table["macs"] == HERE
    assert table["cpu_share"] == THERE / (HERE + THERE)
    assert table["host_macs"] == {"deep": THERE}
    assert table["headline"] in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_a_comparison_has_the_share(mixed: Path, tmp_path: Path) -> None:
    done = zeroskip(
        "compare",
        mixed / "net.onnx",
        "--schemes",
        "unstructured",
        "--sparsity",
        "0.5",
        "--targets",
        "dense256",
        "--data",
        mixed / "x.npz",
        "--json",
        tmp_path / "c.json",
        "--html",
        tmp_path / "c.html",
    )
    assert done.exit_code == 0, done.output
    assert "cycles on dense256: for 66 % of the multiplies; 34 % (" in done.stdout
    assert "cycles on dense256: for 66 %" in (tmp_path / "c.html").read_text(encoding="utf-8")
    for entry in json.loads((tmp_path / "c.json").read_text())["entries"]:
        assert entry["gains"]["dense256"]["placement"]["macs_on_cpu"] == THERE


def lonely_net() -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("Sigmoid", ["x"], ["y"], "gate")],
        "lonely",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])],
    )
    return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17)])


def test_nothing_runs(tmp_path: Path) -> None:
    """No "0 cycles, 0.000 ms": that nothing runs, why, and the remedy."""
    onnx.save(lonely_net(), tmp_path / "net.onnx")
    np.savez(tmp_path / "x.npz", x=np.ones((1, 3), np.float32))
    net, words = tmp_path / "net.zsk", "nothing runs on dense256: its only node is on the CPU"
    done = zeroskip("compile", tmp_path / "net.onnx", "-o", net, "--calibrate", tmp_path / "x.npz")
    assert words in done.stderr
    for command in (
        ("run", "--input", tmp_path / "x.npz"),
        ("report", "--html", tmp_path / "r.html", "--json", tmp_path / "r.json"),
        ("report", "--worst", "3"),
        ("validate", "--input", tmp_path / "x.npz"),
    ):
        done = zeroskip(command[0], net, *command[1:])
        assert done.exit_code == 0, done.output
        assert words in done.stdout
        assert "'gate' because no layer on the accelerator reads it; replace" in done.stdout
        assert "0.000 ms" not in done.stdout
        assert "0 of 0 regions" not in done.stdout
    assert words in (tmp_path / "r.html").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "r.json").read_text())["headline"].startswith(words)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("regions", 3),
        ("to_accelerator", 1),
        ("to_host", 1),
        ("nodes_on_cpu", 0),
        ("macs_on_cpu", 5),
        ("macs", -1),
    ],
)
def test_a_placement_that_lies_is_refused(field: str, value: int, tmp_path: Path) -> None:
    head, members = open_network(network_file(cpu_node=True))
    head["placement"][field] = value
    (tmp_path / "net.zsk").write_bytes(close_network(head, members))
    with pytest.raises(NetworkError, match="compile it again"):
        Network.load(tmp_path / "net.zsk")


def test_reasons_are_grouped_with_most_multiplies_first() -> None:
    cpu = {
        "a": "no int8 form of x",
        "b": "no int8 form of x",
        "c": "shape (2, 3): batch",
        "d": "shape (2, 4): batch",
    }
    found = reasons(cpu, {"d": 7})
    assert [(each.why, each.nodes, each.macs) for each in found] == [
        ("batch", ("c", "d"), 7),
        ("no int8 form of x", ("a", "b"), 0),
    ]
    many = {f"n{number}": f"reason {number}" for number in range(9)}
    lines = notice(Placement(1, 1, 0, 9, 1, 0, 1, 0), "t", many, {})
    assert len(lines) == 6
    assert "5 nodes for 5 other reasons" in lines[-1]


def test_shares_and_sizes_never_round_to_nothing_or_all() -> None:
    assert [percent(share) for share in (0, 1e-9, 0.004, 0.13, 0.9999, 1)] == [
        "0 %",
        "<1 %",
        "<1 %",
        "13 %",
        ">99 %",
        "100 %",
    ]
    assert [size(count) for count in (5, 2048, 3 << 20, 5 << 30)] == [
        "5 bytes",
        "2.0 KiB",
        "3.0 MiB",
        "5.0 GiB",
    ]
