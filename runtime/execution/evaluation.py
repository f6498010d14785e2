"""A compiled network over labelled samples: every answer computed by the machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.accel_model.io.telling import Progress, no_progress
from zeroskip.compiler.artifact.inputs import DataError
from zeroskip.compiler.artifact.network import Network, Port
from zeroskip.runtime.analysis.accuracy import Accuracy, accuracy
from zeroskip.runtime.execution.labelled_data import read_labelled
from zeroskip.runtime.execution.preprocessing import Preprocessing
from zeroskip.runtime.execution.session import Session

Array = npt.NDArray[Any]
BATCH = 64  # samples that are run together


@dataclass(frozen=True, eq=False)
class Evaluation:
    """network, target: names. output: whose scores were judged. coverage: how much of the network
    ran on the accelerator, in words."""

    network: str
    target: str
    output: str
    coverage: str
    accuracy: Accuracy

    def to_table(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "network": self.network,
            "target": self.target,
            "output": self.output,
            "coverage": self.coverage,
            **self.accuracy.to_table(),
        }


def evaluate(
    network: Network,
    data: str | Path | Mapping[str, Array],
    *,
    preprocessing: Preprocessing | None = None,
    output: str | None = None,
    batch: int = BATCH,
    progress: Progress = no_progress,
) -> Evaluation:
    """The int8 network's top-1, top-5, classes and confusion over labelled data.

    data: an .npz path, arrays, or a folder with a folder of pictures for each class
    (``labelled_data.py``). output: whose scores [k] of a sample are judged, if there are several.
    batch: samples that are run together. DataError if the data or the labels do not fit.
    """
    single = replace(network, batch=1)
    samples = read_labelled(data, _of_one(single), preprocessing)
    if samples.labels is None:
        raise DataError("the data have no 'labels'; give one whole number for each sample")
    port = _judged(single, output)
    together = max((each.shape[0] for each in single.inputs if each.shape), default=1)
    batch = -(-batch // together) * together  # images that depend on each other stay together
    session = Session(single)
    scores: list[Array] = []
    for number, inputs in enumerate(samples.batches(batch)):
        progress("samples", min(number * batch, samples.count), samples.count)
        count = len(next(iter(inputs.values())))
        made = session.run(whole_runs(inputs, network.images))[port]
        scores.append(made.reshape(count + -count % network.images, -1)[:count])
    placement = network.placement
    return Evaluation(
        network.name,
        network.spec.name,
        port,
        placement.coverage() if placement.regions else "nothing runs on the accelerator",
        judged(np.concatenate(scores), samples.labels, samples.classes),
    )


def _of_one(network: Network) -> Sequence[Port]:
    """The inputs of one of the images that a run computes."""
    if network.images == 1:
        return network.inputs
    return [replace(port, shape=(1, *port.shape[1:])) for port in network.inputs]


def whole_runs(inputs: Mapping[str, Array], images: int) -> dict[str, Array]:
    """The samples, from the first on again until they are whole runs of so many images."""
    return {
        name: values[np.arange(-(-len(values) // images) * images) % len(values)]
        for name, values in inputs.items()
    }


def judged(scores: Array, labels: Array, classes: Sequence[str] = ()) -> Accuracy:
    """The accuracy of scores [n, k]; DataError if there are labels [n], or names of classes, that
    they cannot mean."""
    width = scores.shape[1]
    if width < 2:
        raise DataError("the output is one number for a sample; classes need a score each")
    if labels.min() < 0 or labels.max() >= width:
        raise DataError(
            f"the labels go from {labels.min()} to {labels.max()}, and the network has scores for "
            f"classes 0 to {width - 1}; give labels of these"
        )
    if classes and len(classes) != width:
        raise DataError(
            f"the folder has {len(classes)} classes and the network scores for {width}; name "
            f"the folders 0 to {width - 1}, as the network numbers its classes, or give all of them"
        )
    return accuracy(scores, labels, classes)


def _judged(network: Network, output: str | None) -> str:
    names: Sequence[str] = [port.name for port in network.outputs]
    if output is None and len(names) == 1:
        return names[0]
    if output is None or output not in names:
        what = "has several outputs" if output is None else f"has no output '{output}'"
        raise DataError(
            f"network '{network.name}' {what}; choose one of {', '.join(names)} with --scores"
        )
    return output
