"""Plans: how one operation is cut into tiles and ordered."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class ConvPlan:
    """How a convolution is cut and ordered.

    ``filters``, ``rows``, ``cols`` and ``channels`` are the sizes of a tile (channels: of a chunk
    of the reduction); ``outer`` is what stays longest: 'weights' or 'pixels'; ``keep_input`` holds
    the whole input on chip while the filters pass over it.
    """

    gang: int
    filters: int
    rows: int
    cols: int
    channels: int
    outer: str
    keep_input: bool
    cycles: int

    def __str__(self) -> str:
        kept = ", input kept" if self.keep_input else ""
        return (f"filters {self.filters} x rows {self.rows} x cols {self.cols} x channels "
                f"{self.channels}, gang {1 << self.gang}, {self.outer} outer{kept}")


@dataclass(frozen=True)
class ChannelPlan:
    """How an operation that treats channels alike is cut: depthwise, pools, add, copies."""

    channels: int
    rows: int
    cols: int

    def __str__(self) -> str:
        return f"channels {self.channels} x rows {self.rows} x cols {self.cols}"


Plan: TypeAlias = ConvPlan | ChannelPlan


def plan_text(node: str, plan: Plan) -> str:
    """A plan as one line of JSON, with the node it is for."""
    return json.dumps({"node": node, **asdict(plan)})


def read_plan(text: str) -> Plan:
    """The plan of one line of JSON."""
    fields = json.loads(text)
    fields.pop("node")
    return ConvPlan(**fields) if "gang" in fields else ChannelPlan(**fields)
