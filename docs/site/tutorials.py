"""Code of the tutorials, printed from the scripts in examples/ that tests run.

    python -m docs.site.tutorials

In a page, ``<!-- examples/FILE SECTION -->`` .. ``<!-- / -->`` holds a section of a file, from the
line ``# --- SECTION ---`` to the next such line; without a section, the whole file.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = tuple(sorted((ROOT / "docs" / "tutorials").glob("*.md")))
LANGUAGES = {".py": "python", ".toml": "toml"}
_MARKS = re.compile(r"(<!-- (examples/\S+)(?: (\w+))? -->\n)(.*?)(<!-- / -->)", re.DOTALL)


def filled(page: str) -> str:
    """The page with its code anew; OSError or KeyError for a file or section that is not there."""
    return _MARKS.sub(lambda found: f"{found[1]}{_block(found[2], found[3])}{found[5]}", page)


def _block(path: str, section: str | None) -> str:
    text = (ROOT / path).read_text(encoding="utf-8")
    if section is not None:
        text = sections(text)[section]
    return f"\n```{LANGUAGES[Path(path).suffix]}\n{text.strip()}\n```\n\n"


def sections(script: str) -> dict[str, str]:
    """The parts of a script by their names."""
    parts = re.split(r"^# --- (\w+) ---\n", script, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def main() -> None:
    """Print the code of every tutorial anew."""
    for page in PAGES:
        page.write_text(filled(page.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
