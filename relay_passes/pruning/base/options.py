"""How a pruning pass declares its options: a frozen dataclass whose fields say what they may be.

The fields are the only declaration. A pass checks its arguments by making its options, and the
text of a recipe, its help and its refusals are read from the same fields.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ClassVar, Self

from tvm import relax

from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.pruning.base.layers import Globs, PrunableLayer, matches, prunable_layers

KIND = "option"
LONGEST = 40  # characters of what a user wrote, in a refusal
EVERY = "*"  # the glob that stands for all layers


@dataclass(frozen=True)
class OptionKind:
    """What an option means and which values it takes. unset: what its default None stands for."""

    doc: str
    unset: str = ""

    def within(self, folder: Path) -> Self:
        """The same for a recipe in a folder: file names of its options begin there."""
        return self

    def parse(self, text: str) -> Any:
        """The value of a text, not yet checked; ValueError if it is none."""
        return text

    def settle(self, value: Any) -> Any:
        """A value as it is kept, not yet checked: one that can be compared and not changed."""
        return tuple(value) if isinstance(value, list) else value

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
class Ratio(OptionKind):
    """0 <= x < 1."""

    def parse(self, text: str) -> float:
        return float(text)

    def takes(self, value: Any) -> bool:
        number: Any = value if isinstance(value, Real) and not isinstance(value, bool) else -1
        return bool(0 <= number < 1)

    @property
    def wanted(self) -> str:
        return "a number of at least 0 and below 1"


@dataclass(frozen=True)
class Count(OptionKind):
    """A whole number from low to high."""

    low: int = 1
    high: int = 1 << 16

    def parse(self, text: str) -> int:
        return int(text)

    def takes(self, value: Any) -> bool:
        return (
            isinstance(value, Integral)
            and not isinstance(value, bool)
            and self.low <= int(value) <= self.high
        )

    @property
    def wanted(self) -> str:
        return f"a whole number from {self.low} to {self.high}"


@dataclass(frozen=True)
class OneOf(OptionKind):
    """One of a few words."""

    words: tuple[str, ...] = ()

    def takes(self, value: Any) -> bool:
        return value in self.words

    @property
    def wanted(self) -> str:
        return f"one of {', '.join(self.words)}"


@dataclass(frozen=True)
class Flag(OptionKind):
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
class Sizes(OptionKind):
    """``3x3`` in a recipe, (3, 3) in Python; count: how many, if it matters."""

    count: int | None = None

    def parse(self, text: str) -> tuple[int, ...]:
        return tuple(int(size) for size in text.split("x"))

    def takes(self, value: Any) -> bool:
        return (
            isinstance(value, tuple)
            and len(value) in (self.count or len(value), 0)
            and all(isinstance(size, Integral) and 1 <= int(size) <= 1 << 12 for size in value)
        )

    def show(self, value: Any) -> str:
        return self.unset if value is None else "x".join(map(str, value))

    @property
    def wanted(self) -> str:
        return "sizes such as 3x3" if self.count is None else f"{self.count} sizes such as 16x16"


@dataclass(frozen=True)
class Nodes(OptionKind):
    """``conv*`` or, any of several, ``conv*|fc``; in Python a text is one glob, a tuple several."""

    def parse(self, text: str) -> Globs:
        return tuple(text.split("|")) if "|" in text else text

    def takes(self, value: Any) -> bool:
        each = value if isinstance(value, tuple) else (value,)
        return bool(each) and all(isinstance(glob, str) and glob for glob in each)

    def show(self, value: Any) -> str:
        return value if isinstance(value, str) else "|".join(value)

    @property
    def wanted(self) -> str:
        return "globs joined by |, each not empty"


def option(default: Any, kind: OptionKind) -> Any:
    """A field of ``Options``; a default of None means what ``kind.unset`` says."""
    return field(default=default, metadata={KIND: kind})


def layers_option() -> Any:
    """The option that every scheme has: which layers it may touch."""
    return option(EVERY, Nodes("names of ONNX nodes"))


@dataclass(frozen=True)
class Options:
    """The base of a scheme's options. scheme: its name in a recipe. doc: one line of help.
    paper: where the scheme comes from. strength: the option that says how much is removed, which a
    budget may choose per layer.

    Making one with a value that its field does not take raises PassError.
    """

    scheme: ClassVar[str]
    doc: ClassVar[str]
    paper: ClassVar[str] = ""
    strength: ClassVar[str]

    def __post_init__(self) -> None:
        for name, kind, default in declared(type(self)):
            value = kind.settle(getattr(self, name))
            object.__setattr__(self, name, value)
            if not kind.takes(value) and not (value is None and default is None):
                raise refused(type(self), name, kind, value)

    def __str__(self) -> str:
        """As a recipe writes it, without what is the default."""
        settings = [
            f"{name}={kind.show(getattr(self, name))}"
            for name, kind, default in declared(type(self))
            if getattr(self, name) != default
        ]
        return ":".join(filter(None, (self.scheme, ",".join(settings))))

    @property
    def needs_samples(self) -> bool:
        """Whether the scheme looks at sample inputs: its pass then takes them as ``samples``."""
        return False

    def with_strength(self, strength: float) -> Self:
        """These options with another ratio of what the scheme removes: what a budget varies."""
        return replace(self, **{self.strength: strength})


def declared(options: type[Options]) -> list[tuple[str, OptionKind, Any]]:
    """Name, kind and default of each option, the scheme's own before those that many have."""
    lineage = options.__mro__

    def home(name: str) -> int:
        return next(at for at, each in enumerate(lineage) if name in each.__annotations__)

    own_first = sorted(fields(options), key=lambda each: home(each.name))
    return [(each.name, each.metadata[KIND], each.default) for each in own_first]


def refused(options: type[Options], name: str, kind: OptionKind, value: Any) -> PassError:
    """What to raise for a value that an option does not take."""
    return PassError(
        f"Pruning option {options.scheme}:{name}={brief(value)} must be {kind.wanted} ({kind.doc})."
    )


def brief(value: Any) -> str:
    """What a user wrote, short enough to stand in a sentence."""
    text = hex(value) if isinstance(value, int) and abs(value) >= 1 << 64 else str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint at the name that was meant."""
    names = list(known)
    close = get_close_matches(name, names, n=1)
    return f"did you mean '{close[0]}'?" if close else f"there are {', '.join(names)}"


def kernel_option() -> Any:
    """The option of schemes for layers of some kernel sizes."""
    return option(None, Sizes("only layers of this kernel size", unset="any"))


def chosen_layers(func: relax.Function, options: Options, globs: Globs) -> list[PrunableLayer]:
    """The layers whose node matches; PassError for a glob other than * that fits none."""
    every = prunable_layers(func)
    for glob in (globs,) if isinstance(globs, str) else globs:
        if glob != EVERY and not any(matches(layer.node, glob) for layer in every):
            raise _no_such_layer(options, glob, [layer.node for layer in every])
    return [layer for layer in every if matches(layer.node, globs)]


def _no_such_layer(options: Options, glob: str, nodes: Sequence[str]) -> PassError:
    close = get_close_matches(glob, nodes, n=3, cutoff=0.3) or list(nodes[:3])
    names = ", ".join(f"'{name}'" for name in close)
    hint = f"; names there are {names}" if close else ""
    return PassError(
        f"Pruning option {options.scheme}:layers={brief(glob)} matches no convolution "
        f"or matmul of the model{hint}."
    )
