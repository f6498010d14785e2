"""Pruning recipes: which schemes with which options, one after the other.

As text, schemes joined by ``+``, each with options behind ``:``

    channels:ratio=0.25,layers=conv1*|conv2*+pattern:connectivity=0.5

as a TOML file, whose name ends in ``.toml``

    [[prune]]
    scheme = "channels"
    ratio = 0.25
    layers = ["conv1*", "conv2*"]

    [[prune]]
    scheme = "pattern"
    connectivity = 0.5

or as values in Python: ``[ChannelOptions(0.25), PatternOptions(connectivity=0.5)]``. All of them
become option values (``read_recipe``). A later scheme sees what the earlier ones left.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeAlias

from zeroskip.accel_model.io.toml_file import read_toml_text
from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.pruning.activations.statistics import Samples
from zeroskip.relay_passes.pruning.base.options import Options, brief, declared, nearest, refused
from zeroskip.relay_passes.pruning.schemes.blocks import (
    BlockOptions,
    KernelGroupOptions,
    PruneBlocks,
    PruneKernelGroups,
    PruneShapes,
    ShapeOptions,
)
from zeroskip.relay_passes.pruning.schemes.channels import (
    ChannelOptions,
    FilterOptions,
    PruneChannels,
    PruneFilters,
)
from zeroskip.relay_passes.pruning.schemes.low_rank import DecomposeLowRank, LowRankOptions
from zeroskip.relay_passes.pruning.schemes.n_of_m import (
    GroupOptions,
    NmOptions,
    PruneGroups,
    PruneNm,
)
from zeroskip.relay_passes.pruning.schemes.pattern import PatternOptions, PrunePattern
from zeroskip.relay_passes.pruning.schemes.unstructured import (
    PruneUnstructured,
    UnstructuredOptions,
)

Scheme = tuple[type[Options], Callable[..., Any]]
Recipe: TypeAlias = str | Path | Sequence[Options]

SCHEMES: dict[str, Scheme] = {
    options.scheme: (options, make)
    for options, make in (
        (PatternOptions, PrunePattern),
        (ChannelOptions, PruneChannels),
        (FilterOptions, PruneFilters),
        (LowRankOptions, DecomposeLowRank),
        (UnstructuredOptions, PruneUnstructured),
        (NmOptions, PruneNm),
        (GroupOptions, PruneGroups),
        (ShapeOptions, PruneShapes),
        (BlockOptions, PruneBlocks),
        (KernelGroupOptions, PruneKernelGroups),
    )
}

TABLE = "prune"  # of a TOML recipe: one for each scheme
FILE = ".toml"


def parse_recipe(recipe: Recipe, samples: Samples | None = None) -> list[Any]:
    """The passes of a recipe, in order; PassError names what is wrong with it.

    samples: input -> float32 [n, ...], for the schemes that look at some."""
    return [pass_of(options, samples) for options in read_recipe(recipe)]


def read_recipe(recipe: Recipe) -> tuple[Options, ...]:
    """The option values of a recipe: a text, a TOML file's path or option values themselves."""
    if isinstance(recipe, Path) or (
        isinstance(recipe, str) and recipe.endswith(FILE) and ":" not in recipe
    ):
        return tuple(_of_file(Path(recipe)))
    if isinstance(recipe, str):
        return tuple(_of_text(recipe))
    for each in recipe:
        if not isinstance(each, Options):
            raise PassError(
                f"A pruning recipe in Python is a sequence of options, such as "
                f"PatternOptions(connectivity=0.5), not of {type(each).__name__}."
            )
    return tuple(recipe)


@dataclass(frozen=True)
class _Entry:
    """One scheme of a recipe as it was written. settings: names and values, as text or as TOML has
    them. folder: where file names begin."""

    scheme: str
    settings: Mapping[str, Any]
    folder: Path = Path()

    def read(self) -> Options:
        """The options that it stands for."""
        if self.scheme not in SCHEMES:
            raise PassError(
                f"Pruning scheme '{brief(self.scheme)}' is not known; "
                f"{nearest(self.scheme, SCHEMES)}"
            )
        options, _make = SCHEMES[self.scheme]
        kinds = {name: kind.within(self.folder) for name, kind, _default in declared(options)}
        values = {}
        for name, value in self.settings.items():
            if name not in kinds:
                raise PassError(
                    f"'{brief(name)}' is not an option of pruning scheme "
                    f"'{self.scheme}'; {nearest(name, kinds)}"
                )
            try:
                values[name] = kinds[name].parse(value) if isinstance(value, str) else value
            except (ValueError, KeyError):
                raise refused(options, name, kinds[name], value) from None
        return options(**values)


def _of_text(recipe: str) -> Iterator[Options]:
    for part in recipe.split("+"):
        scheme, _, rest = part.strip().partition(":")
        settings: dict[str, str] = {}
        for setting in filter(None, (each.strip() for each in rest.split(","))):
            name, equals, value = setting.partition("=")
            if not equals:
                raise PassError(
                    f"'{brief(setting)}' is not an option of pruning scheme "
                    f"'{brief(scheme)}' written as option=value."
                )
            if name in settings:
                raise PassError(
                    f"Pruning option {brief(scheme)}:{brief(name)} is given twice; say it once."
                )
            settings[name] = value
        yield _Entry(scheme, settings).read()


def _of_file(path: Path) -> Iterator[Options]:
    content, text = read_toml_text(path, PassError, "The pruning recipe")
    tables = content.get(TABLE)
    if (
        list(content) != [TABLE]
        or not isinstance(tables, list)
        or not tables
        or not all(isinstance(table, dict) for table in tables)
    ):
        raise PassError(
            f"The pruning recipe '{path}' must hold tables [[{TABLE}]] and nothing "
            f"else, each with a scheme: one of {', '.join(SCHEMES)}."
        )
    lines = [
        number
        for number, line in enumerate(text.splitlines(), 1)
        if re.match(rf"\s*\[\[\s*{TABLE}\s*\]\]", line)
    ]
    for number, table in enumerate(tables):
        settings = dict(table)
        scheme = settings.pop("scheme", None)
        line = f", line {lines[number]}" if len(lines) == len(tables) else ""
        try:
            if not isinstance(scheme, str):
                raise PassError(
                    f'a scheme is missing: say scheme = "{next(iter(SCHEMES))}", or '
                    f"another of {', '.join(SCHEMES)}."
                )
            yield _Entry(scheme, settings, path.parent).read()
        except PassError as refusal:
            raise PassError(f"'{path}', table {number + 1}{line}: {refusal}") from None


def pass_of(options: Options, samples: Samples | None = None) -> Any:
    """The pass of a scheme."""
    _kind, make = SCHEMES[options.scheme]
    given = {each.name: getattr(options, each.name) for each in fields(options)}
    return make(**given, samples=samples) if options.needs_samples else make(**given)


def schemes() -> list[str]:
    """Names of the pruning schemes."""
    return list(SCHEMES)


def describe_recipes() -> str:
    """Help on every scheme and option."""
    lines = []
    for name, (options, _make) in SCHEMES.items():
        lines.append(f"{name}: {options.doc}")
        for key, kind, default in declared(options):
            lines.append(f"  {key}: {kind.doc}, {kind.wanted}; default {kind.show(default)}")
    return "\n".join(lines)
