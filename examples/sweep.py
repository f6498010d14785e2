"""How wide a DRAM bus does a classifier need, before which array, and what does pruning change of
it?

pip install 'zeroskip[search]'
python examples/sweep.py

A minute or two; figures are kept in bus.sqlite here, so that the second time takes seconds.
``docs/tutorials/sweep.md`` goes through it.
"""

# --- space ---
from pathlib import Path

import zeroskip
from zeroskip.runtime.experiments.options import ExperimentOptions

MODELS = Path(__file__).parent.parent / "models"
MODEL = MODELS / "fashion_dense.onnx"
SPACE: ExperimentOptions = {
    "data": MODELS / "fashion_test.npz",
    "calibrate": MODELS / "fashion_calibration.npz",
    "targets": ["sparse256"],
    "settings": {"dram.bytes_per_cycle": "2,4,8,16", "array.kind": ["bitmap", "dense"]},
    "schemes": ["dense", "unstructured"],
    "sparsities": [0.5, 0.75],
    "reconstruct": "weights",
    "store": "bus.sqlite",
}
# --- sweep ---
table = zeroskip.sweep(MODEL, **SPACE)
for kind in ("bitmap", "dense"):
    for sparsity in (None, *SPACE["sparsities"]):
        cycles = [
            row["cycles"]
            for row in table.rows
            if (row["array.kind"], row["asked_sparsity"]) == (kind, sparsity)
        ]
        print(f"{kind}, {sparsity or 0:.0%} of the weights gone: {cycles} cycles")
# --- front ---
for row in table.front("accuracy", "time", "energy").rows:
    print(
        f"{row['scheme']} {row['sparsity']:.0%}, {row['array.kind']} behind "
        f"{row['dram.bytes_per_cycle']} bytes a cycle: {row['accuracy']:.1%}, "
        f"{row['milliseconds']:.3f} ms, {row['microjoules']:.1f} uJ"
    )
# --- search ---
found = zeroskip.search(
    MODEL, ["energy"], budgets=["accuracy=91%", "time=0.05ms"], trials=12, **SPACE
)
for row in found.best.rows:
    print(f"least energy: {row['microjoules']:.1f} uJ, {row['array.kind']}, {row['sparsity']:.0%}")
