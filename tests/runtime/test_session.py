"""Networks run, agree with TVM, survive their file, and a wrong bit is found and named."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.runtime.nets import SHAPE, small_net
from zeroskip.accel_model.io.archive import write_zip
from zeroskip.accel_model.isa.encoding import decode_all
from zeroskip.accel_model.isa.instructions import LoadParams
from zeroskip.compiler.artifact.inputs import DataError
from zeroskip.compiler.artifact.network import Network, NetworkError
from zeroskip.compiler.driver import compile as compile_network
from zeroskip.compiler.driver import lower
from zeroskip.compiler.passes import embed
from zeroskip.runtime.execution import packed
from zeroskip.runtime.execution.session import Session, run_source
from zeroskip.runtime.execution.validation import validate
from zeroskip.runtime.render.files import write_timeline


@pytest.fixture(scope="module")
def network() -> Network:
    return compile_network(small_net(), "sparse256")


@pytest.fixture(scope="module")
def mixed() -> Network:
    return compile_network(small_net(cpu_node=True), "pattern256")


def _x(seed: int = 0) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(seed).standard_normal(SHAPE).astype(np.float32)}


def test_without_and_with_tvm_the_same_bits(network: Network) -> None:
    assert network.direct is not None
    on_host = Session(dataclasses.replace(network, direct=None))
    for seed in range(3):
        direct = Session(network).run(_x(seed))["y"]
        assert np.array_equal(direct, on_host.run(_x(seed))["y"])


def test_the_host_module_runs_in_a_process_that_imported_only_the_session(
    network: Network, tmp_path: Path
) -> None:
    """Here ``zeroskip.run`` is registered by other imports, so a new process has to show it."""
    network.save(tmp_path / "net.zsk")
    np.save(tmp_path / "x.npy", _x()["x"])
    code = (
        "import numpy as np; from zeroskip.runtime.execution.session import Session; "
        "np.save('y.npy', Session('net.zsk').run_host([np.load('x.npy')])[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert np.array_equal(np.load(tmp_path / "y.npy"), Session(network).run(_x())["y"])


def test_the_order_of_the_units_does_not_matter(network: Network) -> None:
    outputs = [Session(network, seed=seed).run(_x())["y"] for seed in (None, 1, 2)]
    assert all(np.array_equal(each, outputs[0]) for each in outputs)


@pytest.mark.parametrize("direct", [True, False])
def test_the_seed_is_the_machine_s(network: Network, direct: bool) -> None:
    """With and without TVM."""
    chosen = network if direct else dataclasses.replace(network, direct=None)
    for seed in (None, 5):
        session = Session(chosen, seed=seed)
        session.run(_x())
        assert {run.seed for run in session.runs.values()} == {seed}


def test_the_seed_is_that_of_a_program_in_assembly_too() -> None:
    source = Path(__file__).parents[2] / "examples" / "assembly" / "store.asm"
    x = np.zeros((1, 16, 4, 6), np.int8)
    assert [run_source(source, {"x": x}, seed=seed)[1].seed for seed in (None, 5)] == [None, 5]


def test_programs_of_one_length_are_told_apart(network: Network) -> None:
    (program,) = network.programs.values()
    image = program.image.copy()
    image[0] ^= 1
    for one in (program, dataclasses.replace(program, image=image)):
        found = packed._program(np.frombuffer(one.to_bytes(), np.uint8))
        assert np.array_equal(found.image, one.image)


def test_several_outputs_have_their_names() -> None:
    """With and without TVM, of two convolutions of one size, one after the other."""
    weights = np.random.default_rng(0).standard_normal((2, 3, 3, 1, 1)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", [("x", "y0")[n], f"w{n}"], [f"y{n}"], f"conv{n}")
            for n in range(2)
        ],
        "two",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info(f"y{n}", TensorProto.FLOAT, SHAPE) for n in range(2)],
        [numpy_helper.from_array(weight, f"w{n}") for n, weight in enumerate(weights)],
    )
    made = compile_network(
        helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17)]),
        "sparse256",
    )
    assert made.direct is not None
    one, two = (Session(each).run(_x()) for each in (made, dataclasses.replace(made, direct=None)))
    assert not np.array_equal(one["y0"], one["y1"])
    assert all(np.array_equal(one[name], two[name]) for name in ("y0", "y1"))


def test_file_round_trip(mixed: Network, tmp_path: Path) -> None:
    mixed.save(tmp_path / "net.zsk")
    again = Network.load(tmp_path / "net.zsk")
    assert again.spec == mixed.spec
    assert again.cpu == mixed.cpu
    assert np.array_equal(Session(again).run(_x())["y"], Session(mixed).run(_x())["y"])
    assert validate(again, _x()).exact


def test_saving_twice_gives_the_same_file(network: Network, tmp_path: Path) -> None:
    network.save(tmp_path / "a.zsk")
    network.save(tmp_path / "b.zsk")
    assert (tmp_path / "a.zsk").read_bytes() == (tmp_path / "b.zsk").read_bytes()


def test_altered_and_truncated_files_are_refused(network: Network, tmp_path: Path) -> None:
    network.save(tmp_path / "net.zsk")
    raw = (tmp_path / "net.zsk").read_bytes()
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(raw), 60):
        bad = bytearray(raw)
        bad[at] ^= 1 << int(rng.integers(8))
        (tmp_path / "bad.zsk").write_bytes(bad)
        with pytest.raises(NetworkError, match="compile it again"):
            Network.load(tmp_path / "bad.zsk")
    for size in (0, 10, len(raw) // 2, len(raw) - 1):
        (tmp_path / "cut.zsk").write_bytes(raw[:size])
        with pytest.raises(NetworkError, match="compile it again"):
            Network.load(tmp_path / "cut.zsk")


def test_regions_of_a_timeline_come_one_after_another(network: Network, tmp_path: Path) -> None:
    ((program, run),) = zip(
        network.programs.values(), Session(network).time().values(), strict=True
    )
    write_timeline(tmp_path / "t.json", {"a": run, "b": run}, {"a": program, "b": program})
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    first, second = (
        [one["ts"] for one in events if one["pid"] == region and "ts" in one]
        for region in dict.fromkeys(one["pid"] for one in events)
    )
    assert second == [moment + run.cycles for moment in first] != first


def test_a_manifest_that_its_seal_does_not_fit_is_refused(network: Network, tmp_path: Path) -> None:
    """Every other member is as it was, and so is what zip says of all."""
    network.save(tmp_path / "net.zsk")
    with zipfile.ZipFile(tmp_path / "net.zsk") as box:
        members = {name: box.read(name) for name in box.namelist()}
    head = json.loads(members["manifest.json"])
    for name in ("small", "another"):
        members["manifest.json"] = json.dumps({**head, "name": name}, indent=1).encode()
        with (tmp_path / f"{name}.zsk").open("wb") as out:
            write_zip(out, {each: [raw] for each, raw in members.items()})
    assert Network.load(tmp_path / "small.zsk").name == head["name"] == "small"
    with pytest.raises(NetworkError, match="was altered after it was written"):
        Network.load(tmp_path / "another.zsk")


def test_every_layer_is_compared(mixed: Network) -> None:
    found = validate(mixed, _x())
    assert found.exact
    assert found.regions == found.exact_regions == 2
    assert found.layers >= 5
    assert found.snr_db["y"] > 15
    assert "softmax" in mixed.cpu


def test_a_wrong_bias_is_found_and_named(network: Network) -> None:
    """A bit of one bias, flipped in the program's image, names layer, element and instruction."""
    stages = lower(small_net(), network.spec)
    ((name, program),) = stages.programs.items()
    params = next(one for one in decode_all(program.words) if isinstance(one, LoadParams))
    image = program.image.copy()
    image[params.dram + 1] ^= 0x08
    wrong = dataclasses.replace(program, image=image)
    broken = dataclasses.replace(network, host=embed(stages.scheduled, {name: wrong}))
    found = validate(broken, _x())
    assert found.exact_regions == 0
    assert found.mismatch is not None
    assert found.mismatch.layer == "conv0"
    assert found.mismatch.index[:2] == (0, 0)
    assert found.mismatch.pc >= 0
    assert "first difference: region" in found.text()


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({"x": np.zeros((1, 3, 16, 15), np.float32)}, "has shape"),
        ({"x": np.full(SHAPE, np.nan, np.float32)}, "NaN"),
        ({"x": np.zeros(SHAPE, np.complex64)}, "complex64"),
        ({"z": np.zeros(SHAPE, np.float32), "x": np.zeros(SHAPE, np.float32)}, "not an input"),
    ],
)
def test_inputs_that_do_not_fit(
    network: Network, inputs: dict[str, np.ndarray], sentence: str
) -> None:
    with pytest.raises(DataError, match=sentence):
        Session(network).run(inputs)
