"""A compiled network and its file.

The file is an uncompressed zip: ``manifest.json``, the programs (each a zip of its own), the Relax
modules as TVM's JSON, and every large constant of theirs as a raw ``.npy``, stored once however
often it is used. No pickle, no code. The manifest has the SHA-256 of every member and is sealed
itself, so a file that was cut or altered is refused in one sentence.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.accel_model.formats import FormatError
from zeroskip.accel_model.io.archive import (
    Chunks,
    digest,
    pieces,
    read_npy,
    read_zip,
    seal,
    write_zip,
)
from zeroskip.accel_model.io.atomic_write import refuse_irregular, write_whole
from zeroskip.accel_model.io.validate import checked_int, checked_text, from_table, short_message
from zeroskip.accel_model.plugins import UnknownKind, require
from zeroskip.accel_model.program.program import Program, ProgramError
from zeroskip.accel_model.spec import AccelSpec, SpecError, spec_from_table
from zeroskip.compiler.artifact.float_source import FloatSource
from zeroskip.compiler.artifact.placement import HostCall, Placement
from zeroskip.compiler.errors import CompileError
from zeroskip.compiler.ir.host_plan import TvmFreeHost

FORMAT = 5
MODULES = ("host", "reference", "floating")
MAX_ELEMENTS = 1 << 28  # of an input or output
MAX_BATCH = 1 << 16


class NetworkError(CompileError):
    """A network file that cannot be used; says what is wrong and what to do."""


@dataclass(frozen=True)
class Port:
    """An input or output. ``variable`` is its name in the Relax module (inputs only)."""

    name: str
    variable: str
    shape: tuple[int, ...]
    dtype: str


Loader: TypeAlias = Callable[..., Any]
Reading: TypeAlias = Callable[[], AbstractContextManager[Callable[[str], bytes]]]


@dataclass(frozen=True, eq=False)
class Network:
    """A network ready to run.

    host: the module whose ``main`` calls the programs; reference: the same in integer TVM ops, each
    region a function of its own that returns the results of all its layers; floating: the network
    before quantization; these three are IRModules or functions that load one. source: of a network
    whose file only refers to its float weights, where these are (``float_source.py``). cpu: nodes
    that stay on the CPU, and why. results: of each region's outputs, which of its layers made them.
    placement: how much is where; host_macs: multiplies of the nodes on the CPU that have any;
    host_calls: what the CPU does between the regions, call by call. batch: images that a run takes,
    each by a run of all this; ``inputs`` and ``outputs`` are those of one image, ``run_inputs`` and
    ``run_outputs`` those of a run. images: that one run of all this computes, along the first axis
    of ``inputs`` and ``outputs``; ``batch`` counts such runs. direct: how to run without TVM, where
    the host only quantizes. samples: a few calibration samples, for an array whose time depends on
    activations: an array for each of ``run_inputs`` by name. level and levels: of a network that is
    one of several in a file, its number and the recipes of all.
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
    placement: Placement
    host_macs: dict[str, int]
    host_calls: tuple[HostCall, ...] = ()
    batch: int = 1
    images: int = 1
    direct: TvmFreeHost | None = field(default=None)
    samples: Mapping[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    level: int = 0
    levels: tuple[str, ...] = ()
    source: FloatSource | None = None

    @property
    def run_inputs(self) -> tuple[Port, ...]:
        """What a run takes: of ``batch`` images at once."""
        return _of_batch(self.inputs, self.batch)

    @property
    def run_outputs(self) -> tuple[Port, ...]:
        return _of_batch(self.outputs, self.batch)

    @cached_property
    def host_module(self) -> Any:
        return _module(self.host)

    @cached_property
    def reference_module(self) -> Any:
        return _module(self.reference)

    @cached_property
    def floating_module(self) -> Any:
        return _module(self.floating)

    def dump(self) -> tuple[dict[str, Any], dict[str, Chunks]]:
        """The manifest and the members of the file."""
        from zeroskip.compiler.artifact.relax_modules import constant_member, dump_module

        members: dict[str, Chunks] = {}
        source: FloatSource | None = None
        programs: dict[str, str] = {}
        for name, program in self.programs.items():
            # As the constant that the host module hands to ``zeroskip.run``: stored once.
            member, parts = constant_member(np.frombuffer(program.to_bytes(), np.uint8))
            members[member], programs[name] = parts, member
        for name, module in zip(
            MODULES, (self.host_module, self.reference_module, self.floating_module), strict=True
        ):
            made = dump_module(name, module)
            if name == "floating" and self.source is not None:
                apart = self.source.weights & made.keys() - members.keys()
                made = {member: made[member] for member in made.keys() - apart}
                source = replace(self.source, weights=apart) if apart else None
            members.update(made)
        samples: dict[str, str] = {}
        for name, values in self.samples.items():
            member, parts = constant_member(values)
            members[member], samples[name] = parts, member
        manifest: dict[str, Any] = {
            "format": FORMAT,
            "name": self.name,
            "spec": self.spec.table,
            **self.spec.plugin,
            "inputs": [asdict(port) for port in self.inputs],
            "outputs": [asdict(port) for port in self.outputs],
            "programs": programs,
            "cpu": self.cpu,
            "placement": asdict(self.placement),
            "host_macs": self.host_macs,
            "host_calls": [asdict(call) for call in self.host_calls],
            "batch": self.batch,
            "results": self.results,
            "direct": None if self.direct is None else self.direct.to_table(),
            **({"samples": samples} if samples else {}),
            **({"images": self.images} if self.images > 1 else {}),
            **({"model": source.to_table()} if source is not None else {}),
            "sha256": {name: digest(parts) for name, parts in members.items()},
        }
        manifest["seal"] = seal(manifest)
        return manifest, members

    def save(self, path: str | Path) -> None:
        """Write the file, whole or not at all."""
        write_members(path, self.dump)

    @staticmethod
    def load(path: str | Path, level: int | None = None) -> Network:
        """The network in a file; NetworkError if it is not exactly what ``save`` wrote.

        level: of a file that holds several (``nested_file.py``), 0 and the default the densest.
        """
        refuse_irregular(path)
        with as_network_error(path), zipfile.ZipFile(path) as box:
            members = read_zip(box, Path(path).stat().st_size)
            head = json.loads(box.read(members["manifest.json"]))
            if "levels" in head:
                from zeroskip.compiler.artifact.nested_file import read_level

                return read_level(box, members, head, str(path), level or 0)
            if level:
                raise NetworkError(
                    f"{path}: holds one network without levels, not level {level}; "
                    "leave the level out, or compile it with --level"
                )
            for name, expected in check_head(head, FORMAT, path)["sha256"].items():
                if digest(pieces(box, members[name])) != expected:
                    raise NetworkError(
                        f"{path}: member {name} was altered after it was written; compile it again"
                    )
            if set(members) != {"manifest.json", *head["sha256"]}:
                raise NetworkError(f"{path}: was altered after it was written; compile it again")
            return read_network(head, partial(_reading, path), str(path))


def write_members(
    path: str | Path, dump: Callable[[], tuple[Mapping[str, Any], Mapping[str, Chunks]]]
) -> None:
    """A file of a manifest and members, whole or not at all. dump: makes them; what they hold in
    memory is gone before the file is loaded to check it."""

    def write(out: Any) -> None:
        manifest, members = dump()
        head: Chunks = [json.dumps(manifest, indent=1).encode()]
        write_zip(out, {"manifest.json": head, **members})

    write_whole(path, write, check=partial(_check_loads, path))


def _check_loads(path: str | Path, written: Path) -> None:
    """NetworkError unless every network in the file that was written can be loaded again."""
    try:
        first = Network.load(written)
        for level in range(1, len(first.levels)):
            Network.load(written, level)
    except NetworkError as problem:
        raise NetworkError(
            f"{path}: not written, as what was compiled could not be loaded again: "
            f"{str(problem).removeprefix(f'{written}: ')}"
        ) from None


@contextmanager
def as_network_error(path: str | Path) -> Iterator[None]:
    """Within it, whatever is wrong with a file becomes a NetworkError."""
    try:
        yield
    except OSError as problem:
        raise NetworkError(f"{path}: cannot be read: {problem.strerror or problem}") from None
    except (
        zipfile.BadZipFile,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        NotImplementedError,
        RecursionError,
        OverflowError,
        RuntimeError,
        EOFError,
        SpecError,
        ProgramError,
        FormatError,
    ) as problem:
        raise NetworkError(
            f"{path}: is not a compiled network, or is truncated or altered "
            f"({short_message(problem)}); compile it again"
        ) from None


def check_head(head: dict[str, Any], version: int, path: str | Path) -> dict[str, Any]:
    """A manifest of this version whose seal is its own; the seal is taken off."""
    if head["format"] != version:
        raise NetworkError(
            f"{path}: has format {str(head['format'])[:20]}, this version reads "
            f"{version}; compile it again"
        )
    given = head.pop("seal")
    if given != seal(head):
        raise NetworkError(f"{path}: was altered after it was written; compile it again")
    return head


@contextmanager
def _reading(path: str | Path) -> Iterator[Callable[[str], bytes]]:
    """Reads members of a file."""
    with zipfile.ZipFile(path) as box:
        yield box.read


def read_network(head: dict[str, Any], reading: Reading, path: str) -> Network:
    """The network of a manifest that has been checked; ``reading`` gives its members."""
    try:
        require(head["spec"]["array"]["kind"], head.get("plugin"))
    except UnknownKind as problem:
        raise NetworkError(f"{path}: {problem}") from None
    spec = spec_from_table(head["spec"], path)
    with reading() as read:
        programs = {name: _program(read(member), name) for name, member in head["programs"].items()}
        samples = {name: read_npy(read(at)) for name, at in head.get("samples", {}).items()}
    for program in programs.values():
        if program.fingerprint != spec.fingerprint:
            raise NetworkError(
                f"{path}: holds a program made for another description of "
                f"{spec.name}; compile it again"
            )

    def loader(name: str) -> Loader:
        def load(elsewhere: Mapping[str, Any] | None = None) -> Any:
            from zeroskip.compiler.artifact.relax_modules import load_module

            with as_mismatch_error(path), reading() as read:
                return load_module(name, read, elsewhere)

        return load

    ports = {side: tuple(map(_port, head[side])) for side in ("inputs", "outputs")}
    direct = None if head["direct"] is None else TvmFreeHost.from_table(head["direct"])
    if direct is not None:
        direct.check(programs[direct.program], ports["inputs"], ports["outputs"])
    cpu = {node: checked_text(why, "cpu") for node, why in head["cpu"].items()}
    results = {
        name: [checked_int(maker, "results") for maker in head["results"][name]]
        for name in programs
    }
    placement, host_macs = _placement(head, programs)
    batch = checked_int(head["batch"], "batch", 1, MAX_BATCH)
    images = checked_int(head.get("images", 1), "images", 1, MAX_BATCH)
    if any(port.shape[:1] != (images,) for port in ports["inputs"] if images > 1):
        raise ValueError(f"its inputs are not of {images} images")
    _check_samples(samples, _of_batch(ports["inputs"], batch))
    host, reference, floating = (loader(name) for name in MODULES)
    source = None
    if "model" in head:
        source = FloatSource.from_table(head["model"], path, floating)
        floating = partial(_apart, source)
    return Network(
        checked_text(head["name"], "name"),
        spec,
        ports["inputs"],
        ports["outputs"],
        host,
        programs,
        reference,
        floating,
        cpu,
        results,
        placement,
        host_macs,
        tuple(from_table(HostCall, each) for each in head["host_calls"]),
        batch,
        images,
        direct,
        samples,
        source=source,
    )


def _apart(source: FloatSource) -> Any:
    """In place of a float module whose weights nobody has brought (``with_float_weights``)."""
    raise source.refusal("has not been read")


def _check_samples(samples: Mapping[str, np.ndarray[Any, Any]], ports: tuple[Port, ...]) -> None:
    """ValueError unless there are none, or equally many for each input of a run."""
    if not samples:
        return
    runs = {
        divmod(len(samples[port.name]), port.shape[0] if port.shape else 1)
        for port in ports
        if str(samples[port.name].dtype) == port.dtype
        and samples[port.name].shape[1:] == port.shape[1:]
    }
    if set(samples) != {port.name for port in ports} or len(runs) != 1 or runs.pop()[1]:
        raise ValueError("its samples do not fit its inputs")


def _placement(
    head: Mapping[str, Any], programs: Mapping[str, Program]
) -> tuple[Placement, dict[str, int]]:
    """Both as the manifest says; ValueError unless they agree with its programs and nodes."""
    placement = from_table(Placement, head["placement"])
    host_macs = {node: checked_int(macs, "host_macs") for node, macs in head["host_macs"].items()}
    known = (
        len(programs),
        *crossing_bytes(programs),
        len(head["cpu"]),
        sum(host_macs.values()),
    )
    if known != (
        placement.regions,
        placement.to_accelerator,
        placement.to_host,
        placement.nodes_on_cpu,
        placement.macs_on_cpu,
    ):
        raise ValueError("its placement is not that of its programs and nodes")
    return placement, host_macs


def crossing_bytes(programs: Mapping[str, Program]) -> tuple[int, int]:
    """Inputs and outputs of all programs: what goes from the host, and back to it."""
    every = programs.values()
    return (
        sum(program.input_bytes for program in every),
        sum(tensor.nbytes for program in every for tensor in program.outputs),
    )


def _of_batch(ports: tuple[Port, ...], batch: int) -> tuple[Port, ...]:
    return (
        ports
        if batch == 1
        else tuple(replace(port, shape=(port.shape[0] * batch, *port.shape[1:])) for port in ports)
    )


@contextmanager
def as_mismatch_error(name: str) -> Iterator[None]:
    """Within it, whatever TVM or numpy say of a network whose parts do not fit together becomes a
    NetworkError: its modules are only looked at when they are used."""
    try:
        yield
    except ZeroskipError:
        raise
    except Exception as problem:
        raise NetworkError(
            f"{name}: its modules and programs do not fit together "
            f"({short_message(problem) or type(problem).__name__}); compile it again"
        ) from problem


def _module(held: Any) -> Any:
    return held() if callable(held) and not hasattr(held, "functions") else held


def _program(raw: bytes, name: str) -> Program:
    """The program in a constant's member, of the region that it is said to be of."""
    blob = read_npy(raw).astype(np.uint8, casting="safe", copy=False)
    program = Program.from_bytes(blob.reshape(-1).data)
    if program.name != name:
        raise ValueError(f"region {name[:100]!r} has the program of {program.name[:100]!r}")
    return program


def _port(table: Any) -> Port:
    port = from_table(Port, table)
    for size in port.shape:
        checked_int(size, "Port.shape", 1)
    checked_int(math.prod(port.shape), "elements of Port.shape", 1, MAX_ELEMENTS)
    if np.dtype(port.dtype).kind not in "biuf":
        raise ValueError(f"Port.dtype is {port.dtype!r}")
    return port
