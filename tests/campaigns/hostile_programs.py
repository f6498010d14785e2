"""Program files that were altered, and made to look as if they were not."""

from __future__ import annotations

import io
import json
import zipfile
from copy import deepcopy
from functools import cache
from typing import Any

import numpy as np

from tests.campaigns.programs import NETWORKS, TARGETS, sample, tiny
from zeroskip.accel_model.io.archive import digest, npy_chunks, seal, write_zip
from zeroskip.accel_model.isa.instructions import BY_OPCODE, WORD_BYTES, layout
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.memory.limits import ResourceLimits
from zeroskip.accel_model.program.program import Program
from zeroskip.accel_model.spec import load_spec

# Those that hold by default, but for the work: it would take minutes, and a case may take seconds.
LIMITS = ResourceLimits(work=1 << 30)
Rng = np.random.Generator

# Values for a field of JSON: extremes, other types, what parsers are known to stumble over.
VALUES: list[Any] = [
    0,
    1,
    -1,
    2,
    7,
    15,
    16,
    17,
    255,
    256,
    4096,
    (1 << 31) - 1,
    1 << 31,
    -(1 << 31),
    (1 << 32) - 1,
    1 << 40,
    1 << 63,
    1 << 64,
    10**30,
    -(10**30),
    0.5,
    -0.0,
    1e308,
    float("inf"),
    float("nan"),
    True,
    False,
    None,
    "",
    "int8",
    "uint8",
    "float32",
    "x",
    "\x00",
    "\ud800",
    "../../etc/passwd",
    "A" * 10_000,
    [],
    [0],
    [1, 2, 3],
    [[[[]]]],
    {},
    {"a": 1},
    {"": None},
]


@cache
def bases() -> list[bytes]:
    """Files of small programs."""
    return [
        sample(name, tiny(load_spec(target)), name, seed=0).program.to_bytes()
        for target in TARGETS
        for name in NETWORKS
    ]


def warm() -> None:
    """Run every program as it is, so that all is compiled that is compiled once."""
    for data in bases():
        execute(data)


def altered_bytes(rng: Rng) -> str:
    """Bytes flipped, cut out, doubled or put in."""
    return execute(change_bytes(rng, bases()[rng.integers(len(bases()))]))


def change_bytes(rng: Rng, data: bytes) -> bytes:
    raw = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(0, len(raw)))
        kind = rng.integers(5)
        if kind < 2:
            raw[at] ^= 1 << int(rng.integers(8))
        elif kind == 2:
            del raw[at : at + int(rng.integers(1, 200))]
        elif kind == 3:
            raw[at:at] = raw[at : at + int(rng.integers(1, 200))]
        else:
            raw[at:at] = rng.bytes(int(rng.integers(1, 40)))
        if not raw:
            return b""
    return bytes(raw)


def altered_parts(rng: Rng) -> str:
    """The manifest, arrays or instructions altered, every checksum made anew."""
    return execute(altered_program(rng, bases()[rng.integers(len(bases()))]))


def altered_program(rng: Rng, data: bytes) -> bytes:
    head, arrays = open_file(data)
    parts: dict[str, Any] = {}
    for _ in range(int(rng.integers(1, 4))):
        kind = rng.integers(8)
        if kind < 2:
            change_json(rng, head)
        elif kind < 6:
            _change_words(rng, arrays)
        elif kind == 6:
            _change_image(rng, arrays)
        else:
            _change_array(rng, arrays, parts)
    raw = {name: npy_chunks(array) for name, array in arrays.items()} | parts
    head["sha256"] = {name: digest(each) for name, each in raw.items()}
    return close_file(head, {f"{name}.npy": each for name, each in raw.items()})


def open_file(data: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    with zipfile.ZipFile(io.BytesIO(data)) as box:
        head = json.loads(box.read("manifest.json"))
        arrays = {
            name: np.load(io.BytesIO(box.read(f"{name}.npy"))).copy() for name in head["sha256"]
        }
    return head, arrays


def close_file(head: dict[str, Any], members: dict[str, Any]) -> bytes:
    head.pop("seal", None)
    try:
        text = json.dumps({**head, "seal": seal(head)}).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        text = b"{}"
    out = io.BytesIO()
    write_zip(out, {"manifest.json": [text], **members})
    return out.getvalue()


def change_json(rng: Rng, head: dict[str, Any]) -> None:
    """A value anywhere in it replaced, taken out or doubled."""
    at: Any = head
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        if not keys:
            return
        key = keys[rng.integers(len(keys))]
        if isinstance(at[key], dict | list) and at[key] and rng.random() < 0.85:
            at = at[key]
            continue
        kind = rng.integers(6)
        if kind == 0 and isinstance(at, dict):
            del at[key]
        elif kind == 1 and isinstance(at, list):
            at.append(deepcopy(at[key]))
        elif kind == 2 and isinstance(at[key], int):
            at[key] += int(rng.choice([-1, 1, 16, -16]))
        else:
            at[key] = deepcopy(VALUES[rng.integers(len(VALUES))])
        return


def _change_words(rng: Rng, arrays: dict[str, np.ndarray]) -> None:
    """Instructions: bits, whole fields, order, copies."""
    words = arrays["words"]
    if words.dtype != np.uint8 or words.shape[1:] != (WORD_BYTES,) or not len(words):
        return
    for _ in range(int(rng.integers(1, 6))):
        pc = int(rng.integers(len(words)))
        kind = rng.integers(6)
        if kind == 0:
            words[pc, rng.integers(WORD_BYTES)] ^= np.uint8(1 << int(rng.integers(8)))
        elif kind == 1:
            words[pc] = words[rng.integers(len(words))]
        elif kind == 2:
            words[pc] = np.frombuffer(rng.bytes(WORD_BYTES), np.uint8)
        else:
            _change_field(rng, words, pc)


def _change_field(rng: Rng, words: np.ndarray, pc: int) -> None:
    value = int.from_bytes(words[pc].tobytes(), "little")
    cls = BY_OPCODE.get(value & 63)
    if cls is None:
        return
    at = 6
    fields = layout(cls)
    wanted = int(rng.integers(len(fields)))
    for number, (_, bits) in enumerate(fields):
        if number == wanted:
            choices = [
                0,
                (1 << bits.width) - 1,
                1,
                1 << (bits.width - 1),
                bits.high & ((1 << bits.width) - 1),
                int(rng.integers(1 << min(bits.width, 62))),
            ]
            new = choices[rng.integers(len(choices))] & ((1 << bits.width) - 1)
            value = value & ~(((1 << bits.width) - 1) << at) | new << at
        at += bits.width
    words[pc] = np.frombuffer(value.to_bytes(WORD_BYTES, "little"), np.uint8)


def _change_image(rng: Rng, arrays: dict[str, np.ndarray]) -> None:
    """Weights and parameters: single bytes, or a stretch."""
    image = arrays["image"]
    if image.dtype != np.uint8 or image.ndim != 1 or not len(image):
        return
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(len(image)))
        count = 1 if rng.random() < 0.7 else int(rng.integers(1, 100))
        stretch = image[at : at + count]
        stretch[:] = np.frombuffer(rng.bytes(len(stretch)), np.uint8)


def _change_array(rng: Rng, arrays: dict[str, np.ndarray], parts: dict[str, Any]) -> None:
    """An array of another type, size or shape, or with a header that lies."""
    name = list(arrays)[rng.integers(len(arrays))]
    array = arrays[name]
    kind = rng.integers(6)
    if kind == 0:
        arrays[name] = array.astype(rng.choice(["int64", "float32", "uint8", "int16", "bool"]))
    elif kind == 1:
        arrays[name] = array[: int(rng.integers(0, len(array) + 1))]
    elif kind == 2:
        arrays[name] = array.reshape(-1)
    elif kind == 3 and array.size:
        flat = array.reshape(-1)
        flat[rng.integers(flat.size)] = int(rng.choice([-1, 0, 1, 127])) & 127
    elif kind == 4:
        arrays[name] = np.concatenate([array, array])
    else:
        shapes = ["(1099511627776,)", "(-1,)", "(0,)", "(3, 5)", "()", "(2**40,)"]
        types = ["|u1", "<i4", "|O", "<f8", "|V8", "<U9", "<M8[s]"]
        text = (
            f"{{'descr': '{rng.choice(types)}', 'fortran_order': "
            f"{bool(rng.integers(2))}, 'shape': {rng.choice(shapes)}, }}"
        ).encode()
        head = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
        parts[name] = [head, array.tobytes()]


def execute(data: bytes) -> str:
    """Load a program and run it."""
    program = Program.from_bytes(data)
    rng = np.random.default_rng(0)
    machine = Machine(program.spec, LIMITS)
    if any(tensor.nbytes > LIMITS.dram_bytes for tensor in program.inputs):
        machine.run(program, {}, numbers=False)
        return "time only"
    inputs = {
        tensor.name: rng.integers(0, 128, (1, tensor.channels, *tensor.spatial)).astype(
            tensor.dtype
        )
        for tensor in program.inputs
    }
    machine.run(program, inputs, observers=[lambda *_: None])
    return "to its end"
