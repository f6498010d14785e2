"""Pruning as text: ``pattern:connectivity=0.5+unstructured:sparsity=0.75,layers=fc*``.

A recipe is one or more schemes joined by ``+``, each with options behind ``:``. Schemes and options
are declared once, in ``SCHEMES``; the help and the checks come from there.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.prune_channels import PruneChannels
from zeroskip.relay_passes.prune_magnitude import PruneUnstructured
from zeroskip.relay_passes.prune_pattern import PrunePattern


@dataclass(frozen=True)
class Option:
    """An option: what it means and what it may be."""

    doc: str

    def parse(self, text: str) -> Any:
        """The value of a text; ValueError says what it must be."""
        return text


@dataclass(frozen=True)
class Ratio(Option):
    """0 <= x < 1."""

    def parse(self, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise ValueError("a number") from None
        if not 0 <= value < 1:
            raise ValueError("at least 0 and below 1")
        return value


@dataclass(frozen=True)
class Count(Option):
    """A whole number."""

    low: int = 1
    high: int = 1 << 16

    def parse(self, text: str) -> int:
        if not text.isdecimal() or not self.low <= int(text) <= self.high:
            raise ValueError(f"a whole number from {self.low} to {self.high}")
        return int(text)


@dataclass(frozen=True)
class Choice(Option):
    """One of a few words."""

    words: tuple[str, ...] = ()

    def parse(self, text: str) -> str:
        if text not in self.words:
            raise ValueError(f"one of {', '.join(self.words)}")
        return text


@dataclass(frozen=True)
class Flag(Option):
    """yes or no."""

    def parse(self, text: str) -> bool:
        if text not in ("yes", "no"):
            raise ValueError("yes or no")
        return text == "yes"


@dataclass(frozen=True)
class Scheme:
    """A pruning pass and its options."""

    doc: str
    make: Callable[..., Any]
    options: dict[str, Option] = field(default_factory=dict)


_LAYERS = Option("glob on ONNX node names; default *")

SCHEMES: dict[str, Scheme] = {
    "pattern": Scheme(
        "kernel patterns for 3x3 convolutions, whole kernels removed (PCONV, PatDNN)",
        PrunePattern,
        {
            "library": Choice("where patterns come from; default learned",
                              ("learned", "pconv")),
            "patterns": Count("size of the learned library; default 8", 1, 56),
            "connectivity": Ratio("ratio of kernels to remove; default 0"),
            "pointwise": Ratio("the same for 1x1 layers; default: as connectivity"),
            "balance": Choice("where equally many kernels stay; default filter",
                              ("filter", "layer", "global")),
            "skip_first": Flag("leave convolutions that read the input; default yes"),
            "layers": _LAYERS,
        },
    ),
    "channels": Scheme(
        "output channels removed, tensors shrink",
        PruneChannels,
        {
            "ratio": Ratio("ratio of channels to remove; default 0.5"),
            "criterion": Choice("norm that ranks channels; default l1", ("l1", "l2")),
            "round_to": Count("keep a multiple of this many channels; default 1", 1, 1024),
            "layers": _LAYERS,
        },
    ),
    "unstructured": Scheme(
        "weights of least magnitude become zero",
        PruneUnstructured,
        {
            "sparsity": Ratio("ratio of weights to remove; default 0.5"),
            "scope": Choice("what is ranked together; default layer", ("layer", "global")),
            "layers": _LAYERS,
        },
    ),
}


def parse_recipe(text: str) -> list[Any]:
    """The passes of a recipe, in order; PassError names what is wrong with it."""
    return [_parse_scheme(part.strip(), text) for part in text.split("+")]


def _parse_scheme(text: str, recipe: str) -> Any:
    name, _, rest = text.partition(":")
    scheme = SCHEMES.get(name)
    if scheme is None:
        raise PassError(f"pruning scheme '{name}' in '{recipe}' is not known; "
                        f"{_nearest(name, SCHEMES)}")
    values = {}
    for setting in filter(None, (part.strip() for part in rest.split(","))):
        key, equals, value = setting.partition("=")
        if key not in scheme.options or not equals:
            raise PassError(f"'{setting}' is not an option of pruning scheme '{name}'; "
                            f"{_nearest(key, scheme.options)}")
        try:
            values[key] = scheme.options[key].parse(value)
        except ValueError as wanted:
            raise PassError(f"pruning option {name}:{key}={value} must be {wanted} "
                            f"({scheme.options[key].doc})") from None
    return scheme.make(**values)


def _nearest(name: str, known: dict[str, Any]) -> str:
    close = get_close_matches(name, known, n=1)
    return f"did you mean '{close[0]}'?" if close else f"there are {', '.join(known)}"


def describe_recipes() -> str:
    """Help on every scheme and option."""
    lines = []
    for name, scheme in SCHEMES.items():
        lines.append(f"{name}: {scheme.doc}")
        lines += [f"  {key}: {option.doc}" for key, option in scheme.options.items()]
    return "\n".join(lines)
