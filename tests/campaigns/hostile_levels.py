"""Files of nested levels that were altered, and made to look as if they were not."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tests.campaigns.hostile_networks import use
from tests.campaigns.hostile_programs import change_bytes, change_json
from tests.campaigns.programs import tiny
from tests.runtime.nets import small_net
from zeroskip.accel_model.io.archive import digest, seal, write_zip
from zeroskip.accel_model.spec import load_spec

Rng = np.random.Generator
LEVELS = ("pattern:pointwise=0", "unstructured:sparsity=0.8")


@cache
def levels_file() -> bytes:
    """A network at two levels."""
    from zeroskip.compiler.multi_level import compile_levels

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "net.zsk")
        compile_levels(small_net(), tiny(load_spec("pattern256")), LEVELS).save(path)
        return path.read_bytes()


def warm() -> None:
    for level in range(len(LEVELS)):
        use(levels_file(), everything=True, level=level)


def altered_levels(rng: Rng) -> str:
    """The manifest or parts altered, every digest of a part and the seals made anew."""
    with zipfile.ZipFile(io.BytesIO(levels_file())) as box:
        text = box.read("manifest.json").decode()
        parts = {
            name.rpartition("/")[2]: box.read(name)
            for name in box.namelist()
            if name != "manifest.json"
        }
    for _ in range(int(rng.integers(0, 3))):
        name = list(parts)[rng.integers(len(parts))]
        made = change_bytes(rng, parts.pop(name))
        parts[digest([made])] = made
        text = text.replace(name, digest([made]))
    head = json.loads(text)
    for _ in range(int(rng.integers(0, 3))):
        change_json(rng, head)
    data = _close(head, parts)
    if rng.random() < 0.05:
        data = change_bytes(rng, data)
    return use(data, everything=bool(rng.random() < 0.1), level=int(rng.integers(len(LEVELS))))


def _close(head: dict[str, Any], parts: dict[str, bytes]) -> bytes:
    """The file of a manifest and parts, all of it sealed."""
    head.pop("seal", None)
    try:
        for level in head["levels"]:  # else it cannot be sealed
            level["network"].pop("seal", None)
            level["network"]["seal"] = seal(level["network"])
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
        pass
    try:
        text = json.dumps({**head, "seal": seal(head)}).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        text = b"{}"
    out = io.BytesIO()
    write_zip(
        out, {"manifest.json": [text], **{f"parts/{name}": [part] for name, part in parts.items()}}
    )
    return out.getvalue()
