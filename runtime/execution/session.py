"""Running a compiled network: what is on the accelerator on the machine, the rest on TVM's CPU."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.io.atomic_write import refuse_irregular
from zeroskip.accel_model.io.telling import Progress, no_progress
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.machine.run import Run, joined
from zeroskip.accel_model.program.assembly_program import SourceError, read_source
from zeroskip.accel_model.program.program import Program
from zeroskip.accel_model.program.tensor_layout import split_images, stack_images
from zeroskip.compiler.artifact.inputs import DataError, match_inputs
from zeroskip.compiler.artifact.nested_file import Levels
from zeroskip.compiler.artifact.network import Network, NetworkError, as_mismatch_error
from zeroskip.compiler.ir.host_plan import TvmFreeHost
from zeroskip.compiler.mlir.program_reader import load_programs
from zeroskip.compiler.mlir.program_text import MlirError

Array = npt.NDArray[Any]


class Session:
    """A network that has been loaded and may be run again and again.

    network: a Network, several at nested levels, or the path of a file. level: which of several, 0
    and the default the densest. seed: shuffles the order in which the units take turns; results do
    not depend on it. progress: is told how far each region's run is. host: the network's host
    module compiled, where somebody has it.

    A network whose host only quantizes and dequantizes around one program runs without TVM.
    """

    def __init__(
        self,
        network: Network | Levels | str | Path,
        seed: int | None = None,
        progress: Progress = no_progress,
        level: int | None = None,
        host: Any = None,
    ) -> None:
        self._host = host
        self.network = _level(network, level)
        self.seed, self.progress = seed, progress
        self.runs: dict[str, Run] = {}  # of the last ``run``, by region

    @cached_property
    def _machine(self) -> Machine:
        return Machine(self.network.spec)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name. inputs: an array for each of the network's inputs, by name, or several
        along its first axis, equally many for every input; outputs have as many.

        ``runs`` are those of all images; time is that of one, which is the same for every one
        but on an array that looks at activations (``Run.each``).
        DataError if the inputs do not fit.
        """
        matched = match_inputs(inputs, self.network.run_inputs, "input data")
        self.runs = {}
        count_images(self.network, matched)
        direct = self.network.direct
        if direct is not None:
            return self._directly(direct, [matched[port.name] for port in self.network.inputs])
        return self._on_host(images_of(self.network, matched))

    def time(self) -> dict[str, Run]:
        """The run of each region with time: without numbers, or, on an array that looks at
        activations, of the samples that the network keeps, if there are any."""
        if self.network.spec.kind.looks_at_inputs and self.network.samples:
            self.run(self.network.samples)
            return self.runs
        return {
            name: self._machine.run(
                program, {}, numbers=False, progress=partial(self.progress, name)
            )
            for name, program in self.network.programs.items()
        }

    def _directly(self, plan: TvmFreeHost, arrays: list[Array]) -> dict[str, Array]:
        program = self.network.programs[plan.program]
        run = self._machine.run(
            program,
            quantized(plan, program, arrays),
            seed=self.seed,
            progress=partial(self.progress, program.name),
        )
        self.runs = {program.name: run}
        return {
            port.name: made
            for port, made in zip(
                self.network.outputs, dequantized(plan, program, run.outputs), strict=True
            )
        }

    def _on_host(self, images: list[list[Array]]) -> dict[str, Array]:
        from zeroskip.runtime.execution.packed import in_lockstep

        runs: dict[str, list[Run]] = {}
        made: list[list[Array]] = []
        for outputs, done in in_lockstep(
            [partial(self._host_image, image) for image in images], self.seed, self.progress
        ):
            made.append(outputs)
            for run, program in done:
                runs.setdefault(program.name, []).append(run)
        self.runs = {name: joined(self.network.programs[name], of) for name, of in runs.items()}
        return {
            port.name: results[0] if len(results) == 1 else np.concatenate(results)
            for port, results in zip(self.network.outputs, zip(*made, strict=True), strict=True)
        }

    def _host_image(self, arrays: list[Array]) -> tuple[list[Array], list[tuple[Run, Program]]]:
        """Outputs of an image, and its runs."""
        from zeroskip.runtime.execution.packed import Hook, hooked

        done: list[tuple[Run, Program]] = []

        def keep(program: Program, _inputs: Any, run: Run) -> None:
            done.append((run, program))

        with hooked(Hook(keep, seed=self.seed, progress=self.progress)):
            return self.run_host(arrays), done

    def run_host(self, arrays: list[Array]) -> list[Array]:
        """The host module on TVM's CPU; its regions call ``zeroskip.run`` (packed.py)."""
        from zeroskip.relay_passes.relax.cpu import run_cpu
        from zeroskip.runtime import register

        register()
        name, ports = self.network.name, self.network.outputs
        with as_mismatch_error(f"network '{name}'"):
            results: list[Array] = run_cpu(self._executable, "main", arrays)
        if len(results) != len(ports):
            raise NetworkError(
                f"network '{name}': its host module makes {len(results)} outputs, "
                f"its manifest names {len(ports)}; compile it again"
            )
        return results

    @cached_property
    def _executable(self) -> Any:
        from zeroskip.relay_passes.relax.cpu import compile_for_cpu

        return self._host or compile_for_cpu(self.network.host_module)


def quantized(plan: TvmFreeHost, program: Program, arrays: list[Array]) -> dict[str, Array]:
    """The inputs of the program of a network that runs without TVM, of any number of images."""
    return {
        tensor.name: stack_images(scaling.quantize_all(arrays[index]), tensor, scaling.shape[0])
        for tensor, (index, scaling) in zip(program.inputs, plan.inputs, strict=True)
    }


def dequantized(plan: TvmFreeHost, program: Program, outputs: Mapping[str, Array]) -> list[Array]:
    """The outputs of such a network, of its program's."""
    results: list[Array] = [np.empty(0)] * len(plan.outputs)
    for tensor, (index, scaling) in zip(program.outputs, plan.outputs, strict=True):
        results[index] = scaling.dequantize(split_images(outputs[tensor.name], scaling.shape))
    return results


def images_of(network: Network, matched: Mapping[str, Array]) -> list[list[Array]]:
    """The inputs of each image of a run, in the network's order."""
    count = count_images(network, matched)
    parts = [
        np.split(matched[port.name], count) if count > 1 else [matched[port.name]]
        for port in network.inputs
    ]
    return [[part[number] for part in parts] for number in range(count)]


def count_images(network: Network, matched: Mapping[str, Array]) -> int:
    """Of a run. DataError for several if an output cannot hold them."""
    counts = [len(matched[port.name]) // port.shape[0] for port in network.inputs if port.shape]
    single = [port.name for port in network.outputs if not port.shape]
    if single and counts and counts[0] > 1:
        raise DataError(
            f"output '{single[0]}' is a single number, which has no axis to count "
            "images; run them one at a time"
        )
    return counts[0] if counts else 1


def _level(network: Network | Levels | str | Path, level: int | None) -> Network:
    if isinstance(network, Levels):
        return network.network(level or 0)
    if not isinstance(network, Network):
        return Network.load(network, level)
    if level is not None and level != network.level:
        raise NetworkError(
            f"the network is loaded at level {network.level}; load its file again for level {level}"
        )
    return network


def run_source(
    path: str | Path,
    inputs: Mapping[str, Array],
    seed: int | None = None,
    progress: Progress = no_progress,
) -> tuple[Program, Run]:
    """Run one program that is text: assembly (``accel_model/program/assembly_program.py``), or
    MLIR in a file ``.mlir`` (``compiler/mlir/program_reader.py``).

    inputs: [N, C, *spatial] of N images, by name. A ZeroskipError names the line that is wrong, or
    the instruction that must not run.
    """
    program = _source(path)
    return program, Machine(program.spec).run(
        program, inputs, seed=seed, progress=partial(progress, "instructions")
    )


def _source(path: str | Path) -> Program:
    if Path(path).suffix == ".mlir":
        programs = load_programs(path)
        if len(programs) > 1:
            raise MlirError(
                f"{path}: holds {len(programs)} programs; run them within their network, by "
                f"zeroskip run net.zsk --program {path}"
            )
        return programs[0]
    refuse_irregular(path)
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or "it is not UTF-8 text"
        raise SourceError(f"{path}: cannot be read: {reason}") from None
    return read_source(text, str(path))
