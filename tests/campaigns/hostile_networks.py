"""Network files that were altered, and made to look as if they were not; run as a user would."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tests.campaigns.hostile_programs import altered_program, change_bytes, change_json
from tests.campaigns.programs import tiny
from tests.runtime.nets import SHAPE, small_net
from zeroskip.accel_model.io.archive import Chunks, digest, npy_chunks, read_npy, seal, write_zip
from zeroskip.accel_model.spec import load_spec
from zeroskip.compiler.artifact.network import Network
from zeroskip.runtime.analysis.report import report
from zeroskip.runtime.execution.session import Session
from zeroskip.runtime.execution.validation import validate

Rng = np.random.Generator
Members = dict[str, Chunks]


@cache
def network_file(cpu_node: bool) -> bytes:
    """A compiled network, with or without a node that stays on the CPU."""
    from zeroskip.compiler.driver import compile as compile_network

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "net.zsk")
        compile_network(small_net(cpu_node=cpu_node), tiny(load_spec("sparse256"))).save(path)
        return path.read_bytes()


def warm() -> None:
    for cpu_node in (False, True):
        use(network_file(cpu_node), everything=True)


def altered_network(rng: Rng) -> str:
    """The manifest, the program or a module altered, every checksum made anew."""
    head, members = open_network(network_file(bool(rng.random() < 0.3)))
    kind = rng.random()
    if kind < 0.4:
        member = next(iter(head["programs"].values()))
        program = read_npy(b"".join(members[member])).tobytes()
        members[member] = npy_chunks(np.frombuffer(altered_program(rng, program), np.uint8))
    elif kind < 0.6:
        _change_module(rng, members)
    for _ in range(int(rng.integers(0 if kind < 0.6 else 1, 4))):
        change_json(rng, head)
    data = close_network(head, members)
    if rng.random() < 0.05:
        data = change_bytes(rng, data)
    return use(data, everything=bool(rng.random() < 0.1))


def open_network(data: bytes) -> tuple[dict[str, Any], Members]:
    """The manifest and the members of a network file."""
    with zipfile.ZipFile(io.BytesIO(data)) as box:
        head = json.loads(box.read("manifest.json"))
        return head, {name: [box.read(name)] for name in head["sha256"]}


def close_network(head: dict[str, Any], members: Members) -> bytes:
    """The file of a manifest and its members, sealed."""
    head = {key: value for key, value in head.items() if key != "seal"}
    head["sha256"] = {name: digest(parts) for name, parts in members.items()}
    try:
        text = json.dumps({**head, "seal": seal(head)}).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        text = b"{}"
    out = io.BytesIO()
    write_zip(out, {"manifest.json": [text], **members})
    return out.getvalue()


def _change_module(rng: Rng, members: Members) -> None:
    """Values in the JSON of a module."""
    names = [name for name in members if name.startswith("modules/")]
    name = names[rng.integers(len(names))]
    made = json.loads(b"".join(members[name]))
    for _ in range(int(rng.integers(1, 4))):
        change_json(rng, made)
    members[name] = [json.dumps(made).encode()]


def use(data: bytes, everything: bool, level: int | None = None) -> str:
    """Load the file and run it; with everything, validate it and report on it too."""
    inputs = {"x": np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)}
    with tempfile.NamedTemporaryFile(suffix=".zsk") as file:
        file.write(data)
        file.flush()
        network = Network.load(file.name, level)
        session = Session(network)
        session.run(inputs)
        if everything:
            validate(network, inputs)
            report(network, session.time())
            return "validated"
    return "to its end"
