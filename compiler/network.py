"""A compiled network and its file.

The file is an uncompressed zip: ``manifest.json``, the programs (each a zip of its own), the Relax
modules as TVM's JSON, and every large constant of theirs as a raw ``.npy``, stored once however
often it is used. No pickle, no code. The manifest has the SHA-256 of every member and is sealed
itself, so a file that was cut or altered is refused in one sentence.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from zeroskip.accel_model.program import Program, ProgramError
from zeroskip.accel_model.spec import AccelSpec, spec_from_table
from zeroskip.compiler.direct import DirectPlan
from zeroskip.compiler.errors import CompileError

FORMAT = 1
MODULES = ("host", "reference", "floating")


class NetworkError(CompileError):
    """A network file that cannot be used; says what is wrong and what to do."""


@dataclass(frozen=True)
class Port:
    """An input or output. ``variable`` is its name in the Relax module (inputs only)."""

    name: str
    variable: str
    shape: tuple[int, ...]
    dtype: str


Loader: TypeAlias = Callable[[], Any]


@dataclass(frozen=True, eq=False)
class Network:
    """A network ready to run.

    host: the module whose ``main`` calls the programs; reference: the same in integer TVM ops, each
    region a function of its own that returns the results of all its layers; floating: the network
    before quantisation; these three are IRModules or functions that load one. cpu: nodes that stay
    on the CPU, and why. results: of each region's outputs, which of its layers made them. direct:
    how to run without TVM, where the host only quantises.
    """

    name: str
    spec: AccelSpec
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    host: Any
    programs: dict[str, Program]
    reference: Any
    floating: Any
    cpu: dict[str, str]
    results: dict[str, list[int]]
    direct: DirectPlan | None = field(default=None)

    @cached_property
    def host_module(self) -> Any:
        return _module(self.host)

    @cached_property
    def reference_module(self) -> Any:
        return _module(self.reference)

    @cached_property
    def floating_module(self) -> Any:
        return _module(self.floating)

    def save(self, path: str | Path) -> None:
        """Write the file, whole or not at all."""
        from zeroskip.compiler.modules import dump_module

        members: dict[str, bytes] = {}
        for name, program in self.programs.items():
            members[f"programs/{name}.zip"] = program.to_bytes()
        for name, module in zip(MODULES, (self.host_module, self.reference_module,
                                          self.floating_module), strict=True):
            members.update(dump_module(name, module))
        manifest: dict[str, Any] = {
            "format": FORMAT, "name": self.name, "spec": asdict(self.spec),
            "inputs": [asdict(port) for port in self.inputs],
            "outputs": [asdict(port) for port in self.outputs],
            "programs": list(self.programs), "cpu": self.cpu,
            "results": self.results,
            "direct": None if self.direct is None else self.direct.to_table(),
            "sha256": {name: hashlib.sha256(raw).hexdigest() for name, raw in members.items()},
        }
        manifest["seal"] = _seal(manifest)
        write_whole(path, lambda out: _write_zip(out, manifest, members))

    @staticmethod
    def load(path: str | Path) -> Network:
        """The network in a file; NetworkError if it is not exactly what ``save`` wrote."""
        try:
            box = zipfile.ZipFile(path)
            head = json.loads(box.read("manifest.json"))
        except OSError as problem:
            raise NetworkError(f"{path}: cannot be read: {problem.strerror or problem}") from None
        except (zipfile.BadZipFile, KeyError, ValueError, NotImplementedError, RecursionError):
            raise NetworkError(f"{path}: is not a compiled network, or is truncated or altered; "
                               "compile it again") from None
        try:
            return _read(box, head, str(path))
        except (KeyError, TypeError, ValueError, AttributeError, zipfile.BadZipFile) as problem:
            raise NetworkError(f"{path}: its manifest is not usable ({problem}); compile it again"
                               ) from None


def _read(box: zipfile.ZipFile, head: dict[str, Any], path: str) -> Network:
    if head["format"] != FORMAT:
        raise NetworkError(f"{path}: has format {head['format']}, this version reads {FORMAT}; "
                           "compile it again")
    seal = head.pop("seal")
    if seal != _seal(head) or set(box.namelist()) != {"manifest.json", *head["sha256"]}:
        raise NetworkError(f"{path}: was altered after it was written; compile it again")
    _check_members(box, head["sha256"], path)
    spec = spec_from_table(head["spec"], path)
    try:
        programs = {name: Program.from_bytes(box.read(f"programs/{name}.zip"))
                    for name in head["programs"]}
    except ProgramError as problem:
        raise NetworkError(f"{path}: {problem}") from None
    for program in programs.values():
        if program.fingerprint != spec.fingerprint:
            raise NetworkError(f"{path}: holds a program made for another description of "
                               f"{spec.name}; compile it again")

    def loader(name: str) -> Loader:
        def load() -> Any:
            from zeroskip.compiler.modules import load_module

            with zipfile.ZipFile(path) as again:
                return load_module(name, again.read)

        return load

    ports = {side: tuple(Port(**{**port, "shape": tuple(port["shape"])}) for port in head[side])
             for side in ("inputs", "outputs")}
    direct = None if head["direct"] is None else DirectPlan.from_table(head["direct"])
    host, reference, floating = (loader(name) for name in MODULES)
    return Network(str(head["name"]), spec, ports["inputs"], ports["outputs"], host, programs,
                   reference, floating, dict(head["cpu"]), dict(head["results"]), direct)


def _check_members(box: zipfile.ZipFile, digests: dict[str, str], path: str) -> None:
    for name, digest in digests.items():
        try:
            intact = hashlib.sha256(box.read(name)).hexdigest() == digest
        except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError):
            intact = False
        if not intact:
            raise NetworkError(f"{path}: member {name} was altered after it was written; "
                               "compile it again")


def _module(held: Any) -> Any:
    return held() if callable(held) and not hasattr(held, "functions") else held


def _seal(manifest: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _write_zip(out: io.BufferedWriter, manifest: dict[str, Any],
               members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as box:
        for name, raw in {"manifest.json": json.dumps(manifest, indent=1).encode(),
                          **members}.items():
            box.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), raw)


def write_whole(path: str | Path, write: Callable[[Any], None]) -> None:
    """Write a file through a temporary neighbour: there is never a part of it under its name."""
    target = Path(path)
    try:
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.",
                                         delete=False) as out:
            try:
                write(out)
                out.flush()
                os.fsync(out.fileno())
                os.chmod(out.name, 0o666 & ~_umask())
                os.replace(out.name, target)
            except BaseException:
                os.unlink(out.name)
                raise
    except OSError as problem:
        raise NetworkError(f"{path}: cannot be written: {problem.strerror or problem}") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def npy_bytes(array: np.ndarray) -> bytes:
    """An array as the bytes of an .npy file."""
    out = io.BytesIO()
    np.save(out, np.ascontiguousarray(array), allow_pickle=False)
    return out.getvalue()
