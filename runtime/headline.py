"""The line that every figure of a network comes in: cycles, and what they leave out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeroskip.compiler.placement import nothing_runs

if TYPE_CHECKING:
    from zeroskip.compiler.network import Network


def cycles_line(network: Network, cycles: int) -> str:
    """What one image takes on the accelerator, of which share of the multiplies, and what all
    images of a batch do. cycles: of one image."""
    spec, placement = network.spec, network.placement
    if not placement.regions:
        return nothing_runs(spec.name, network.cpu, network.host_macs)
    rate = spec.clock_mhz * 1000  # cycles of a millisecond
    batch = ""
    if network.batch > 1:
        whole = cycles * network.batch
        batch = (f" an image, {whole:,} cycles, {whole / rate:.3f} ms for the batch of "
                 f"{network.batch}")
    return (f"{cycles:,} cycles on {spec.name}, {cycles / rate:.3f} ms at {spec.clock_mhz:g} MHz"
            f"{batch}, {placement.coverage()}{' an image' if network.batch > 1 else ''}")
