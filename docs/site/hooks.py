"""What mkdocs is told beside mkdocs.yml: pages that lie outside of docs/, and those of no
section."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
OUTSIDE = {"../benchmarks/RESULTS.md": "RESULTS.md", "../CONTRIBUTING.md": "CONTRIBUTING.md"}
REST = "More"  # the section of pages that the nav does not name
HIDDEN = {"index.md"}


def on_files(files: Files, config: Any) -> Files:
    """Add the pages outside, and a section of all that have none."""
    for path, name in OUTSIDE.items():
        text = (ROOT / "docs" / path).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=_from_root(text)))
    named = set(_pages(config.nav))
    rest = [file.src_uri for file in files.documentation_pages() if file.src_uri not in named]
    if rest:
        config.nav.append({REST: sorted(rest)})
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead links out of docs/ to the pages that stand for them."""
    up = "../" * page.file.src_uri.count("/")
    for path, name in OUTSIDE.items():
        markdown = markdown.replace(f"({path}", f"({up}{name}")
    return markdown


def _from_root(text: str) -> str:
    """A page of another folder, its links as from docs/."""
    return text.replace("(docs/", "(").replace("(../docs/", "(")


def _pages(nav: Any) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    parts = nav.values() if isinstance(nav, dict) else nav
    return [page for part in parts for page in _pages(part)]
