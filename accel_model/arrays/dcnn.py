"""DCNN, the dense relative of SCNN: the same planar tiles, PEs with a dot product (ISCA 2017, 5).

Each PE makes the outputs of its band one after another, filter by filter: ``dot`` weights by
``dot`` inputs of an output in a cycle, zeros and padding too. docs/arrays/scnn.md has the rules.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from zeroskip.accel_model.arrays.base import (
    CHANNELWISE,
    CONFLICTS,
    MULTIPLY,
    PADDING,
    SETUP,
    Case,
    Kind,
    Slot,
    StreamPlacement,
    Timing,
    beside,
)
from zeroskip.accel_model.arrays.pricing import ExactPrice
from zeroskip.accel_model.arrays.tile_counts import (
    MULTIPLIED,
    SUPPLY,
    patch_window,
    result_events,
    supplies,
    supply_cycles,
)
from zeroskip.accel_model.formats import DENSE, WeightFormat
from zeroskip.accel_model.physics.common import Datapath, node_of
from zeroskip.accel_model.physics.cost import alike, named
from zeroskip.accel_model.physics.part import Part, PartPort, Resource, of_logic
from zeroskip.accel_model.physics.traffic import Price
from zeroskip.accel_model.spec import (
    AccelSpec,
    Energy,
    channelwise_outputs,
    cycles_to_last_row,
    number,
)
from zeroskip.accel_model.technology import logic


@dataclass(frozen=True)
class DcnnGeometry:
    """A grid of PEs with a dot product each."""

    kind: str
    pe_rows: int = number("rows of PEs, each with a band of the rows of the output tile", 1, 64)
    pe_cols: int = number("columns of PEs, each with a band of its columns", 1, 64)
    dot: int = number("products that a PE adds up in a cycle", 1, 256)
    weight_banks: int = number("banks of WGT, a filter's stream in one", 16, 256, power_of_two=True)
    pixels: int = channelwise_outputs()
    pipeline_cycles: int = cycles_to_last_row("the last sum")

    @property
    def pes(self) -> int:
        return self.pe_rows * self.pe_cols

    @property
    def macs(self) -> int:
        """Multipliers."""
        return self.pes * self.dot

    @property
    def dimensions(self) -> str:
        return f"{self.pe_rows}x{self.pe_cols} PEs of {self.dot}"


@dataclass(frozen=True)
class DcnnEnergy(Energy):
    """Picojoules per event."""

    input_vector: float = number("a vector of inputs read from a PE's memory", 0)


class DcnnKind(Kind[DcnnGeometry]):
    """Dot products, nothing skipped."""

    name = "dcnn"
    Geometry = DcnnGeometry
    Energy = DcnnEnergy
    skips = frozenset()
    events = beside(MULTIPLIED, input_vector="input_vectors")
    reference = "zeroskip.accel_model.reference.scnn:step_dense"
    slots = (
        MULTIPLY,
        Slot(
            "fragmentation",
            "multipliers that the last dot product of an output leaves free, and PEs with fewer "
            "outputs than others",
            "ragged",
        ),
        Slot("zeros", "multiplying zero weights", "zeros"),
        PADDING,
        CONFLICTS,
        Slot("drain", "waiting for the last sum to be written", "drain"),
        SUPPLY,
        CHANNELWISE,
        SETUP,
    )

    def format(self, geometry: DcnnGeometry) -> WeightFormat:
        return DENSE

    def banks(self, geometry: DcnnGeometry) -> int:
        return geometry.weight_banks

    def datapath(self, spec: AccelSpec) -> Datapath:
        """A result of each PE in a cycle, whose memories ACT is."""
        return Datapath(
            results=self.geometry(spec).pes, in_rows=False, fetched=("act_fetched", "input_read")
        )

    def resources(self, spec: AccelSpec) -> Iterable[Resource]:
        array, value = self.geometry(spec), spec.storage.activation_bytes
        port = PartPort("multipliers", "r", flows=("input_read",), unit=value)
        return (
            *super().resources(spec),
            Resource("input vectors", array.pes, 0, array.dot * value, (port,)),
        )

    def parts(self, spec: AccelSpec) -> Iterable[Part]:
        array, value = self.geometry(spec), spec.storage.activation_bytes
        held = logic(node_of(spec)).register(array.dot * spec.storage.activation_bits)
        yield from super().parts(spec)
        yield of_logic("input vectors", array.pes, held, array.dot * value)

    def event_energy(self, spec: AccelSpec) -> dict[str, Price]:
        """Of a word of ACT what a vector is of it."""
        act, held = (named(spec, name) for name in ("ACT", "input vectors"))
        vector = act.read_pj * held.width / act.width + held.write_pj
        return super().event_energy(spec) | alike({"input_vector": vector})

    def placement(self, geometry: DcnnGeometry, mode: int) -> StreamPlacement:
        return StreamPlacement(geometry.weight_banks)

    def granule(self, geometry: DcnnGeometry, mode: int) -> int:
        """Staging holds a row for each PE."""
        return geometry.pes

    def conv(self, spec: AccelSpec, case: Case) -> Timing:
        array, window, filters = self.geometry(spec), case.window, case.filters
        entries, outputs, count = filters.shape.entries, window.outputs, len(filters)
        most = -(-window.out_height // array.pe_rows) * -(-window.out_width // array.pe_cols)
        dots = -(-entries // array.dot)
        work = count * most * dots
        fetched, words = array.dot * count * outputs * dots, filters.words * most
        late = supply_cycles(work, supplies(spec, self.datapath(spec), case, words, fetched))
        cycles = work + late + array.pipeline_cycles
        every, real = filters.products(window)
        pairs = count * outputs * entries
        return Timing(
            cycles,
            {
                "multiply": real,
                "fragmentation": work * array.macs - pairs,
                "zeros": pairs - every,
                "padding": every - real,
                "drain": array.pipeline_cycles * array.macs,
                "supply": late * array.macs,
            },
            {
                **result_events(case, array.weight_banks),
                "wgt_words": words,
                "multiplies": pairs,
                "input_vectors": count * outputs * dots,
            },
            traffic={"input_read": fetched},
        )

    def price(self, spec: AccelSpec, case: Case) -> ExactPrice:
        def cycles(high: int, wide: int) -> float:
            array, count = self.geometry(spec), len(case.filters)
            window = patch_window(case.window, high, wide)
            most = -(-window.out_height // array.pe_rows) * -(-window.out_width // array.pe_cols)
            return count * most * -(-case.filters.shape.entries // array.dot) + (
                array.pipeline_cycles
            )

        return ExactPrice(((cycles, 1.0),))


DCNN = DcnnKind()
