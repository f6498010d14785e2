"""What ``zeroskip compile --emit`` shows: a stage as text, or a folder with all of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from zeroskip.compiler.stages import Stages

STAGES = {  # and file endings
    "relax": "relax",
    "layers": "txt",
    "schedule": "txt",
    "asm": "asm",
    "mlir": "mlir",
    "tosa": "mlir",
}
ALL = "all"
EMIT = (*STAGES, ALL)


def check_emit(emit: str | None, folder: Path | None) -> None:
    """UsageError unless a folder is given for ``--emit=all`` and for nothing else."""
    if (emit == ALL) != (folder is not None):
        raise click.UsageError("--emit=all and --emit-folder go together: give both or neither")


def stage_text(stages: Stages, stage: str) -> str:
    """A stage of a compile as text."""
    from zeroskip.compiler.mlir.program_text import programs_text
    from zeroskip.compiler.passes import assembly_text, layers_text, schedule_text, tosa_text

    texts: dict[str, Callable[[], str]] = {
        "relax": lambda: str(stages.scheduled.script(show_meta=False)),
        "layers": lambda: layers_text(stages.partitioned),
        "schedule": lambda: schedule_text(stages.scheduled),
        "asm": lambda: "\n".join(
            f"# region {name}\n{assembly_text(program)}"
            for name, program in stages.programs.items()
        ),
        "tosa": lambda: tosa_text(stages.partitioned),
        "mlir": lambda: programs_text(stages.programs.values()),
    }
    return texts[stage]().rstrip("\n") + "\n"


@contextmanager
def emitting(emit: str, folder: Path | None) -> Iterator[Callable[[Stages], str]]:
    """Within: passes leave their modules in the folder, if there is one. What it gives turns the
    stages into the text to print, and writes the other stages behind the passes; a warning names
    one that has no text."""
    if folder is None:
        yield lambda stages: stage_text(stages, emit)
        return
    from zeroskip.compiler.mlir.program_text import MlirError
    from zeroskip.relay_passes.relax.dump import Dump, dumping

    def finish(stages: Stages) -> str:
        for stage, ending in STAGES.items():
            try:
                text = stage_text(stages, stage)
            except MlirError as problem:
                warnings.warn(
                    f"{stage} is not among the files: {problem}", RuntimeWarning, stacklevel=2
                )
                continue
            dump.write(f"{stage}.{ending}", text)
        return f"{dump.files} files in {folder}"

    with dumping(Dump(folder)) as dump:
        yield finish
