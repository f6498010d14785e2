"""The demonstration: a Fashion-MNIST classifier, dense and pattern-pruned, on two accelerators.

Both networks were trained by ``models/train_fashion.py``; the images are held out. The int8 answers
come from the machine, every one, from the instruction stream.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.table import Table

from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.compiler.artifact.inputs import load_arrays
from zeroskip.compiler.artifact.network import Network
from zeroskip.runtime.analysis.report import Report, report
from zeroskip.runtime.execution.session import Session
from zeroskip.runtime.execution.validation import Validation, validate
from zeroskip.runtime.progress import progress
from zeroskip.runtime.render.files import write_timeline
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
IMAGES = "fashion_test.npz"
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


def run_demo(models: Path | None, output: Path) -> None:
    """Compile, run, compare and show; files go to ``output``. models: where the networks and their
    images are, if not in one of ``PLACES``."""
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
                classify(file, images.images[:1])  # compiles what numba has not yet, once for all
                answers[name] = pool.submit(classify, file, images.images)
        with progress("demo") as on_progress:
            on_progress("the float networks on TVM's CPU", 0, 1)
            floats = {
                name: _classify_float(compiled[name, target], images.images)
                for name, target in ANSWERING.items()
            }
            on_progress("every bit against TVM's CPU", 0, 1)
            checked = {key: _check(network, images) for key, network in compiled.items()}
            on_progress(f"{len(images.labels)} images on the machine", 0, 1)
            show(_accuracy(images, floats, answers))
    reports = {key: report(network, Session(network).time()) for key, network in compiled.items()}
    show(
        _speed(reports),
        _exactness(checked),
        _timeline(output, compiled, images),
        f"{time.perf_counter() - began:.0f} s in all",
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
    with progress(f"compiling {stem} for {target}") as on_progress:
        made = compile_network(
            models / f"{stem}.onnx",
            target,
            progress=on_progress,
            calibrate=models / "fashion_calibration.npz",
        )
        made.save(_file(output, name, target))
    return Network.load(_file(output, name, target))


def classify(network: Path, images: Floats) -> npt.NDArray[np.int64]:
    """The class of each image [n, 1, 28, 28], computed by the machine; int64 [n]."""
    session = Session(network)
    port = session.network.inputs[0].name
    (scores,) = session.run({port: images}).values()
    classes: npt.NDArray[np.int64] = scores.reshape(len(images), -1).argmax(axis=1)
    return classes


def _classify_float(network: Network, images: Floats) -> npt.NDArray[np.int64]:
    """The same by the network before quantization, on TVM's CPU."""
    from zeroskip.relay_passes.relax.cpu import compile_for_cpu, run_cpu

    executable = compile_for_cpu(network.floating_module)
    return np.array(
        [int(np.argmax(run_cpu(executable, "main", [image[np.newaxis]])[0])) for image in images],
        np.int64,
    )


def _check(network: Network, images: Images) -> Validation:
    return validate(network, {network.inputs[0].name: images.images[:1]})


def _timeline(output: Path, compiled: Mapping[tuple[str, str], Network], images: Images) -> str:
    network = compiled["pruned", ANSWERING["pruned"]]
    session = Session(network)
    session.run({network.inputs[0].name: images.images[:1]})
    path = output / "timeline.json"
    write_timeline(path, session.runs, network.programs)
    return (
        f"the timeline of load, compute and store of the pruned network is in {path}; "
        "open it at https://ui.perfetto.dev"
    )


# --------------------------------------------------------------------------------------- shown


def _accuracy(
    images: Images,
    floats: Mapping[str, npt.NDArray[np.int64]],
    answers: Mapping[str, Future[npt.NDArray[np.int64]]],
) -> Table:
    table = Table(
        title=f"accuracy over {len(images.labels):,} held-out images", title_justify="left"
    )
    table.add_column("network")
    for column in ("float, TVM's CPU", "int8, the machine", "same answer"):
        table.add_column(column, justify="right")
    for name, target in ANSWERING.items():
        found = answers[name].result()
        table.add_row(
            f"{name} (int8 on {target})",
            _share(floats[name] == images.labels),
            _share(found == images.labels),
            _share(floats[name] == found),
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
