"""The line that every figure of a network comes in: cycles, and what they leave out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from zeroskip.compiler.artifact.placement import nothing_runs

if TYPE_CHECKING:
    from zeroskip.compiler.artifact.network import Network


def cycles_line(
    network: Network, cycles: int, images: int | None = None, each: Sequence[int] = ()
) -> str:
    """What one run of the programs takes on the accelerator, of which share of the multiplies, and
    what all do. cycles: of one run, which computes ``network.images``. images: runs that were made,
    None for the model's batch. each: cycles of every run, where it has a time of its own;
    ``cycles`` is then not looked at."""
    if each:
        cycles = round(sum(each) / len(each))
    spec, placement = network.spec, network.placement
    if not placement.regions:
        return nothing_runs(spec.name, network.cpu, network.host_macs)
    rate = spec.clock_mhz * 1000  # cycles of a millisecond
    batch, of, count = "", "", network.batch if images is None else images
    if network.images > 1:
        own = cycles / network.images
        batch = f" for {network.images} images, {own:,.0f} cycles, {own / rate:.3f} ms an image"
        of = f" for {network.images} images"
    elif count > 1:
        batch, of = " an image", " an image"
    if count > 1:
        whole = sum(each) if len(each) == count else cycles * count
        every = count * network.images
        which = f"the batch of {every}" if count == network.batch else f"{every} images"
        batch += f", {whole:,} cycles, {whole / rate:.3f} ms for {which}"
    return (
        f"{cycles:,} cycles on {spec.name}, {cycles / rate:.3f} ms at {spec.clock_mhz:g} MHz"
        f"{_spread(network, each)}{batch}, {placement.coverage()}{of}"
    )


def _spread(network: Network, each: Sequence[int]) -> str:
    """How far the images are apart on an array that looks at activations."""
    if "inputs" not in network.spec.kind.skips:
        return ""
    if len(each) > 1:
        return f" on average ({min(each):,} to {max(each):,})"
    these = " for this image" if network.images == 1 else " for these images"
    return these if each else " if no activation were zero"
