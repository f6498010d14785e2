"""The quality of an int8 network: its answers against the dense float network's, and the labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import tvm

from zeroskip.compiler.artifact.network import Network
from zeroskip.relay_passes.metrics import snr_db
from zeroskip.relay_passes.pruning.activations.statistics import Samples
from zeroskip.relay_passes.relax.saturation import Before, before_saturation
from zeroskip.runtime.execution.evaluation import judged, whole_runs
from zeroskip.runtime.execution.session import Session
from zeroskip.runtime.execution.watch import Watch, compared, ends_of

Array = npt.NDArray[Any]
Answer: TypeAlias = tuple[list[Array], dict[str, Array]]  # outputs, and variables before them


@dataclass(frozen=True, eq=False)
class Judge:
    """What the dense float network answers to data, and the labels, if there are any."""

    inputs: list[list[Array]]  # of each run
    ends: list[Before | None]
    answers: list[Answer]
    labels: Array | None
    classes: tuple[str, ...] = ()  # names of the labels, if they have any

    @staticmethod
    def of(
        dense: tvm.IRModule, data: Samples, labels: Array | None, classes: tuple[str, ...] = ()
    ) -> Judge:
        params = [str(param.name) for param in dense["main"].params]
        batch = int(dense["main"].params[0].ty.shape[0])
        runs = len(data[params[0]]) // batch
        inputs = [[data[name][n * batch : (n + 1) * batch] for name in params] for n in range(runs)]
        ends = before_saturation(dense["main"])
        return Judge(inputs, ends, _answers(dense, ends, inputs), labels, classes)

    @property
    def before(self) -> str:
        """The functions before which signal-to-noise is taken, in words."""
        return " and ".join(dict.fromkeys(end.words() for end in self.ends if end))

    @property
    def count(self) -> int:
        return sum(len(each[0]) for each in self.inputs)

    def of_int8(self, network: Network, quantized: tvm.IRModule) -> tuple[float, float | None]:
        """Signal to noise of all outputs together, dB, before what saturates at their end; and the
        share of labels found. The machine answers; what is before an end is TVM's of the same
        integers."""
        ends = before_saturation(quantized["main"])
        watch = Watch(quantized, [name for end in ends if end for name in end.names])
        outputs = _machine_answers(network, self.inputs)
        made = [
            (each, watch.values(inputs)) for each, inputs in zip(outputs, self.inputs, strict=True)
        ]
        pairs = [
            pair
            for (wants, floats), (gots, integers) in zip(self.answers, made, strict=True)
            for end, want, got in zip(ends_of(self.ends, ends), wants, gots, strict=True)
            for pair in compared(end, (want, floats), (got, integers))
        ]
        snr = snr_db([want for want, _ in pairs], [got for _, got in pairs])
        if self.labels is None:
            return snr, None
        scores = [first.reshape(len(first), -1) for (first, *_), _ in made]
        return snr, judged(np.concatenate(scores), self.labels, self.classes).share


def _answers(
    module: tvm.IRModule, ends: Sequence[Before | None], inputs: list[list[Array]]
) -> list[Answer]:
    watch = Watch(module, [name for end in ends if end for name in end.names])
    return [(watch.outputs(each), watch.values(each)) for each in inputs]


def _machine_answers(network: Network, inputs: list[list[Array]]) -> list[list[Array]]:
    """The answers to each of the inputs; all are run together."""
    session, whole = Session(replace(network, batch=1)), together(network, inputs)
    if len(whole) > 1:
        return [list(session.run(run).values()) for run in whole]
    made, count = session.run(whole[0]), -(-len(inputs) // network.images) * network.images
    parts = [np.split(values, count)[: len(inputs)] for values in made.values()]
    return [list(run) for run in zip(*parts, strict=True)]


def together(network: Network, inputs: list[list[Array]]) -> list[dict[str, Array]]:
    """Inputs by name, all in one as whole runs of the network; each by itself where outputs are
    single numbers, which have no axis for several."""
    runs = [
        {port.name: array for port, array in zip(network.inputs, run, strict=True)}
        for run in inputs
    ]
    if not all(port.shape for port in network.outputs):
        return runs
    every = {name: np.concatenate([run[name] for run in runs]) for name in runs[0]}
    return [whole_runs(every, network.images)]
