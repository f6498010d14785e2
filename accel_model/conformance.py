"""What every kind of array must keep, checked on random tiles: a kit for plug-ins.

    python -m zeroskip.accel_model.conformance TARGET.toml

The target names the kind. Every check prints a line; the exit code is 1 if one failed. In Python
``failures(spec)`` gives the sentences, so a test of a plug-in is one line.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pkgutil import resolve_name

import numpy as np

from zeroskip.accel_model import physics
from zeroskip.accel_model.arrays.base import ArrayError, Case, FilterSet, Kind, Timing
from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.accel_model.formats import FormatTable, Shape, reduction_steps_of, to_reduction_order
from zeroskip.accel_model.program.tensor_layout import blocks
from zeroskip.accel_model.reference.convolution import Convolution, Outcome
from zeroskip.accel_model.reference.streams import PatternMasks as PatternMasks
from zeroskip.accel_model.spec import AccelSpec, load_spec
from zeroskip.accel_model.timing.shape import WindowShape

Rng = np.random.Generator
TILES = 40
SEED = 1


class RandomConvolution:
    """A random convolution of a few filters, as the fast model and the reference take it. filters,
    channels, kernel: how many, and the side of the kernel, where not random too."""

    def __init__(
        self,
        spec: AccelSpec,
        rng: Rng,
        filters: int | None = None,
        channels: int | None = None,
        kernel: int | None = None,
    ) -> None:
        kind, weights = spec.kind, spec.format
        sizes = int(rng.integers(1, 40)), int(rng.integers(1, 4))
        channels = channels or sizes[0]
        sides = (kernel or sizes[1],) * 2
        count = filters or int(rng.integers(1, 24))
        weight = rng.integers(-127, 128, (count, channels, *sides)).astype(np.int8)
        weight[rng.random(weight.shape) < rng.random()] = 0
        order = rng.permutation(count).astype(np.int32)
        if rng.random() < 0.5:  # the only order that some arrays take
            order.sort()
        shape = Shape(channels, sides[0] * sides[1])
        self.table: FormatTable | None = weights.make_table(weight)
        self.matrix = to_reduction_order(weight)
        self.raw, self.lengths = weights.pack(self.matrix, shape, order, self.table)
        found = weights.unpack(self.raw, count, shape, self.table)
        self.unpacked = found
        height, width = (int(size) for size in rng.integers(sides[0], 10, 2))
        image = rng.integers(-128, 128, (channels, height, width))
        image[rng.random(image.shape) < rng.random()] = 0
        self.image = image
        output = (int(rng.integers(1, 5)), int(rng.integers(1, 7)))
        stride = int(rng.integers(1, 3))
        self.window = WindowShape(
            width,
            height,
            width,
            int(rng.integers(-2, 1)),
            int(rng.integers(-2, 1)),
            *sides,
            stride,
            stride,
            1,
            1,
            *output,
        )
        last = bool(rng.random() < 0.7)
        self.filters = FilterSet(
            lambda: found.matrix,
            shape,
            found.order,
            found.stored,
            len(self.raw) // 4,
            weights,
            self.table,
        )
        self.case = Case(
            self.window,
            self.filters,
            int(rng.choice(list(kind.modes(spec.array)))),
            bool(rng.random() < 0.7),
            last,
            output[1] if last and rng.random() < 0.3 else None,
            lambda: image != 0,
        )

    def stepped(self, spec: AccelSpec) -> Outcome:
        """What the reference makes of it."""
        step: Callable[[AccelSpec, Convolution], Outcome] = resolve_name(spec.kind.reference)
        window, ends, raw = self.window, np.cumsum(4 * self.lengths), self.raw.tobytes()
        masks = getattr(self.table, "masks", None)
        return step(
            spec,
            Convolution(
                image=self.image.tolist(),
                row=window.row,
                kernel=(window.rows, window.cols),
                stride=(window.row_stride, window.col_stride),
                dilation=(window.row_dilation, window.col_dilation),
                top=window.top,
                left=window.left,
                output=(window.out_height, window.out_width),
                streams=[
                    raw[end - 4 * size : end] for end, size in zip(ends, self.lengths, strict=True)
                ],
                table=None
                if masks is None or self.table is None
                else PatternMasks(masks.tolist(), self.table.argument),
                mode=self.case.mode,
                first=self.case.first,
                last=self.case.last,
                out_blocks=blocks(len(self.filters)),
                operand_row=self.case.operand_row,
                weight_bytes=spec.storage.weight_bytes,
            ),
        )


Check = Callable[[AccelSpec, RandomConvolution], str]


def _round_trip(spec: AccelSpec, tile: RandomConvolution) -> str:
    """Packing and unpacking gives the filters back, and says truly what is stored."""
    if not np.array_equal(tile.unpacked.matrix, tile.matrix):
        return "unpacking does not give back the filters that were packed"
    stored, weights = tile.filters.stored, spec.format
    if (tile.matrix != 0)[~stored].any():
        return "a weight that is not zero is said not to be stored"
    entries = reduction_steps_of(
        weights.stage_taps, tile.filters.shape.channels, tile.filters.shape.taps
    )
    starts = np.concatenate([[0], np.cumsum(entries.window_entries)[:-1]])
    counts = np.add.reduceat(stored.astype(np.int64), starts, axis=1)
    if not np.array_equal(counts, tile.unpacked.stored):
        return "the counts of stored weights are not those of the positions stored"
    return ""


def _slots(spec: AccelSpec, tile: RandomConvolution) -> str:
    """Every multiplier does one thing in every cycle."""
    timing = spec.kind.conv(spec, tile.case)
    names = {slot.name for slot in spec.kind.slots}
    if unknown := set(timing.slots) - names:
        return f"slots {sorted(unknown)} are not declared"
    if min(timing.slots.values()) < 0:
        return f"a slot is negative: {dict(timing.slots)}"
    if sum(timing.slots.values()) != timing.cycles * spec.array.macs:
        return (
            f"slots add up to {sum(timing.slots.values())}, not {timing.cycles} cycles x "
            f"{spec.array.macs} multipliers"
        )
    every, real = tile.filters.products(tile.window)
    expected = timing.products if timing.products is not None else real
    if timing.slots.get("multiply", 0) != expected:
        return f"multiply is {timing.slots.get('multiply', 0)}, and there are {expected} products"
    return "" if real <= every else "more real products than products"


def _events(spec: AccelSpec, tile: RandomConvolution) -> str:
    """Only events that cost energy are counted."""
    unknown = set(spec.kind.conv(spec, tile.case).events) - set(spec.kind.events.values())
    return f"events {sorted(unknown)} cost nothing by Kind.events" if unknown else ""


def _ports(spec: AccelSpec, tile: RandomConvolution) -> str:
    """No more goes through a port than it passes in the cycles, every counter has its port or event
    and one unit at all of its ports, and reads and writes of an event are all of it."""
    timing = spec.kind.conv(spec, tile.case)
    found, splits = spec.kind.traffic(spec, tile.case, timing), spec.kind.splits
    if unknown := set(found) - set(physics.flows(spec)):
        return f"bytes {sorted(unknown)} go through no port of Kind.resources"
    units: dict[str, int] = {}
    for one in physics.resources(spec):
        for port in one.ports:
            through = sum(found.get(flow, 0) for flow in port.flows)
            most = one.per_cycle(port) * timing.cycles
            if through > most:
                return (
                    f"{through * port.unit} bytes go through port '{port}' of {one.name} in "
                    f"{timing.cycles} cycles, which passes {most * port.unit:g}: {tile.case}"
                )
            for flow in port.flows:
                if units.setdefault(flow, port.unit) != port.unit:
                    return f"{flow} counts {units[flow]} and {port.unit} bytes, of port '{port}'"
    for event, split in splits.items():
        counted = timing.events.get(spec.kind.events[event], 0)
        through = sum(found.get(flow, 0) for flow in split.flows)
        if through != split.unit * counted:
            return f"{through} bytes are read and written by {counted} events of {event}"
    return ""


def _reference(spec: AccelSpec, tile: RandomConvolution) -> str:
    """The fast model agrees with the reference in every cycle and in all that it counts."""
    timing, outcome = spec.kind.conv(spec, tile.case), tile.stepped(spec)
    if timing.cycles != outcome.cycles:
        return f"{timing.cycles} cycles, stepped {outcome.cycles}: {tile.case}"
    for kind, found, counted in (
        ("slot", timing.slots, outcome.slots),
        ("event", timing.events, outcome.events),
        ("flow", spec.kind.traffic(spec, tile.case, timing), outcome.events),
    ):
        for name in set(found) & set(counted):
            if found[name] != counted[name]:
                return f"{kind} {name} {found[name]}, stepped {counted[name]}: {tile.case}"
    return _sums(tile, outcome)


def _sums(tile: RandomConvolution, outcome: Outcome) -> str:
    """The reference multiplies what the convolution says."""
    window, weight = tile.window, tile.matrix.astype(np.int64)
    for output in range(window.outputs):
        oy, ox = divmod(output, window.out_width)
        seen = np.zeros((tile.filters.shape.channels, window.taps), np.int8)
        for tap in range(window.taps):
            r, s = divmod(tap, window.cols)
            y = window.top + oy * window.row_stride + r * window.row_dilation
            x = window.left + ox * window.col_stride + s * window.col_dilation
            if 0 <= y < window.height and 0 <= x < window.width:
                seen[:, tap] = tile.image[:, y, x]
        expected = weight @ to_reduction_order(seen[np.newaxis])[0].astype(np.int64)
        for n, channel in enumerate(tile.filters.order.tolist()):
            if outcome.sums.get((channel, output), 0) != expected[n]:
                return f"the reference's sum of channel {channel}, output {output} is wrong"
    return ""


def _placement(spec: AccelSpec, tile: RandomConvolution) -> str:
    """Groups of streams fit in the banks of WGT."""
    for mode in spec.kind.modes(spec.array):
        placement = spec.kind.placement(spec.array, mode)
        if placement.slots * placement.banks > spec.wgt_banks:
            return f"mode {mode} places {placement} in {spec.wgt_banks} banks"
    order = spec.kind.order(spec.array, tile.unpacked.stored.sum(axis=1, dtype=np.int64))
    return "" if sorted(order.tolist()) == list(range(len(order))) else "order is no permutation"


def _price(spec: AccelSpec, tile: RandomConvolution) -> str:
    """The search's estimate of the whole tile is between half and twice its time, by inputs of
    which none is zero: the search does not know them."""
    cycles = spec.kind.conv(spec, replace(tile.case, inputs=None)).cycles
    sizes = [np.array([size]) for size in (tile.window.out_height, tile.window.out_width)]
    price = float(spec.kind.price(spec, tile.case).cycles_of(sizes[0], sizes[1])[0])
    return "" if cycles / 2 <= price <= 2 * cycles else f"{cycles} cycles are priced {price:.0f}"


CHECKS: dict[str, Check] = {
    "format": _round_trip,
    "placement": _placement,
    "slots": _slots,
    "events": _events,
    "ports": _ports,
    "reference": _reference,
    "price": _price,
}


def failures(spec: AccelSpec, tiles: int = TILES, seed: int = SEED) -> Iterator[str]:
    """The sentences of all checks that fail on random tiles, each with the seed of its tile."""
    for name, check in CHECKS.items():
        for number in range(tiles):
            tile = RandomConvolution(spec, np.random.default_rng([seed, number]))
            try:
                sentence = check(spec, tile)
            except ArrayError:  # a tile that the array cannot do, and says so
                continue
            if sentence:
                yield f"{name}, seed {seed}, tile {number}: {sentence}"
                break


def large_layer(spec: AccelSpec) -> tuple[Timing, float]:
    """A 3x3 layer of VGG-16, 64 of its filters of 256 channels (or of as many as the array takes)
    on 14 x 28 outputs, 75 % zeros: what it takes, and seconds to find that out."""
    rng = np.random.default_rng(SEED)
    channels = 256
    while channels > 16 and not spec.kind.takes(spec.array, Shape(channels, 9)):
        channels //= 2
    weight = rng.integers(1, 128, (64, channels, 3, 3)).astype(np.int8)
    weight[rng.random(weight.shape) < 0.75] = 0
    weights, shape = spec.format, Shape(channels, 9)
    table, matrix = weights.make_table(weight), to_reduction_order(weight)
    filters = FilterSet(
        lambda: matrix,
        shape,
        np.arange(64, dtype=np.int32),
        weights.stored_counts(matrix, shape, table),
        0,
        weights,
        table,
    )
    window = WindowShape(30, 16, 30, 0, 0, 3, 3, 1, 1, 1, 1, 14, 28)
    inputs = rng.random((channels, 16, 30)) < 0.5
    mode = spec.kind.modes(spec.array)[0]
    start = time.perf_counter()
    timing = spec.kind.conv(spec, Case(window, filters, mode, True, True, None, lambda: inputs))
    return timing, time.perf_counter() - start


def main(arguments: list[str]) -> int:
    """The command; 0: conforms, 1: does not, 2: the target cannot be used."""
    if len(arguments) != 1:
        print("give one target, a name or a .toml file", file=sys.stderr)
        return 2
    try:
        spec = load_spec(arguments[0])
    except ZeroskipError as problem:
        print(problem, file=sys.stderr)
        return 2
    kind: Kind[object] = spec.kind
    print(f"{spec.name}: kind {kind.name}, {TILES} random tiles a check")
    failed = {sentence.partition(",")[0]: sentence for sentence in failures(spec)}
    for name in CHECKS:
        print(f"  {name:<10} {failed.get(name, 'ok')}")
    timing, seconds = large_layer(spec)
    print(f"  a VGG layer: {timing.cycles:,} cycles, timed in {seconds * 1e3:.1f} ms")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
