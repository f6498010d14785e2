"""Pruning as text: ``pattern:connectivity=0.5+unstructured:sparsity=0.75,layers=fc*``.

A recipe is one or more schemes joined by ``+``, each with options behind ``:``. A scheme is a pass
and the dataclass of its options (see ``prune_options``); the help and the checks come from there.
"""

from collections.abc import Callable
from typing import Any

from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.pruning.channels import ChannelOptions, PruneChannels
from zeroskip.relay_passes.pruning.options import Options, declared, nearest, refused
from zeroskip.relay_passes.pruning.pattern import PatternOptions, PrunePattern
from zeroskip.relay_passes.pruning.unstructured import PruneUnstructured, UnstructuredOptions

Scheme = tuple[type[Options], Callable[..., Any]]

SCHEMES: dict[str, Scheme] = {
    options.scheme: (options, make)
    for options, make in (
        (PatternOptions, PrunePattern),
        (ChannelOptions, PruneChannels),
        (UnstructuredOptions, PruneUnstructured),
    )
}


def parse_recipe(text: str) -> list[Any]:
    """The passes of a recipe, in order; PassError names what is wrong with it."""
    return [_parse_scheme(part.strip(), text) for part in text.split("+")]


def _parse_scheme(text: str, recipe: str) -> Any:
    name, _, rest = text.partition(":")
    if name not in SCHEMES:
        raise PassError(f"Pruning scheme '{name}' in '{recipe}' is not known; "
                        f"{nearest(name, SCHEMES)}")
    options, make = SCHEMES[name]
    kinds = {key: kind for key, kind, _default in declared(options)}
    values: dict[str, Any] = {}
    for setting in filter(None, (part.strip() for part in rest.split(","))):
        key, equals, value = setting.partition("=")
        if key not in kinds or not equals:
            raise PassError(f"'{setting}' is not an option of pruning scheme '{name}' written as "
                            f"option=value; {nearest(key, kinds)}")
        if key in values:
            raise PassError(f"Pruning option {name}:{key} is given twice in '{recipe}'; "
                            "say it once.")
        try:
            values[key] = kinds[key].parse(value)
        except (ValueError, KeyError):
            raise refused(options, key, kinds[key], value) from None
    return make(**values)


def describe_recipes() -> str:
    """Help on every scheme and option."""
    lines = []
    for name, (options, _make) in SCHEMES.items():
        lines.append(f"{name}: {options.doc}")
        for key, kind, default in declared(options):
            lines.append(f"  {key}: {kind.doc}, {kind.wanted}; default {kind.show(default)}")
    return "\n".join(lines)
