"""A file of the module after every pass of ours, numbered in the order in which they ran."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tvm
import tvm_ffi

from zeroskip.accel_model.io.atomic_write import FileError, write_whole
from zeroskip.relay_passes.relax.passes import is_own

tvm_ffi.register_error(FileError)  # it keeps its class when it is raised inside a pass


class Dump:
    """Numbered text files in a folder that holds nothing else."""

    def __init__(self, folder: str | Path) -> None:
        """Make the folder; FileError if it cannot be made or holds something."""
        self.folder, self.files = Path(folder), 0
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            taken = any(self.folder.iterdir())
        except OSError as problem:
            raise FileError(
                f"{folder}: cannot be a folder of dumps: {problem.strerror or problem}; "
                "name another one"
            ) from None
        if taken:
            raise FileError(f"{folder}: holds files already; name an empty or a new folder")

    def write(self, name: str, text: str) -> None:
        """Write the next file, ``<number>-<name>``."""
        path = self.folder / f"{self.files:02d}-{name}"
        write_whole(path, lambda out: out.write(text.encode()))
        self.files += 1

    def module(self, name: str, mod: tvm.IRModule) -> None:
        """Write a module as Relax text, large constants left out."""
        self.write(f"{name}.relax", str(mod.script(show_meta=False)) + "\n")


@tvm.instrument.pass_instrument
class _AfterPass:
    """Writes what the first pass of ours gets and what each of them gives."""

    def __init__(self, dump: Dump) -> None:
        self.dump = dump

    def run_before_pass(self, mod: tvm.IRModule, info: Any) -> None:
        if self.dump.files == 0 and is_own(info.name):
            self.dump.module("input", mod)

    def run_after_pass(self, mod: tvm.IRModule, info: Any) -> None:
        if is_own(info.name):
            self.dump.module(info.name.removeprefix("zeroskip."), mod)


@contextmanager
def dumping(dump: Dump) -> Iterator[Dump]:
    """Within: every pass of ours leaves a file."""
    with tvm.transform.PassContext(instruments=[_AfterPass(dump)]):
        yield dump
