"""Of several ranges of every activation, those whose network is nearest to the float one.

A range with the least error of its own tensor may still be the wrong one: what it cuts off is wrong
in one direction and adds up behind it, where rounding averages out. So whole choices are tried on
samples that no range was taken from, and judged by the network's outputs.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from zeroskip.relay_passes.quantize.scales import Range

Array = npt.NDArray[Any]
Choice: TypeAlias = dict[str, str]  # variable -> method
Noise: TypeAlias = Callable[[Mapping[str, Range]], Array]
Candidates: TypeAlias = Mapping[str, Mapping[str, Range]]  # method -> variable -> range

LEVELS = 255
_GAIN = 0.02  # nepers of noise, a tenth of a dB, from which a group changes its method


def least_local_error(candidates: Candidates, values: Mapping[str, Array]) -> Choice:
    """For each variable the method with the least squared error of these values of it."""
    methods = list(candidates)
    return {
        name: min(methods, key=lambda method: _error(seen, candidates[method][name]))
        for name, seen in values.items()
    }


def _error(values: Array, span: Range) -> float:
    """Mean square of what rounding to 8 bits changes."""
    lo, hi = min(span.lo, 0.0), max(span.hi, 0.0)
    step = (hi - lo) / LEVELS
    if step == 0:
        return float(np.mean(np.square(values)))
    zero = round(-lo / step)
    steps = np.clip(np.rint(values / step), -zero, LEVELS - zero)
    return float(np.mean(np.square(steps * step - values)))


def choose_by_outputs(candidates: Candidates, local: Choice, noise: Noise, trials: int) -> Choice:
    """The methods of all variables with the least noise of at most ``trials`` choices.

    noise: of a choice in nepers, on all samples, then on parts of them. One method for all and
    ``local`` come first; from the best of them on, groups of neighbours change their method, ever
    smaller ones, where there is less noise on every part.
    """
    names = list(local)
    starts = [local, *(dict.fromkeys(names, method) for method in candidates)]
    tried = [noise(ranges_by(candidates, start)) for start in starts]
    at = min(range(len(starts)), key=lambda at: float(tried[at][0]))
    best, least = starts[at], tried[at]
    left, size = trials - len(starts), -(-len(names) // 4)
    while names and left > 0:
        for start in range(0, len(names), size):
            for other in _others(best, names[start : start + size], candidates, local):
                if left <= 0:
                    return best
                left -= 1
                found = noise(ranges_by(candidates, other))
                if _is_less(found, least):
                    best, least = other, found
        if size == 1:
            break
        size = -(-size // 3)
    return best


def no_worse_than_fixed(candidates: Candidates, choice: Choice, noise: Noise) -> Choice:
    """The choice, or one method for all where that has less noise, on every part, with these
    ranges, which are those of more samples than the choice was made with."""
    least = noise(ranges_by(candidates, choice))
    for method in candidates:
        fixed = dict.fromkeys(choice, method)
        found = noise(ranges_by(candidates, fixed))
        if _is_less(found, least):
            choice, least = fixed, found
    return choice


def _is_less(some: Array, others: Array) -> bool:
    """Whether noise became less, on all samples by more than ``_GAIN``."""
    return bool(np.all(some < others) and some[0] < others[0] - _GAIN)


def _others(
    best: Choice, group: Sequence[str], candidates: Candidates, local: Choice
) -> list[Choice]:
    """Choices that differ in one group only, each once."""
    made = [best | {name: method for name in group} for method in candidates]
    made.append(best | {name: local[name] for name in group})
    return [one for at, one in enumerate(made) if one != best and one not in made[:at]]


def ranges_by(candidates: Candidates, choice: Choice) -> dict[str, Range]:
    """The ranges of a choice."""
    return {name: candidates[method][name] for name, method in choice.items()}
