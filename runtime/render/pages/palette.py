"""What has which colour, in light and in dark: one meaning each on a page.

Charts that name what they draw beside it (units, memories, energy) do without colours of their own.
Causes follow Okabe and Ito's palette, which the colour-blind can tell apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

SURFACES: dict[str, tuple[str, str]] = {  # name: in light, in dark
    "page": ("#fbfbfa", "#14171b"),
    "panel": ("#ffffff", "#1b1f25"),
    "ink": ("#1d2127", "#e6e9ed"),
    "soft": ("#5c6570", "#9aa4b0"),
    "line": ("#e1e4e8", "#2e343c"),
    "stripe": ("#cfd4da", "#3c444e"),
    "mark": ("#11151a", "#ffffff"),
    "accent": ("#0b6bcb", "#6cb2ff"),
}
REPORT: dict[str, tuple[str, str]] = {  # meanings on a report's page
    "paid": ("#b9c2cc", "#4a545f"),
    "imbalance": ("#e69f00", "#e69f00"),
    "ragged": ("#c9b200", "#d8cb3c"),
    "zeros": ("#cc79a7", "#cc79a7"),
    "fetch": ("#56b4e9", "#7cc8f2"),
    "drain": ("#0072b2", "#2f86c9"),
    "work": ("#009e73", "#2bb98c"),
    "waiting": ("#d55e00", "#ee6d22"),
    "bus": ("#8a63d2", "#a98be6"),
    "inputs": ("#5e3510", "#8d5524"),
    "weights": ("#a9743f", "#bd8f60"),
    "outputs": ("#dcc3a1", "#eadbc3"),
    "unit": ("#34466b", "#8296c6"),
    "memory": ("#8798c0", "#55679a"),
}
SERIES = 12  # colours of schemes, on a comparison's page
COMPARISON: dict[str, tuple[str, str]] = {
    "series-0": SURFACES["mark"],
    **{
        f"series-{number}": REPORT[name]
        for number, name in enumerate(
            (
                "drain",
                "waiting",
                "work",
                "zeros",
                "imbalance",
                "fetch",
                "bus",
                "ragged",
                "weights",
                "unit",
                "outputs",
            ),
            1,
        )
    },
}
_VARIABLE = re.compile(r"var\(--([\w-]+)\)")


def variables() -> str:
    """The style sheet's custom properties."""
    every = {**SURFACES, **REPORT, **COMPARISON}
    light, dark = (
        "".join(f" --{name}: {pair[theme]};" for name, pair in every.items()) for theme in (0, 1)
    )
    return (
        f":root {{ color-scheme: light dark;{light} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{{dark} }} }}\n"
    )


def fills() -> str:
    """A class for each meaning: of a box its background, of a shape its filling."""
    return "".join(
        f".{name} {{ background: var(--{name}); }} "
        f":is(rect, circle, path).{name} {{ fill: var(--{name}); }}\n"
        for name in (*REPORT, *COMPARISON)
    ) + "".join(f"polyline.{name} {{ stroke: var(--{name}); }}\n" for name in COMPARISON)


def series_of(names: Iterable[str]) -> dict[str, int]:
    """The number of each name's colour, in their order; the last colour is that of all for which
    there is none."""
    return {name: min(n, SERIES - 1) for n, name in enumerate(dict.fromkeys(names))}


def series_legend(series: Mapping[str, int]) -> list[tuple[str, str]]:
    """Colours (classes of the style sheet) and the names that have them."""
    names: dict[str, list[str]] = {}
    for name, number in series.items():
        names.setdefault(f"series-{number}", []).append(name)
    return [(color, ", ".join(shared)) for color, shared in names.items()]


def resolved(css: str) -> str:
    """A style sheet for programs that know no custom properties, in the light colours."""
    every = {**SURFACES, **REPORT, **COMPARISON}
    return _VARIABLE.sub(lambda found: every[found[1]][0], css).replace(
        ":is(rect, circle, path).", "."
    )
