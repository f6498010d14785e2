"""Network files whose parts do not belong together, sealed as if they did."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.campaigns.hostile_networks import Members, close_network, network_file, open_network
from tests.runtime.nets import SHAPE
from zeroskip.compiler.artifact.network import Network, NetworkError
from zeroskip.runtime.execution.session import Session
from zeroskip.runtime.execution.validation import validate

Head = dict[str, Any]
INPUTS = {"x": np.zeros(SHAPE, np.float32)}


def use(head: Head, members: Members, folder: Path) -> Network:
    (folder / "net.zsk").write_bytes(close_network(head, members))
    network = Network.load(folder / "net.zsk")
    Session(network).run(INPUTS)
    assert validate(network, INPUTS).exact
    return network


@pytest.mark.parametrize("cpu_node", [False, True])
def test_what_is_not_changed_works(cpu_node: bool, tmp_path: Path) -> None:
    assert use(*open_network(network_file(cpu_node)), tmp_path).name == "small"


def test_swapped_programs(tmp_path: Path) -> None:
    head, members = open_network(network_file(cpu_node=True))
    names = list(head["programs"])
    head["programs"] = dict(zip(names, reversed(head["programs"].values()), strict=True))
    with pytest.raises(NetworkError, match="region 'region_00' has the program of 'region_01'"):
        use(head, members, tmp_path)


def test_a_program_of_another_network(tmp_path: Path) -> None:
    """Of the same name, behind the host's back."""
    head, members = open_network(network_file(cpu_node=True))
    other = open_network(network_file(cpu_node=False))
    mine, (theirs,) = head["programs"]["region_00"], other[0]["programs"].values()
    members[mine] = other[1][theirs]
    with pytest.raises(NetworkError, match="compile it again"):
        use(head, members, tmp_path)


def wrong_scale(plan: Any) -> None:
    plan["inputs"][0][1]["scale"] = -1.0


def endless_scale(plan: Any) -> None:
    plan["inputs"][0][1]["scale"] = 1e300


def wrong_zero_point(plan: Any) -> None:
    plan["outputs"][0][1]["zero_point"] = 1 << 40


def wrong_input(plan: Any) -> None:
    plan["inputs"][0][0] = 1


def wrong_index(plan: Any) -> None:
    plan["outputs"][0][0] = 7


def wrong_type(plan: Any) -> None:
    plan["inputs"][0][1]["dtype"] = "float32"


def wrong_shape(plan: Any) -> None:
    plan["outputs"][0][1]["shape"] = [1, 11]


def missing_output(plan: Any) -> None:
    plan["outputs"] = []


@pytest.mark.parametrize(
    "change",
    [
        wrong_scale,
        endless_scale,
        wrong_zero_point,
        wrong_input,
        wrong_index,
        wrong_type,
        wrong_shape,
        missing_output,
    ],
)
def test_direct_plans_that_do_not_fit(change: Callable[[Any], None], tmp_path: Path) -> None:
    head, members = open_network(network_file(cpu_node=False))
    change(head["direct"])
    with pytest.raises(NetworkError, match="direct plan"):
        use(head, members, tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        (
            "inputs",
            [{"name": "x", "variable": "x", "shape": [1, 1 << 40], "dtype": "float32"}],
            "elements of Port.shape",
        ),
        (
            "inputs",
            [{"name": "x", "variable": "x", "shape": [1, 3], "dtype": "object"}],
            "Port.dtype is 'object'",
        ),
        ("cpu", {"softmax": 3}, "cpu is '3', not str"),
        ("outputs", [], "its host module makes 1 outputs, its manifest names 0"),
        ("results", {}, "region_00"),
        ("results", {"region_00": ["x"]}, "results is 'x', not int"),
    ],
)
def test_manifests_that_cannot_be(key: str, value: Any, words: str, tmp_path: Path) -> None:
    head, members = open_network(network_file(cpu_node=True))
    head[key] = value
    with pytest.raises(NetworkError, match=words):
        use(head, members, tmp_path)


def node(made: Any, kind: str) -> Any:
    return next(each for each in made["nodes"] if each["type"] == kind)


def other_function(made: Any) -> None:
    place = node(made, "relax.expr.ExternFunc")["data"]["global_symbol"]
    made["nodes"][place]["data"] = "ffi.Module.load_from_file"


def python_function(made: Any) -> None:
    node(made, "ir.Op")["data"] = "relax.call_py_func"


def other_rule(made: Any) -> None:
    node(made, "ir.EnvFunc")["data"] = "runtime.SystemLib"


def no_graph(made: Any) -> None:
    made["nodes"] = 7


def wrong_node(made: Any) -> None:
    node(made, "ir.Call")["data"] = {}


@pytest.mark.parametrize(
    "change", [other_function, python_function, other_rule, no_graph, wrong_node]
)
def test_modules_that_are_not_ours(change: Callable[[Any], None], tmp_path: Path) -> None:
    """TVM's registry has functions that load libraries: a module calls none of them."""
    head, members = open_network(network_file(cpu_node=True))
    made = json.loads(b"".join(members["modules/host.json"]))
    change(made)
    members["modules/host.json"] = [json.dumps(made).encode()]
    with pytest.raises(NetworkError, match=r"modules and programs do not fit together .*; compile"):
        use(head, members, tmp_path)
