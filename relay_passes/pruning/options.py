"""How a pruning pass declares its options: a frozen dataclass whose fields say what they may be.

The fields are the only declaration. A pass checks its arguments by making its options, and the
text of a recipe, its help and its refusals are read from the same fields.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from fnmatch import fnmatchcase
from numbers import Integral, Real
from typing import Any, ClassVar

from tvm import relax

from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.pruning.layers import Prunable, prunables

KIND = "option"


@dataclass(frozen=True)
class Kind:
    """What an option means and which values it takes. unset: what its default None stands for."""

    doc: str
    unset: str = ""

    def parse(self, text: str) -> Any:
        """The value of a text, not yet checked; ValueError if it is none."""
        return text

    def takes(self, value: Any) -> bool:
        return isinstance(value, str) and value != ""

    def show(self, value: Any) -> str:
        """A value as a recipe writes it; of None what it stands for."""
        return self.unset if value is None else str(value)

    @property
    def wanted(self) -> str:
        """What a value must be, as the end of a sentence."""
        return "a text that is not empty"


@dataclass(frozen=True)
class Ratio(Kind):
    """0 <= x < 1."""

    def parse(self, text: str) -> float:
        return float(text)

    def takes(self, value: Any) -> bool:
        return isinstance(value, Real) and 0 <= float(value) < 1

    @property
    def wanted(self) -> str:
        return "a number of at least 0 and below 1"


@dataclass(frozen=True)
class Count(Kind):
    """A whole number from low to high."""

    low: int = 1
    high: int = 1 << 16

    def parse(self, text: str) -> int:
        return int(text)

    def takes(self, value: Any) -> bool:
        return (isinstance(value, Integral) and not isinstance(value, bool)
                and self.low <= int(value) <= self.high)

    @property
    def wanted(self) -> str:
        return f"a whole number from {self.low} to {self.high}"


@dataclass(frozen=True)
class Choice(Kind):
    """One of a few words."""

    words: tuple[str, ...] = ()

    def takes(self, value: Any) -> bool:
        return value in self.words

    @property
    def wanted(self) -> str:
        return f"one of {', '.join(self.words)}"


@dataclass(frozen=True)
class Flag(Kind):
    """yes or no in a recipe, a bool in Python."""

    def parse(self, text: str) -> bool:
        return {"yes": True, "no": False}[text]

    def takes(self, value: Any) -> bool:
        return isinstance(value, bool)

    def show(self, value: Any) -> str:
        return "yes" if value else "no"

    @property
    def wanted(self) -> str:
        return "yes or no"


@dataclass(frozen=True)
class KernelSize(Kind):
    """``3x3`` in a recipe, (3, 3) in Python; of a matmul ``1``."""

    def parse(self, text: str) -> tuple[int, ...]:
        return tuple(int(size) for size in text.split("x"))

    def takes(self, value: Any) -> bool:
        return isinstance(value, tuple) and all(
            isinstance(size, Integral) and 1 <= int(size) <= 1 << 12 for size in value)

    def show(self, value: Any) -> str:
        return self.unset if value is None else "x".join(map(str, value))

    @property
    def wanted(self) -> str:
        return "sizes such as 3x3"


def option(default: Any, kind: Kind) -> Any:
    """A field of ``Options``; a default of None means what ``kind.unset`` says."""
    return field(default=default, metadata={KIND: kind})


def layers_option() -> Any:
    """The option that every scheme has: which layers it may touch."""
    return option("*", Kind("glob on ONNX node names"))


@dataclass(frozen=True)
class Options:
    """The base of a scheme's options. scheme: its name in a recipe. doc: one line of help.
    strength: the option that says how much is removed, which a budget may choose per layer.

    Making one with a value that its field does not take raises PassError.
    """

    scheme: ClassVar[str]
    doc: ClassVar[str]
    strength: ClassVar[str]

    def __post_init__(self) -> None:
        for name, kind, default in declared(type(self)):
            value = getattr(self, name)
            if not kind.takes(value) and not (value is None and default is None):
                raise refused(type(self), name, kind, value)


def declared(options: type[Options]) -> list[tuple[str, Kind, Any]]:
    """Name, kind and default of each option, in order."""
    return [(each.name, each.metadata[KIND], each.default) for each in fields(options)]


def refused(options: type[Options], name: str, kind: Kind, value: Any) -> PassError:
    """What to raise for a value that an option does not take."""
    text = str(value)
    shown = text if len(text) <= 40 else f"{text[:40]}..."
    return PassError(f"Pruning option {options.scheme}:{name}={shown} must be {kind.wanted} "
                     f"({kind.doc}).")


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint at the name that was meant."""
    names = list(known)
    close = get_close_matches(name, names, n=1)
    return f"did you mean '{close[0]}'?" if close else f"there are {', '.join(names)}"


def kernel_option() -> Any:
    """The option of schemes for layers of some kernel sizes."""
    return option(None, KernelSize("only layers of this kernel size", unset="any"))


def chosen_layers(func: relax.Function, options: Options, glob: str) -> list[Prunable]:
    """The layers whose node matches ``glob``; PassError for a glob other than * that fits none."""
    every = prunables(func)
    chosen = [layer for layer in every if fnmatchcase(layer.node, glob)]
    if not chosen and glob != "*":
        raise no_such_layer(options, [layer.node for layer in every])
    return chosen


def no_such_layer(options: Options, nodes: Sequence[str]) -> PassError:
    """What to raise for layers that the model does not have: names the nearest ones."""
    glob = str(getattr(options, "layers", ""))
    close = get_close_matches(glob, nodes, n=3, cutoff=0.3) or list(nodes[:3])
    names = ", ".join(f"'{name}'" for name in close)
    hint = f"; names there are {names}" if close else ""
    return PassError(f"Pruning option {options.scheme}:layers={glob} matches no convolution or "
                     f"matmul of the model{hint}.")
