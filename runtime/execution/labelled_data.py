"""Samples with labels: an .npz, or a folder with a folder of pictures for each class."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroskip.compiler.artifact.inputs import DataError, load_arrays, match_inputs
from zeroskip.compiler.artifact.network import Port
from zeroskip.runtime.execution.preprocessing import LAYOUTS, Pixels, Preprocessing

Array = npt.NDArray[Any]
Int64 = npt.NDArray[np.int64]

LABELS = "labels"  # the array of the data that is no input
NUMBER = re.compile("[0-9]{1,9}")
ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".webp")


@dataclass(frozen=True, eq=False)
class LabelledData:
    """count: samples. labels: int64 [count], None without any. classes: names of the labels, () if
    there are none. arrays: all samples by input, if they are in memory; else pictures, the files,
    and how they become those of ``port``."""

    count: int
    labels: Int64 | None
    classes: tuple[str, ...]
    arrays: Mapping[str, Array] | None = None
    pictures: Sequence[Path] = ()
    preprocessing: Preprocessing | None = None
    port: Port | None = None

    def batches(self, size: int) -> Iterator[dict[str, Array]]:
        """The inputs of so many samples at a time, in order; DataError for a picture that cannot be
        read."""
        for start in range(0, self.count, size):
            yield self.part(start, start + size)

    def part(self, start: int, stop: int) -> dict[str, Array]:
        """The inputs of samples start .. stop - 1."""
        if self.arrays is not None:
            return {name: array[start:stop] for name, array in self.arrays.items()}
        assert self.preprocessing is not None
        assert self.port is not None
        made = [
            self.preprocessing.arranged(read_picture(path, self.preprocessing))
            for path in self.pictures[start:stop]
        ]
        return {self.port.name: np.stack(made).astype(self.port.dtype)}


def read_labelled(
    data: str | Path | Mapping[str, Array],
    ports: Sequence[Port],
    preprocessing: Preprocessing | None = None,
) -> LabelledData:
    """Samples for a network's inputs.

    data: an .npz path or arrays, one for each input, with ``labels`` [n] if they are classified, or
    a folder. preprocessing: of a folder's pictures, or of an .npz's, uint8 [n, H, W] or
    [n, H, W, C]. DataError if they do not fit.
    """
    if isinstance(data, str | Path) and Path(data).is_dir():
        return _of_folder(Path(data), ports, preprocessing or Preprocessing())
    arrays = dict(load_arrays(data) if isinstance(data, str | Path) else data)
    labels = None
    if LABELS not in {port.name for port in ports}:
        labels = arrays.pop(LABELS, None)
    if preprocessing is not None:
        arrays = _prepared(arrays, ports, preprocessing)
    matched = match_inputs(arrays, ports, "data", samples=True)
    count = len(next(iter(matched.values())))
    if labels is not None and (labels.shape != (count,) or labels.dtype.kind not in "iu"):
        raise DataError(
            f"The data's labels are {labels.dtype} {list(labels.shape)}; give one "
            f"whole number for each of the {count} samples."
        )
    return LabelledData(count, None if labels is None else labels.astype(np.int64), (), matched)


def has_labels(data: Path) -> bool:
    """Whether samples are classified: those of a folder are. DataError for what is no data."""
    return data.is_dir() or LABELS in load_arrays(data)


def class_folders(folder: Path) -> list[tuple[str, list[Path]]]:
    """A folder's folders, one for each class, in the order of their numbers if all are numbers:
    names and pictures, these by name. DataError if there are none."""
    inside = [each for each in _inside(folder) if each.is_dir()]
    if not inside:
        raise DataError(f"{folder}: has no folders; give one for each class, with its pictures")
    if _numbered(each.name for each in inside):
        inside.sort(key=lambda each: int(each.name))
    found = [
        (each.name, [file for file in _inside(each) if file.suffix.lower() in ENDINGS])
        for each in inside
    ]
    if not any(pictures for _, pictures in found):
        raise DataError(f"{folder}: its folders have no pictures ({', '.join(ENDINGS)})")
    return found


def sample_pictures(folder: Path, given: Preprocessing, count: int, seed: int = 0) -> Array:
    """float32 [count, ...]: pictures of a folder and all below it, drawn by a seed, as inputs.

    given: with a size; channels RGB and layout NCHW if they are left out. DataError if it lacks the
    size, or the folder has no pictures.
    """
    if not any(given.size):
        raise DataError("the preprocessing lacks `size`; give the height and width of the input")
    given = replace(given, channels=given.channels or "RGB", layout=given.layout or LAYOUTS[0])
    given = given.agreed()
    if not folder.is_dir():
        raise DataError(f"{folder}: is no folder; give one with pictures in it, or below it")
    found = sorted(file for file in folder.rglob("*") if file.suffix.lower() in ENDINGS)
    if not found:
        raise DataError(f"{folder}: has no pictures ({', '.join(ENDINGS)})")
    order = np.random.default_rng(seed).permutation(len(found))[:count]
    return np.stack([given.arranged(read_picture(found[at], given)) for at in sorted(order)])


def _of_folder(folder: Path, ports: Sequence[Port], preprocessing: Preprocessing) -> LabelledData:
    port, classes = _picture_port(ports), class_folders(folder)
    names = tuple(name for name, _ in classes)
    numbered = _numbered(names)
    labels = [
        int(name) if numbered else number for number, (name, own) in enumerate(classes) for _ in own
    ]
    return LabelledData(
        len(labels),
        np.array(labels, np.int64),
        () if numbered else names,
        pictures=[picture for _, own in classes for picture in own],
        preprocessing=preprocessing.for_shape(port.shape),
        port=port,
    )


def _numbered(names: Iterable[str]) -> bool:
    """Whether the folders of classes are called by the network's numbers of these."""
    return all(NUMBER.fullmatch(name) for name in names)


def _inside(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as problem:
        raise DataError(f"{folder}: cannot be read: {problem.strerror}") from None


def _picture_port(ports: Sequence[Port]) -> Port:
    if len(ports) != 1:
        raise DataError(
            f"the network has {len(ports)} inputs, and pictures are one; give an .npz with an array "
            "for each"
        )
    if np.dtype(ports[0].dtype).kind != "f":
        raise DataError(
            f"input '{ports[0].name}' is {ports[0].dtype}, and pictures become float32; give an .npz"
        )
    return ports[0]


def _prepared(
    arrays: Mapping[str, Array], ports: Sequence[Port], preprocessing: Preprocessing
) -> dict[str, Array]:
    """Pictures of an .npz as a network takes them."""
    port = _picture_port(ports)
    given = preprocessing.for_shape(port.shape)
    if len(arrays) != 1:
        raise DataError("data with a preprocessing are one array of pictures, and labels")
    (pixels,) = arrays.values()
    if pixels.ndim == 3:
        pixels = pixels[..., np.newaxis]
    wanted = (*given.size, given.depth)
    if pixels.dtype != np.uint8 or pixels.shape[1:] != wanted:
        raise DataError(
            f"data with a preprocessing are uint8 {['samples', *wanted]}, these are {pixels.dtype} "
            f"{list(pixels.shape)}".replace("'samples'", "samples")
        )
    return {port.name: np.stack([given.arranged(each) for each in pixels])}


def read_picture(path: Path, given: Preprocessing) -> Pixels:
    """A file's picture, scaled and cut: uint8 [H, W, C]."""
    try:
        from PIL import Image
    except ImportError:
        raise DataError(
            "pictures are read by Pillow: pip install 'zeroskip[images]', or give an .npz"
        ) from None
    try:
        with Image.open(path) as opened:
            picture = opened.convert("L" if given.channels == "L" else "RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as problem:
        why = " ".join(str(problem).split()).replace(str(path), "the file")[:120]
        raise DataError(f"{path}: cannot be read as a picture: {why}") from None
    height, width = given.size
    scaling = getattr(Image.Resampling, given.filter.upper())
    if given.resize:
        shorter = min(picture.size)
        sides = [round(side * given.resize / shorter) for side in picture.size]
        picture = picture.resize((sides[0], sides[1]), scaling)
        left, top = (picture.width - width) // 2, (picture.height - height) // 2
        picture = picture.crop((left, top, left + width, top + height))
    elif picture.size != (width, height):
        picture = picture.resize((width, height), scaling)
    pixels: Pixels = np.asarray(picture, np.uint8).reshape(height, width, given.depth)
    return pixels[..., ::-1] if given.channels == "BGR" else pixels
