"""Float weights that a network's file refers to: those of the ONNX file it was compiled from.

The float network is only what ``validate`` takes the signal-to-noise against, and four times as
large as the integers that run. A file of a large network has the digests of its weights in their
place, and where the model was; importing that again gives the same weights, to the bit, or it is
another model. What pruning changed is in no model and stays in the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zeroskip.accel_model.io.validate import checked_int, checked_text
from zeroskip.compiler.errors import CompileError

LARGE = 64 << 20  # bytes of float weights from which a network's file refers to them
REMEDY = "give the model that it was compiled from with --model, or compile it again"


def _not_loaded(_weights: Mapping[str, Any]) -> Any:
    raise ValueError("only a network that was loaded refers to float weights")


@dataclass(frozen=True, eq=False)
class FloatSource:
    """Where float weights are.

    model: the ONNX file, as it was named to ``compile``; shapes: sizes of inputs that it leaves
    open, as they were given. weights: of the network's float module, by the names that members of
    its file have (their content's digest). network: the file that refers to them, and load: its
    float module with these weights, constants of Relax by those names; of a network that was
    loaded.
    """

    model: str
    shapes: Mapping[str, tuple[int, ...]]
    weights: frozenset[str]
    network: str = ""
    load: Callable[[Mapping[str, Any]], Any] = field(default=_not_loaded)

    def to_table(self) -> dict[str, Any]:
        return {
            "file": self.model,
            "shapes": {name: list(sizes) for name, sizes in self.shapes.items()},
            "weights": sorted(self.weights),
        }

    @staticmethod
    def from_table(
        table: Mapping[str, Any], network: str, load: Callable[[Mapping[str, Any]], Any]
    ) -> FloatSource:
        """The source of ``to_table``; ValueError, TypeError or KeyError for anything else."""
        return FloatSource(
            checked_text(table["file"], "file"),
            {
                checked_text(name, "shapes"): tuple(checked_int(n, "shapes", 1) for n in sizes)
                for name, sizes in table["shapes"].items()
            },
            frozenset(checked_text(name, "weights") for name in table["weights"]),
            network,
            load,
        )

    def found(self) -> Path:
        """The model where it was, or beside the network's file. CompileError if it is at
        neither."""
        named = Path(self.model)
        for path in (named, Path(self.network).with_name(named.name)):
            if path.is_file():
                return path
        raise self.refusal(f"is at neither '{named}' nor beside it")

    def refusal(self, why: str) -> CompileError:
        """One sentence: the model is missing, or another one."""
        return CompileError(
            f"{self.network}: its float weights are those of '{Path(self.model).name}', which {why}; "
            f"{REMEDY}"
        )
