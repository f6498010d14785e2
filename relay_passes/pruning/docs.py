"""The schemes and their options as Markdown, printed into docs/PRUNING.md from the declarations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from zeroskip.relay_passes.pruning.base.masks import LayerOptions
from zeroskip.relay_passes.pruning.base.options import OptionKind, declared
from zeroskip.relay_passes.pruning.schemes.recipe import SCHEMES

BEGIN = "<!-- schemes: printed by `make docs` -->"
END = "<!-- end of schemes -->"

Declared = tuple[str, OptionKind, Any]


def manual(page: str) -> str:
    """The page with what stands between its marks printed anew."""
    head, begin, rest = page.partition(BEGIN)
    _old, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks the marks {BEGIN} and {END}")
    return f"{head}{BEGIN}\n\n{schemes_text()}\n{END}{tail}"


def schemes_text() -> str:
    """A table of the schemes, then one of options for each."""
    lines = ["| scheme | in short | paper |", "|---|---|---|"]
    lines += [
        f"| [`{name}`](#{name}) | {options.doc} | {options.paper} |"
        for name, (options, _make) in SCHEMES.items()
    ]
    common = declared(LayerOptions)
    shrinking = ", ".join(
        f"`{name}`"
        for name, (options, _make) in SCHEMES.items()
        if not issubclass(options, LayerOptions)
    )
    lines += [
        "",
        f"Every scheme but those that remove channels ({shrinking}) has these options, "
        "with these defaults where nothing else is said below:",
        "",
        *_table(common),
    ]
    for name, (options, make) in SCHEMES.items():
        own = [each for each in declared(options) if each not in common]
        lines += [
            "",
            f"### {name}",
            "",
            f"The pass `{make.__name__}`; `{options.strength}` says how much goes.",
            "",
            *_table(own),
        ]
    return "\n".join(lines) + "\n"


def _table(options: Iterable[Declared]) -> list[str]:
    rows = [
        f"| `{name}` | {kind.doc} | {kind.wanted} | {kind.show(default)} |".replace(
            "joined by |", "joined by \\|"
        )
        for name, kind, default in options
    ]
    return ["| option | meaning | value | default |", "|---|---|---|---|", *rows]
