"""What stops a run."""

from __future__ import annotations

from zeroskip.accel_model.errors import ZeroskipError

LONGEST = 1000  # characters of a sentence


class MachineError(ZeroskipError):
    """A program that cannot run or must not: names pc, instruction and the layer it came from.

    pcs: the instructions concerned, the one that stopped first. race: two of them are not ordered.
    image: which of several images has values that stopped it; None if no values did.
    """

    def __init__(
        self,
        sentence: str,
        pcs: tuple[int, ...] = (),
        *,
        race: bool = False,
        image: int | None = None,
    ) -> None:
        super().__init__(_brief(sentence))
        self.pcs = pcs
        self.race = race
        self.image = image


def _brief(sentence: str) -> str:
    """The sentence, without the middle of a name of thousands of characters that a file gave."""
    return sentence if len(sentence) <= LONGEST else f"{sentence[:300]} ... {sentence[-600:]}"


class InstructionFault(Exception):  # noqa: N818 - never leaves the machine
    """What is wrong with the instruction being executed; the walk adds which one it is.

    image: as in MachineError.
    """

    def __init__(self, sentence: str, image: int | None = None) -> None:
        super().__init__(sentence)
        self.image = image
