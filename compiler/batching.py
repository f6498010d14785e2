"""Several images in one program (``compile(..., batch=N)``): the module of one image as one of N.

A graph says nowhere that it treats the images along an axis alike, and it may not (a softmax over
the first axis). So two images together are compared with each by itself, variable by variable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from tvm.ir import IRModule

from zeroskip.compiler.errors import CompileError
from zeroskip.relay_passes.attrs import BATCH_ATTR, IMAGES_ATTR, TOGETHER_ATTR
from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.pruning.activations.interpreter import Interpreter
from zeroskip.relay_passes.relax.batch_images import BatchImages, of_images
from zeroskip.relay_passes.relax.passes import with_main, with_unique_names
from zeroskip.relay_passes.relax.rewriting import node_of

Array = npt.NDArray[Any]

MAX_IMAGES = 1024
TOGETHER = 2  # images that are compared with each by itself
TRIALS = 8  # of a model that takes integers: so few of them agree by chance
TOLERANCE = 1e-4  # of the largest element: sums in another order


def in_batch(modules: Sequence[IRModule], images: int | None) -> list[IRModule]:
    """Modules of one network, of one image each, as ones of so many; ``zeroskip.images`` of main
    says so. None: as they are.

    The first is compared with itself. CompileError, which names the node, if its images would
    depend on each other, or the model has a batch that N does not divide.
    """
    if images is None:
        return [*modules]
    if not 1 <= images <= MAX_IMAGES:
        raise CompileError(f"a batch of {images} images: give 1 to {MAX_IMAGES}")
    own = {str(key): value for key, value in modules[0]["main"].attrs.items()}
    if TOGETHER_ATTR in own:
        raise CompileError(
            f"a batch of {images} images: {own[TOGETHER_ATTR]}; leave the batch out, which computes "
            "the model's own in one program"
        )
    count = int(own.get(BATCH_ATTR, 1))
    if count > 1 and count % images:
        raise CompileError(
            f"the model's own batch of {count} images is no multiple of {images}; give a batch that "
            f"divides {count}"
        )
    if images > 1:
        _compare(modules[0])
    made = [BatchImages(images)(module) for module in modules]
    for module in made:
        attrs = {IMAGES_ATTR: images, BATCH_ATTR: max(1, count // images)}
        module["main"] = module["main"].with_attrs(attrs)
    return made


def images_of(module: IRModule) -> int:
    """How many images a run of a module's main computes."""
    return int(module["main"].attrs.get(IMAGES_ATTR, 1))


def _compare(module: IRModule) -> None:
    """CompileError unless two random images together have at every variable what each has alone."""
    one = with_unique_names(module)
    both = with_main(one, of_images(one["main"], TOGETHER))
    rng, params = np.random.default_rng(0), list(one["main"].params)
    floats = all(np.dtype(str(param.ty.dtype)).kind == "f" for param in params)
    for _ in range(1 if floats else TRIALS):
        samples = {str(param.name): _random(rng, param) for param in params}
        _compare_once(one, both, samples)


def _compare_once(one: IRModule, both: IRModule, samples: dict[str, Array]) -> None:
    alone, together = Interpreter(one, samples), Interpreter(both, samples)
    while (binding := together.next) is not None:
        name = str(binding.var.name)
        try:
            while name not in alone.values and alone.next is not None:
                alone.step()
            together.step()
        except (PassError, ValueError, TypeError, tvm.error.InternalError) as problem:
            raise CompileError(
                f"Node '{node_of(both['main'], binding.var)}' cannot be run for two images: "
                f"{str(problem).splitlines()[0][:200]}; leave the batch out"
            ) from None
        want, got = alone.values.get(name), together.values.get(name)
        if isinstance(want, np.ndarray) and isinstance(got, np.ndarray) and not _close(want, got):
            raise CompileError(
                f"Node '{node_of(both['main'], binding.var)}' makes the images of a batch depend on "
                "each other; leave the batch out"
            )


def _close(want: Array, got: Array) -> bool:
    """Whether [runs, 1 * a, ...] and [1, runs * a, ...] are the same numbers; one that does not
    depend on an input is in both as it is."""
    if want.size != got.size:
        return bool(got.size and np.array_equal(want[0], got[0], equal_nan=want.dtype.kind == "f"))
    one, two = (each.reshape(-1).astype(np.float64) for each in (want, got))
    room = TOLERANCE * float(np.abs(one[np.isfinite(one)]).max(initial=0.0))
    return bool(np.allclose(one, two, rtol=0, atol=room, equal_nan=True))


def _random(rng: np.random.Generator, param: Any) -> Array:
    """Two samples of an input; of integers such as may be indices."""
    shape = (TOGETHER, *[int(size) for size in param.ty.shape][1:])
    dtype = np.dtype(str(param.ty.dtype))
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    return rng.integers(0, 2, shape).astype(dtype)
