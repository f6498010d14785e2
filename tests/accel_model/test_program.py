"""Program files that lie, sealed as if they were true: what does not fit together is refused."""

from __future__ import annotations

import io
import re
import tracemalloc
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.accel_model.programs import Hand
from tests.campaigns.hostile_programs import close_file, open_file
from tests.campaigns.programs import Sample, sample, tiny
from zeroskip.accel_model.io.archive import (
    digest,
    members_of,
    npy_chunks,
    read_npy,
    read_zip,
    write_zip,
)
from zeroskip.accel_model.io.validate import LONGEST
from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.memory.faults import MachineError
from zeroskip.accel_model.memory.limits import ResourceLimits
from zeroskip.accel_model.program.program import LayerInfo, Program, ProgramError, Tile
from zeroskip.accel_model.program.tensor_layout import Tensor
from zeroskip.accel_model.spec import load_spec


@pytest.fixture(scope="module")
def one() -> Sample:
    return sample("residual", tiny(load_spec("sparse256")), "residual", seed=0)


def again(program: Program) -> Program:
    """Through its file, whose seal is right."""
    return Program.from_bytes(program.to_bytes())


def with_layer(program: Program, **fields: Any) -> Program:
    return replace(program, layers=(replace(program.layers[0], **fields), *program.layers[1:]))


def with_tile(program: Program, **fields: Any) -> Program:
    return replace(program, tiles=(replace(program.tiles[0], **fields), *program.tiles[1:]))


def test_a_program_survives_its_file(one: Sample) -> None:
    assert again(one.program).to_bytes() == one.program.to_bytes()


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"shape": (1, 20, -7, 6)}, "LayerInfo.shape = -7 is outside 1.."),
        ({"shape": (1, 1 << 20, 1 << 20, 6)}, "elements of LayerInfo.shape = "),
        ({"shape": (1, 24, 7, 5)}, "is not within its layer's result, [24, 7, 5]"),
        ({"shape": (1, 24, 7)}, "is not within its layer's result, [24, 7]"),
        ({"macs": -1}, "LayerInfo.macs = -1 is outside 0.."),
        ({"weight_bytes": -1}, "LayerInfo.weight_bytes = -1 is outside 0.."),
        ({"node": "x" * (LONGEST + 1)}, "LayerInfo.node is"),
    ],
)
def test_layers_that_cannot_be(one: Sample, fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ProgramError, match=re.escape(sentence)):
        again(with_layer(one.program, **fields))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"layer": 99}, "a tile is [99,"),
        ({"channels": 4000}, "is not within its layer's result"),
        ({"origin": (6, 6)}, "is not within its layer's result"),
        ({"origin": (1, 0), "size": (7, 6)}, "is not within its layer's result"),
        ({"origin": (-1, 0)}, "a tile is "),
    ],
)
def test_tiles_that_cannot_be(one: Sample, fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ProgramError, match=re.escape(sentence)):
        again(with_tile(one.program, **fields))


def test_arrays_of_another_type(one: Sample) -> None:
    head, arrays = open_file(one.program.to_bytes())
    for name in arrays:
        raw = {
            each: npy_chunks(array.astype(np.float64) if each == name else array)
            for each, array in arrays.items()
        }
        head["sha256"] = {each: digest(parts) for each, parts in raw.items()}
        file = close_file(head, {f"{each}.npy": parts for each, parts in raw.items()})
        with pytest.raises(ProgramError, match="Cannot cast array data from dtype"):
            Program.from_bytes(file)


def test_an_instruction_writes_the_tile_that_it_is_said_to_write(one: Sample) -> None:
    """A tile with more channels would be read from behind the end of ACT."""
    layers = (replace(one.program.layers[0], shape=(1, 99_999, 7, 6)), *one.program.layers[1:])
    lying = with_tile(replace(one.program, layers=layers), channels=99_999)

    with pytest.raises(MachineError, match="but is said to write 99999 of "):
        watch(one, again(lying))
    late = replace(one.program, tile_of=np.roll(one.program.tile_of, 1))
    with pytest.raises(MachineError, match="but is said to write "):
        watch(one, late)


def test_a_sentence_about_a_program_of_a_very_long_name_is_short() -> None:
    problem = MachineError(f"program '{'n' * 10_000}' has outputs that do not fit in its DRAM")
    assert len(str(problem)) < 1000
    assert str(problem).startswith("program 'nnn")
    assert str(problem).endswith("do not fit in its DRAM")


def watch(one: Sample, program: Program) -> list[Tile]:
    """Run it with an observer."""
    seen: list[Tile] = []
    Machine(one.spec).run(
        program, one.inputs[0], observers=[lambda _pc, tile, *_: seen.append(tile)]
    )
    return seen


def test_effectual_multiplies_are_not_believed(one: Sample) -> None:
    info: LayerInfo = one.program.layers[0]
    lying = again(with_layer(one.program, effectual=info.effectual - 1))
    with pytest.raises(
        MachineError, match=f"{info.effectual} multiplies were done and 0 passed over, not "
    ):
        Machine(one.spec).run(lying, one.inputs[0])


def test_real_multiplies_are_not_believed(one: Sample) -> None:
    info: LayerInfo = one.program.layers[0]
    assert 0 < info.real_macs < info.effectual < info.macs
    lying = again(with_layer(one.program, real_macs=info.real_macs + 1))
    with pytest.raises(MachineError, match=f"{info.real_macs} multiplies were by inputs within "):
        Machine(one.spec).run(lying, one.inputs[0])


@pytest.mark.parametrize(("more", "of"), [("real_macs", "effectual"), ("effectual", "macs")])
def test_a_layer_has_no_more_of_the_fewer(one: Sample, more: str, of: str) -> None:
    most = getattr(one.program.layers[0], of)
    lying = with_layer(one.program, **{more: most + 1})
    with pytest.raises(
        ProgramError,
        match=rf"LayerInfo.{more} = {most + 1} is outside "
        rf"0\.\.{most}\); compile it again",
    ):
        again(lying)


def test_a_program_of_an_older_version_is_compiled_again(one: Sample) -> None:
    """Before format 6 programs did not know their reachable bound."""
    head, arrays = open_file(one.program.to_bytes())
    assert head["format"] == 6
    head["format"] = 5
    old = close_file(head, {f"{name}.npy": npy_chunks(array) for name, array in arrays.items()})
    with pytest.raises(
        ProgramError, match="the program has format 5, this version reads 6; compile it again"
    ):
        Program.from_bytes(old)


def test_a_program_stays_below_a_gibibyte(one: Sample) -> None:
    """As much DRAM and as large a step as the limits allow, and an output that is half of DRAM."""
    limits = ResourceLimits()
    hand = Hand(one.spec)
    here, result = hand.room(1, (1, 64)), hand.room(1, (1, 64))
    hand.load(hand.input("x", np.zeros((1, 1, 1, 64), np.int8)), here)
    side = 511
    hand.add(
        isa.Kernel(rows=side, cols=side, row_stride=1, col_stride=1, row_dilation=1, col_dilation=1)
    )
    hand.set_input(here, (1, 64), 0, 0, -side // 2, -side // 2)
    hand.set_output(result, (1, 64), 0, -128, 127, 0)
    hand.add(isa.MaxPool(channels=1))
    hand.store(hand.output("y", 1, (1, 64), "int8"), result)
    hand.outputs.append(Tensor("all", 1 << 20, 1, (limits.dram_bytes // 2,)))
    program = hand.program()
    program = replace(program, dram_bytes=len(program.image) + limits.dram_bytes)
    tracemalloc.start()
    with pytest.raises(MachineError, match="output 'all' is not complete"):
        Machine(one.spec).run(program, hand.data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 400 << 20 < peak < 1 << 30
    more = replace(program, dram_bytes=program.dram_bytes + 1)
    with pytest.raises(MachineError, match="bytes of DRAM behind its image, and the limit is"):
        Machine(one.spec).run(more, hand.data)
    often = replace(
        program,
        outputs=(*program.outputs, *(Tensor(f"y{n}", 0, 1, (1 << 20,)) for n in range(200))),
    )
    with pytest.raises(MachineError, match="outputs that do not fit in its DRAM together"):
        Machine(one.spec).run(often, hand.data)


def test_what_a_file_holds_does_not_fill_the_sentence(one: Sample) -> None:
    head, arrays = open_file(one.program.to_bytes())
    raw = {name: npy_chunks(array) for name, array in arrays.items()}
    head["sha256"] = {"A" * 10_000: "", **{name: digest(parts) for name, parts in raw.items()}}
    with pytest.raises(ProgramError) as refusal:
        Program.from_bytes(close_file(head, {f"{name}.npy": each for name, each in raw.items()}))
    assert len(str(refusal.value)) < 500


def test_an_array_whose_header_is_cut_is_no_array() -> None:
    raw = b"".join(npy_chunks(np.zeros(3, np.uint8))).replace(b"}", b" ")
    with pytest.raises(ValueError, match="header is cut"):
        read_npy(raw)


def test_members_in_memory_are_those_that_zipfile_reads() -> None:
    """Also of altered files: the same members, or both refuse."""
    out = io.BytesIO()
    write_zip(out, {"a.npy": [b"x" * 50], "manifest.json": [b"{}", b"12"]})
    whole, rng = out.getvalue(), np.random.default_rng(0)

    def read(file: bytes) -> dict[str, bytes]:
        with zipfile.ZipFile(io.BytesIO(file)) as box:
            return {name: box.read(info) for name, info in read_zip(box, len(file)).items()}

    def outcome(reader: Callable[[bytes], Mapping[str, bytes | memoryview]], file: bytes) -> Any:
        try:
            return {name: bytes(member) for name, member in reader(file).items()}
        except (
            zipfile.BadZipFile,
            NotImplementedError,
            EOFError,
            OSError,
            ValueError,
            RuntimeError,
        ):
            return "refused"

    assert outcome(members_of, whole) == outcome(read, whole) != "refused"
    for _ in range(300):
        size = len(whole) if rng.random() < 0.5 else int(rng.integers(len(whole)))
        file = np.frombuffer(whole, np.uint8)[:size]
        file = file.copy()
        file[rng.integers(0, len(file) or 1, min(len(file), 2))] = rng.integers(0, 256)
        assert outcome(members_of, file.tobytes()) == outcome(read, file.tobytes())
