"""Networks on targets that store 16 bits: the same numbers, and the bytes that they take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.campaigns.programs import sample, tiny
from tests.compiler.networks import GraphBuilder
from tests.compiler.test_bits import NETWORKS, check
from zeroskip.accel_model.isa import instructions as isa
from zeroskip.accel_model.isa.encoding import decode_all
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.machine.run import LOAD, STORE
from zeroskip.accel_model.program.program import Program, ProgramError
from zeroskip.accel_model.spec import AccelSpec, Storage, load_spec, targets
from zeroskip.compiler.codegen.program_builder import ProgramBuilder
from zeroskip.compiler.errors import CompileError
from zeroskip.compiler.lowering.lower import lower

WIDE = Storage(16, 16)


def wide(target: str, storage: Storage = WIDE) -> AccelSpec:
    return replace(load_spec(target), storage=storage)


@pytest.mark.diagonal
@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: n.__name__.strip("_"))
@pytest.mark.parametrize(
    ("target", "storage"),
    [("sparse256", WIDE), ("pattern256", Storage(16, 8)), ("dense256", Storage(8, 16))],
    ids=["16 x 16", "16 x 8", "8 x 16"],
)
def test_bits(network: Callable[[GraphBuilder], list[str]], target: str, storage: Storage) -> None:
    b = GraphBuilder(np.random.default_rng(7))
    outputs = network(b)
    check(b.graph(*outputs), b.data(), wide(target, storage), seed=3)


@pytest.mark.diagonal
@pytest.mark.parametrize("target", sorted(set(targets()) - {"dense256", "sparse256", "pattern256"}))
@pytest.mark.parametrize("network", NETWORKS[:7:2], ids=lambda n: n.__name__.strip("_"))
def test_bits_on_other_arrays(network: Callable[[GraphBuilder], list[str]], target: str) -> None:
    b = GraphBuilder(np.random.default_rng(8))
    outputs = network(b)
    check(b.graph(*outputs), b.data(), wide(target))


@pytest.mark.parametrize("name", ["residual", "depthwise"])
@pytest.mark.parametrize("storage", [WIDE, Storage(16, 8), Storage(8, 16)], ids=str)
def test_layers_need_as_many_bytes_more_as_elements_are_wider(name: str, storage: Storage) -> None:
    """Of a dense array, which stores nothing but weights."""
    plain, other = (
        sample(name, spec, name, seed=1).program
        for spec in (load_spec("dense256"), wide("dense256", storage))
    )
    for one, two in zip(plain.layers, other.layers, strict=True):
        assert two.input_bytes == one.input_bytes * storage.activation_bytes
        assert two.output_bytes == one.output_bytes * storage.activation_bytes
        assert two.weight_bytes == one.weight_bytes * storage.weight_bytes
        assert two.real_macs == one.real_macs
    assert other.input_bytes == plain.input_bytes * storage.activation_bytes
    assert other.output_bytes == plain.output_bytes * storage.activation_bytes


def test_every_element_that_moves_takes_its_bytes_on_the_bus() -> None:
    """By the instructions: elements of loads and stores, and the streams."""
    program = sample("reduction", tiny(wide("sparse256")), "reduction", seed=1).program
    run = Machine(program.spec).run(program, {}, numbers=False)
    useful, stream = run.counters["useful_bytes"], decode_all(program.words)
    for pc, one in enumerate(stream):
        if isinstance(one, isa.Load | isa.Store):
            elements = one.bytes * one.width * one.height * one.blocks
            assert useful[pc] == 2 * elements
            assert run.unit[pc] == (LOAD if isinstance(one, isa.Load) else STORE)
        if isinstance(one, isa.LoadWeights):
            assert useful[pc] == one.size
    assert {type(one) for one in stream} >= {isa.Load, isa.Store, isa.LoadWeights}


def test_a_file_says_it_once() -> None:
    """In its target: tensors follow from it, and a tensor that says otherwise is none."""
    program = sample("residual", wide("dense256"), "residual", seed=1).program
    again = Program.from_bytes(program.to_bytes())
    assert again.spec == program.spec
    assert again.inputs == program.inputs
    assert {each.element_bytes for each in (*again.inputs, *again.outputs)} == {2}
    head, arrays = program.parts()
    assert "element_bytes" not in head["inputs"][0]
    head["inputs"][0]["element_bytes"] = 1
    with pytest.raises(ProgramError, match="its target says how wide elements are"):
        Program.from_parts(head, arrays)


def test_an_image_beyond_the_strides_is_one_sentence() -> None:
    """The largest that is taken has pixels of 16 bytes."""
    b = GraphBuilder(np.random.default_rng(1))
    region = lower(b.graph(b.pool(b.input(1, 8191, 8191), "max", 2, 2)))
    ProgramBuilder(region, load_spec("dense256"))
    with pytest.raises(
        CompileError, match=r"'in0' has 8191 x 8191 pixels, more than .* 16 bits each"
    ):
        ProgramBuilder(region, wide("dense256"))


def test_storage_costs_time_where_the_bus_limits() -> None:
    cycles = []
    for storage in (Storage(), Storage(8, 16), WIDE):
        spec = wide("dense256", storage)
        program = sample("reduction", spec, "reduction", seed=1).program
        cycles.append(Machine(spec).run(program, {}, numbers=False).cycles)
    assert cycles[0] < cycles[1] < cycles[2]
