"""A page of its own: head, style, scripts, and nothing that is fetched from anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

from zeroskip.runtime.render.pages import palette
from zeroskip.runtime.render.pages.elements import Child, Element, page, tag

# Pictures may be in the file itself, nothing may come from elsewhere.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def document(
    title: str, main: Sequence[Child], scripts: Sequence[str], *, command: str = ""
) -> str:
    """The file's text. main: below the title, which stands as the first heading; scripts: names of
    files here; command: the one that made the page, which its last line shows."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("title", f"{title} - zeroskip"),
        tag("style", palette.variables(), palette.fills(), asset("svg.css"), asset("style.css")),
    )
    body = tag(
        "body",
        tag("main", tag("h1", title), *main, _made_by(command)),
        tag("div", id="tip", role="tooltip"),
        *(tag("script", asset(name)) for name in scripts),
    )
    return page(tag("html", head, body, lang="en"))


def _made_by(command: str) -> Element | None:
    return tag("p", "Made by ", tag("code", command), class_="made") if command else None


def asset(name: str) -> str:
    """The text of a file beside this one."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
