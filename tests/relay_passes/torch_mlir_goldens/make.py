"""Makes the goldens; only for someone who has torch-mlir.

    python3.11 -m venv torch-mlir-alive
    torch-mlir-alive/bin/pip install torch==2.13.0 torch-mlir==20261001 torchao==0.18.0
    torch-mlir-alive/bin/python tests/relay_passes/torch_mlir_goldens/make.py

``float.mlir`` is a network of torch's as TOSA, of most operators that torch-mlir writes;
``quantized.mlir`` one that PT2E quantized to int8, weights by channel; ``moves.mlir`` pools, limits
and moves of int8. ``numbers.npz`` has inputs of each and what torch makes of them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch_mlir import fx
from torch_mlir.extras.fx_decomp_util import get_decomposition_table

HERE = Path(__file__).parent
IMAGES = 4


class Floats(nn.Module):  # type: ignore[misc]  # torch is optional
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8)
        self.deep, self.late = nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.BatchNorm2d(8)
        self.squeeze, self.excite = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)
        self.groups = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.up = nn.ConvTranspose2d(16, 4, 2, 2)
        self.slope, self.fc = nn.PReLU(), nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.hardswish(self.norm(self.stem(functional.pad(x, (0, 1, 0, 1)))))
        y = self.late(functional.relu6(self.deep(x)))
        gate = functional.relu(self.squeeze(functional.adaptive_avg_pool2d(y, 1)))
        y = x + y * torch.sigmoid(self.excite(gate))
        y = torch.cat([functional.silu(self.groups(y)), functional.leaky_relu(y, 0.1)], 1)
        y = functional.max_pool2d(self.up(functional.avg_pool2d(y, 2)), 2)
        y = self.slope(y)[:, :, :-1] - torch.tanh(y)[:, :, 1:]
        return functional.softmax(self.fc(y.mean((2, 3))), 1)


class Small(nn.Module):  # type: ignore[misc]  # torch is optional
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8)
        self.deep, self.point = nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.Conv2d(8, 8, 1)
        self.fc = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.norm(self.stem(x)))
        x = x + self.point(functional.relu6(self.deep(x)))
        x = functional.max_pool2d(x, 2)
        return self.fc(functional.adaptive_avg_pool2d(x, 1).flatten(1))


class Moves(nn.Module):  # type: ignore[misc]  # torch is optional
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.clamp(functional.max_pool2d(x, 2), -20, 100)
        z = functional.max_pool2d(x, 3, 2, 1)
        both = torch.cat([y, z, x[:, 1:, 2:6, :4]], 1)
        return both.permute(0, 2, 3, 1).reshape(1, -1)


def made(kind: type[nn.Module]) -> nn.Module:
    """With statistics of normalisation that are not those of a new network."""
    torch.manual_seed(2)
    model = kind()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.5, 2)
    return model.eval()


def quantized(model: nn.Module, samples: torch.Tensor) -> Any:
    """As PT2E does it: XNNPACK's quantizer, weights by channel. Of 9 pixels no average is a half,
    of which float kernels make one integer or the other."""
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    from torchao.testing.pt2e._xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )

    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(True))
    prepared = prepare_pt2e(torch.export.export(model, (samples[:1],)).module(), quantizer)
    for sample in samples:
        prepared(sample[None])
    return convert_pt2e(prepared)


def tosa(model: Any, x: torch.Tensor) -> str:
    """torch-mlir's text. It has no rule of its own for scales by channel: torch's is given."""
    import torch.ao.quantization.fx._decomposed as decomposed

    table = get_decomposition_table()
    of = torch.ops.quantized_decomposed.dequantize_per_channel.default
    table[of] = decomposed.dequantize_per_channel
    program = torch.export.export(model, (x,))
    return str(fx.export_and_import(program, output_type="tosa", decomposition_table=table))


def main(folder: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(16, 3, 12, 12, generator=generator)
    integers = torch.randint(-128, 128, (IMAGES, 4, 8, 8), generator=generator, dtype=torch.int8)
    found: dict[str, np.ndarray] = {}
    for name, model, given in (
        ("float", made(Floats), images[:IMAGES]),
        ("quantized", quantized(made(Small), images), images[:IMAGES]),
        ("moves", Moves(), integers),
    ):
        (folder / f"{name}.mlir").write_text(tosa(model, given[:1]), encoding="utf-8")
        found[f"{name}_x"] = given.numpy()
        results = [model(each[None]).detach().numpy()[0] for each in given]
        found[f"{name}_y"] = np.array(results)
    np.savez_compressed(folder / "numbers.npz", allow_pickle=False, **found)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
