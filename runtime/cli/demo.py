"""The demonstration: a Fashion-MNIST classifier, dense and pattern-pruned, on two accelerators.

Both networks were trained by ``models/train_fashion.py``; the images are held out. The int8 answers
come from the machine, every one, from the instruction stream.
"""

from __future__ import annotations

import multiprocessing
import shlex
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.table import Table

from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.accel_model.machine.run import Run
from zeroskip.compiler.artifact.inputs import load_arrays
from zeroskip.compiler.artifact.network import Network
from zeroskip.relay_passes.metrics import snr_db
from zeroskip.relay_passes.pruning.base.layers import prunable_layers
from zeroskip.runtime.analysis.comparison import DENSE, Comparison, Entry, Gain
from zeroskip.runtime.analysis.report import Report, report
from zeroskip.runtime.compare import chosen_layer, mask_of
from zeroskip.runtime.execution.session import Session
from zeroskip.runtime.execution.validation import Validation, validate
from zeroskip.runtime.progress import progress
from zeroskip.runtime.render.files import write_comparison_page, write_page, write_timeline
from zeroskip.runtime.render.tables import show

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.integer[Any]]

NETWORKS = {"dense": "fashion_dense", "pruned": "fashion_pattern"}
CASES = (
    ("dense", "dense256"),
    ("pruned", "pattern256"),
    ("dense", "pattern256"),
    ("pruned", "dense256"),
)
ANSWERING = {"dense": "dense256", "pruned": "pattern256"}  # who classifies the images
WORKERS = 2
IMAGES, CALIBRATION = "fashion_test.npz", "fashion_calibration.npz"
PLACES = (Path("models"), Path(__file__).resolve().parents[2] / "models")  # here; of a checkout


class DemoError(ZeroskipError):
    """The demonstration's files are not as they should be."""


@dataclass(frozen=True, eq=False)
class Images:
    """Held-out images [n, 1, 28, 28] in 0..1 and their labels [n]."""

    images: Floats
    labels: Labels

    @staticmethod
    def read(path: Path) -> Images:
        """From 'image' and 'labels', as `zeroskip compare --data` takes them."""
        arrays = load_arrays(path)
        if not {"image", "labels"} <= set(arrays):
            raise DemoError(f"{path}: lacks 'image' or 'labels'; run models/train_fashion.py")
        return Images(arrays["image"], arrays["labels"])


def run_demo(models: Path | None, output: Path, command: str) -> None:
    """Compile, run, compare and show; files go to ``output``. models: where the networks and their
    images are, if not in one of ``PLACES``. command: the one that runs."""
    began, models = time.perf_counter(), _folder(models)
    images = Images.read(models / IMAGES)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise DemoError(f"{output}: cannot be made: {problem.strerror}") from None
    with ProcessPoolExecutor(WORKERS, multiprocessing.get_context("spawn")) as pool:
        compiled, answers = {}, {}
        for name, target in CASES:
            compiled[name, target] = _compile(models, output, name, target)
            if ANSWERING[name] == target:
                file = _file(output, name, target)
                scores(file, images.images[:1])  # compiles what numba has not yet, once for all
                answers[name] = pool.submit(scores, file, images.images)
        with progress("demo", quiet=0) as on_progress:
            on_progress("the float networks on TVM's CPU", 0, 1)
            floats = {
                name: _float_scores(compiled[name, target], images.images)
                for name, target in ANSWERING.items()
            }
            on_progress("every bit against TVM's CPU", 0, 1)
            checked = {key: _check(network, images) for key, network in compiled.items()}
            on_progress(f"{len(images.labels)} images on the machine", 0, 1)
            found = {name: answers[name].result() for name in ANSWERING}
            show(_accuracy(images, floats, found))
            on_progress("reports", 0, 1)
            runs = {key: Session(network).time() for key, network in compiled.items()}
            reports = {key: report(compiled[key], each) for key, each in runs.items()}
            made = compared(compiled, reports, images, floats["dense"], found)
            pages = _pages(output, compiled, runs, reports, made, images, command)
    show(
        _speed(reports),
        _exactness(checked),
        f"{time.perf_counter() - began:.0f} s in all",
        "",
        *(f"open {path}: {what}" for path, what in pages.items()),
        *_next(models, output),
    )


def _folder(named: Path | None) -> Path:
    places = PLACES if named is None else (named,)
    found = next((place for place in places if (place / IMAGES).is_file()), None)
    if found is None:
        raise DemoError(
            f"the demonstration's networks are not in '{places[0]}': run it in a checkout of zeroskip, "
            "which has them in models/, or name the folder with --models"
        )
    return found


def _file(output: Path, name: str, target: str) -> Path:
    return output / f"{NETWORKS[name]}.{target}.zsk"


def _compile(models: Path, output: Path, name: str, target: str) -> Network:
    """A network for a target, saved and loaded again as a user would."""
    from zeroskip.compiler.driver import compile as compile_network

    stem = NETWORKS[name]
    with progress(f"compiling {stem} for {target}", quiet=0) as on_progress:
        made = compile_network(
            models / f"{stem}.onnx",
            target,
            progress=on_progress,
            calibrate=models / CALIBRATION,
        )
        made.save(_file(output, name, target))
    return Network.load(_file(output, name, target))


def scores(network: Path, images: Floats) -> Floats:
    """The scores [n, 10] of images [n, 1, 28, 28], computed by the machine."""
    session = Session(network)
    port = session.network.inputs[0].name
    (made,) = session.run({port: images}).values()
    return made.reshape(len(images), -1)


def _float_scores(network: Network, images: Floats) -> Floats:
    """The same by the network before quantization, on TVM's CPU."""
    from zeroskip.relay_passes.relax.cpu import compile_for_cpu, run_cpu

    executable = compile_for_cpu(network.floating_module)
    made = [run_cpu(executable, "main", [image[np.newaxis]])[0].ravel() for image in images]
    return np.stack(made)


def _check(network: Network, images: Images) -> Validation:
    return validate(network, {network.inputs[0].name: images.images[:1]})


def compared(
    compiled: Mapping[tuple[str, str], Network],
    reports: Mapping[tuple[str, str], Report],
    images: Images,
    floats: Floats,
    found: Mapping[str, Floats],
) -> Comparison:
    """What was measured as `zeroskip compare` has it. floats: scores of the dense float network;
    found: of the int8 networks, by name."""
    modules = {name: compiled[name, target].floating_module for name, target in ANSWERING.items()}
    shown = chosen_layer(modules["dense"], None)
    entries = [
        _entry(name, modules[name], compiled, reports, images, floats, found[name])
        for name in ANSWERING
    ]
    return Comparison(
        NETWORKS["dense"],
        len(images.labels),
        tuple(dict.fromkeys(target for _, target in CASES)),
        tuple(entries),
        shown.node,
        {
            entry.title: mask_of(module, shown.node)
            for entry, module in zip(entries, modules.values(), strict=True)
        },
    )


def _entry(
    name: str,
    module: Any,
    compiled: Mapping[tuple[str, str], Network],
    reports: Mapping[tuple[str, str], Report],
    images: Images,
    floats: Floats,
    found: Floats,
) -> Entry:
    layers = prunable_layers(module["main"])
    thinned = [layer.weight for layer in layers if not layer.weight.all()]
    kept, every = (sum(map(count, thinned)) for count in (np.count_nonzero, np.size))
    return Entry(
        scheme=DENSE if name == "dense" else "pattern, trained",
        recipe="" if name == "dense" else "models/train_fashion.py",
        sparsity=1 - kept / every if every else 0.0,
        weights=sum(int(np.count_nonzero(layer.weight)) for layer in layers),
        macs=sum(layer.macs for layer in layers),
        snr_db=snr_db([floats], [found]),
        accuracy=float(np.mean(found.argmax(axis=1) == images.labels)),
        gains={
            target: Gain(
                cycles=reports[name, target].cycles,
                stored_bytes=sum(
                    len(program.image) for program in compiled[name, target].programs.values()
                ),
                microjoules=reports[name, target].microjoules,
                placement=reports[name, target].placement,
                efficiency=reports[name, target].efficiency,
            )
            for own, target in CASES
            if own == name
        },
    )


def _pages(
    output: Path,
    compiled: Mapping[tuple[str, str], Network],
    runs: Mapping[tuple[str, str], Mapping[str, Run]],
    reports: Mapping[tuple[str, str], Report],
    made: Comparison,
    images: Images,
    command: str,
) -> dict[Path, str]:
    """Write the pages and the timeline; gives their paths with what is to be seen there."""
    key = "pruned", ANSWERING["pruned"]
    network = compiled[key]
    session = Session(network)
    session.run({network.inputs[0].name: images.images[:1]})
    paths = [output / name for name in ("report.html", "compare.html", "timeline.json")]
    write_page(paths[0], reports[key], runs[key], network.programs, command)
    write_comparison_page(paths[1], made, command)
    write_timeline(paths[2], session.runs, network.programs)
    says = (
        "where each cycle of the pruned network went, layer by layer",
        "accuracy against cycles, dense and pruned",
        "load, compute and store of the pruned network, cycle by cycle, at https://ui.perfetto.dev",
    )
    return dict(zip(paths, says, strict=True))


def _next(models: Path, output: Path) -> list[str]:
    """What to try now."""
    network = _file(output, "pruned", ANSWERING["pruned"])
    commands = (
        f"zeroskip report {shlex.quote(str(network))} --worst 3",
        f"zeroskip compare {shlex.quote(str(models / 'fashion_dense.onnx'))} "
        f"--schemes 'unstructured pattern' --sparsity 0.75 --reconstruct weights "
        f"--data {shlex.quote(str(models / IMAGES))} "
        f"--calibrate {shlex.quote(str(models / CALIBRATION))} --html {shlex.quote(str(output / 'schemes.html'))}",
        f"zeroskip compile YOUR.onnx -o {shlex.quote(str(output / 'yours.zsk'))} "
        "--target sparse256 --prune unstructured:sparsity=0.75",
    )
    return ["", "then try", *(f"    {command}" for command in commands)]


# --------------------------------------------------------------------------------------- shown


def _accuracy(
    images: Images,
    floats: Mapping[str, Floats],
    found: Mapping[str, Floats],
) -> Table:
    table = Table(
        title=f"accuracy over {len(images.labels):,} held-out images", title_justify="left"
    )
    table.add_column("network")
    for column in ("float, TVM's CPU", "int8, the machine", "same answer"):
        table.add_column(column, justify="right")
    for name, target in ANSWERING.items():
        want, got = (scores[name].argmax(axis=1) for scores in (floats, found))
        table.add_row(
            f"{name} (int8 on {target})",
            _share(want == images.labels),
            _share(got == images.labels),
            _share(want == got),
        )
    return table


def _share(holds: npt.NDArray[np.bool_]) -> str:
    return f"{np.mean(holds):.1%}"


def _speed(reports: Mapping[tuple[str, str], Report]) -> Table:
    table = Table(title="one image", title_justify="left")
    for column in ("network", "target"):
        table.add_column(column)
    for column in (
        "MMACs done",
        "cycles",
        "us",
        "speed-up",
        "x network bound",
        "MACs used",
        "DRAM KiB",
        "uJ",
    ):
        table.add_column(column, justify="right")
    base = reports[CASES[0]].cycles
    for (name, target), made in sorted(reports.items()):
        table.add_row(
            name,
            target,
            f"{made.effectual / 1e6:.2f}",
            f"{made.cycles:,}",
            f"{made.milliseconds * 1000:.0f}",
            f"{base / made.cycles:.2f}",
            f"{made.x_network_bound:.2f}",
            f"{made.utilisation:.0%}",
            f"{made.dram_bytes / 1024:.0f}",
            f"{made.microjoules:.0f}",
        )
    return table


def _exactness(checked: Mapping[tuple[str, str], Validation]) -> str:
    exact = sum(each.exact_regions for each in checked.values())
    regions = sum(each.regions for each in checked.values())
    layers = sum(each.layers for each in checked.values())
    all_layers = sum(each.of_layers for each in checked.values())
    lines = [
        f"{exact} of {regions} regions bit-exact against TVM's CPU, one in each of the "
        f"{len(checked)} compiled networks ({layers} of {all_layers} layers compared, and "
        "their outputs)"
    ]
    lines += [
        f"{name} on {target}: {each.mismatch}"
        for (name, target), each in checked.items()
        if each.mismatch is not None
    ]
    return "\n".join(lines)
