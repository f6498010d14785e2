"""The line that every figure of a network comes in: cycles, and what they leave out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeroskip.compiler.artifact.placement import nothing_runs

if TYPE_CHECKING:
    from zeroskip.compiler.artifact.network import Network


def cycles_line(network: Network, cycles: int, images: int | None = None) -> str:
    """What one image takes on the accelerator, of which share of the multiplies, and what all do.
    cycles: of one image. images: that were run, None for the model's batch."""
    spec, placement = network.spec, network.placement
    if not placement.regions:
        return nothing_runs(spec.name, network.cpu, network.host_macs)
    rate = spec.clock_mhz * 1000  # cycles of a millisecond
    batch, count = "", network.batch if images is None else images
    if count > 1:
        whole = cycles * count
        which = f"the batch of {count}" if count == network.batch else f"{count} images"
        batch = f" an image, {whole:,} cycles, {whole / rate:.3f} ms for {which}"
    return (
        f"{cycles:,} cycles on {spec.name}, {cycles / rate:.3f} ms at {spec.clock_mhz:g} MHz"
        f"{batch}, {placement.coverage()}{' an image' if count > 1 else ''}"
    )
