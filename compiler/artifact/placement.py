"""What of a network runs on the accelerator and what stays on the CPU, in numbers and in words.

Every figure of a run leaves out what the CPU does: whoever prints one says so in the same line,
with the words of this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

GROUPS = 4  # reasons that are named one by one
NAMES = 3  # nodes that are named of each
REMEDY = "replace them before export by what docs/SUPPORTED.md lists"


@dataclass(frozen=True)
class HostCall:
    """What the CPU does in one call, before, between or behind regions.

    nodes: of the model, as far as it computes more of them than a change of type at the border.
    from_accelerator: bytes that it reads of what regions returned; to_accelerator: bytes that it
    makes for regions. A tensor that several regions or calls read counts for each.
    """

    nodes: tuple[str, ...]
    from_accelerator: int
    to_accelerator: int

    def __post_init__(self) -> None:
        """ValueError for counts that cannot be."""
        if min(self.from_accelerator, self.to_accelerator) < 0:
            raise ValueError("a call of the CPU moves fewer bytes than none")

    def words(self) -> str:
        """What it computes and moves, for a line of its own."""
        count = len(self.nodes)
        work = f"{count:,} {_plural('node', count)}" if count else "changes of type"
        return (
            f"{work}, {size(self.from_accelerator)} from the accelerator, "
            f"{size(self.to_accelerator)} to it"
        )


@dataclass(frozen=True)
class Placement:
    """Of one inference of one image.

    regions: parts of the network that the accelerator runs. to_accelerator: bytes that these read;
    to_host: bytes that they return, what one hands to another included in both. nodes_on_cpu: ONNX
    nodes. layers: convolutions and matrix products, macs: their multiplies, zeros and padding
    included; of both, those on the CPU too.
    """

    regions: int
    to_accelerator: int
    to_host: int
    nodes_on_cpu: int
    layers: int
    layers_on_cpu: int
    macs: int
    macs_on_cpu: int

    def __post_init__(self) -> None:
        """ValueError for counts that cannot be."""
        if (
            min(getattr(self, each.name) for each in fields(self)) < 0
            or self.layers_on_cpu > self.layers
            or self.macs_on_cpu > self.macs
        ):
            raise ValueError("a placement has more on the CPU than there is")

    def of_one(self, images: int) -> Placement:
        """Of one image, where it is of a run of several."""
        return replace(
            self,
            to_accelerator=self.to_accelerator // images,
            to_host=self.to_host // images,
            macs=self.macs // images,
            macs_on_cpu=self.macs_on_cpu // images,
        )

    @property
    def crossing(self) -> int:
        """Bytes that cross between host and accelerator, either way."""
        return self.to_accelerator + self.to_host

    @property
    def cpu_share(self) -> float:
        """Of the multiplies, those that stay on the CPU; 0 of none."""
        return self.macs_on_cpu / self.macs if self.macs else 0.0

    @property
    def whole(self) -> bool:
        """Whether the accelerator runs all but the conversions at its border."""
        return not self.nodes_on_cpu and not self.layers_on_cpu

    def coverage(self) -> str:
        """What a figure of the accelerator is for, to stand behind it in the same line."""
        return f"for {self._done()}{self._left()}; {self.crossing_words()}"

    def _done(self) -> str:
        if not self.macs:
            return "a network without multiplies"
        if not self.macs_on_cpu:
            return "all of the multiplies"
        return f"{percent(1 - self.cpu_share)} of the multiplies"

    def _left(self) -> str:
        if self.whole:
            return ""
        nodes = f"{self.nodes_on_cpu:,} {_plural('node', self.nodes_on_cpu)}"
        if self.macs_on_cpu:
            return f"; {percent(self.cpu_share)} ({nodes}) on the CPU is not in this figure"
        are = "is" if self.nodes_on_cpu == 1 else "are"
        return f"; {nodes} without multiplies on the CPU {are} not in this figure"

    def crossing_words(self) -> str:
        """How many regions, and what they make the host move."""
        return f"{self.regions:,} {_plural('region', self.regions)}, {self.bytes_words()}"

    def bytes_words(self) -> str:
        """What crosses to the accelerator and back."""
        return f"{size(self.to_accelerator)} cross in, {size(self.to_host)} out"


def percent(share: float) -> str:
    """A share in whole per cent; what is neither nothing nor all never looks so."""
    if 0 < share < 0.01:
        return "<1 %"
    if 0.99 < share < 1:
        return ">99 %"
    return f"{share:.0%}".replace("%", " %")


def size(count: float) -> str:
    """Bytes in the largest unit that fits."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"
        count /= 1024
    return f"{count:,.1f} GiB"


@dataclass(frozen=True)
class Reason:
    """Why nodes stay on the CPU, and the multiplies of theirs."""

    why: str
    nodes: tuple[str, ...]
    macs: int


def reasons(cpu: Mapping[str, str], host_macs: Mapping[str, int]) -> list[Reason]:
    """Reasons for what stays on the CPU, those of most multiplies, then nodes, first.

    cpu: nodes with what is said of each; host_macs: multiplies of those that have any. What is said
    of one node's shape or kernel, before a colon, does not make a reason of its own.
    """
    groups: dict[str, list[str]] = {}
    for node in (*cpu, *(node for node in host_macs if node not in cpu)):
        why = cpu.get(node, "it belongs to no layer with an int8 form")
        groups.setdefault(why.partition(": ")[2] or why, []).append(node)
    found = [
        Reason(why, tuple(nodes), sum(host_macs.get(node, 0) for node in nodes))
        for why, nodes in groups.items()
    ]
    return sorted(found, key=lambda each: (-each.macs, -len(each.nodes)))


def nothing_runs(target: str, cpu: Mapping[str, str], host_macs: Mapping[str, int]) -> str:
    """One sentence for a network of which no node is on the accelerator: why, and the remedy."""
    if not cpu:
        return f"nothing runs on {target}: the network only passes its inputs on"
    first, *others = reasons(cpu, host_macs)
    more = f" and for {len(others)} other {_plural('reason', len(others))}" if others else ""
    all_are = "its only node is" if len(cpu) == 1 else f"all {len(cpu):,} nodes are"
    return (
        f"nothing runs on {target}: {all_are} on the CPU, "
        f"'{first.nodes[0]}' because {first.why}{more}; {REMEDY}"
    )


def notice(
    placement: Placement, target: str, cpu: Mapping[str, str], host_macs: Mapping[str, int]
) -> list[str]:
    """What ``compile`` says of what stays on the CPU: a few lines, none if nothing does."""
    if placement.whole and placement.regions <= 1:
        return []
    if not placement.regions:
        return [nothing_runs(target, cpu, host_macs)]
    if placement.whole:
        return [
            f"all of the network runs on {target}, in {placement.regions:,} regions; "
            f"{placement.bytes_words()}"
        ]
    here, there = placement.layers_on_cpu, placement.layers
    lines = [
        f"{here:,} of {there:,} {_plural('layer', there)} with multiplies, "
        f"{percent(placement.cpu_share)} of the multiplies, and "
        f"{placement.nodes_on_cpu:,} {_plural('node', placement.nodes_on_cpu)} in all stay on "
        f"the CPU; {target} runs the rest in {placement.crossing_words()}"
    ]
    found = reasons(cpu, host_macs)
    for each in found[:GROUPS]:
        share = each.macs / placement.macs if placement.macs else 0.0
        named = ", ".join(f"'{node}'" for node in each.nodes[:NAMES])
        named += ", ..." if len(each.nodes) > NAMES else ""
        lines.append(
            f"  {percent(share)} of the multiplies, {len(each.nodes):,} "
            f"{_plural('node', len(each.nodes))} ({named}): {each.why}"
        )
    if len(found) > GROUPS:
        rest = sum(len(each.nodes) for each in found[GROUPS:])
        lines.append(
            f"  {rest:,} {_plural('node', rest)} for {len(found) - GROUPS} other "
            f"{_plural('reason', len(found) - GROUPS)}; `zeroskip report` lists all"
        )
    return lines


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"
