"""Training under masks, and torch networks as ONNX. Only where torch is installed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest
from onnx.reference import ReferenceEvaluator

pytest.importorskip("torch")

import torch

from models.fashion_nets import NETS
from models.torch_onnx import to_onnx
from zeroskip.relay_passes.errors import PassError
from zeroskip.relay_passes.pruning.schemes.pattern import PatternOptions
from zeroskip.relay_passes.pruning.torch_masks import (
    Admm,
    hold_masks,
    masker,
    weights,
)

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.floating]


def strongest_half(layers: Mapping[str, Floats]) -> dict[str, Mask]:
    return {name: np.abs(weight) >= np.median(np.abs(weight)) for name, weight in layers.items()}


def make_net() -> torch.nn.Module:
    torch.manual_seed(5)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 4, 3)
    ).to(memory_format=torch.channels_last)


def step(net: torch.nn.Module, optimiser: torch.optim.Optimizer, extra: float = 0.0) -> None:
    optimiser.zero_grad()
    (net(torch.ones(2, 3, 6, 6)).square().mean() + extra).backward()
    optimiser.step()


@pytest.mark.parametrize("kind", ["SGD", "AdamW"])
def test_masked_weights_stay_zero_whatever_the_optimiser_remembers(kind: str) -> None:
    net = make_net()
    options = {"momentum": 0.9, "weight_decay": 0.1} if kind == "SGD" else {}
    optimiser = getattr(torch.optim, kind)(net.parameters(), lr=0.1, **options)
    step(net, optimiser)  # momentum of every weight
    masks = strongest_half(weights(net))
    before = weights(net)
    with hold_masks(net, masks, optimiser):
        for _ in range(3):
            step(net, optimiser)
    after = weights(net)
    for name, mask in masks.items():
        assert not after[name][~mask].any()
        assert (after[name][mask] != before[name][mask]).all(), "what stays is trained"
    step(net, optimiser)
    assert all(weights(net)[name][~mask].any() for name, mask in masks.items()), "released"


def test_gradients_alone_hold_the_masks_of_a_fresh_optimiser() -> None:
    net = make_net()
    masks = strongest_half(weights(net))
    hold_masks(net, masks)
    optimiser = torch.optim.AdamW(net.parameters(), lr=0.1)
    for _ in range(3):
        step(net, optimiser)
    assert not any(weights(net)[name][~mask].any() for name, mask in masks.items())


def test_admm_brings_the_weights_to_the_structure() -> None:
    net = make_net()
    names = list(weights(net))
    admm = Admm(net, strongest_half, names, rho=0.5)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.05)
    apart = []
    for _ in range(12):
        for _ in range(20):
            step(net, optimiser, admm.penalty())
        apart.append(admm.update())
    assert apart[-1] < 0.05 * apart[0], apart
    masks = admm.masks()
    for name, weight in weights(net).items():
        assert np.square(weight[~masks[name]]).sum() < 1e-3 * np.square(weight).sum()


def test_admm_follows_its_equations() -> None:
    """One turn by hand: Z keeps the larger of two weights, U gathers what W is away from it."""
    layer = torch.nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[3.0, 1.0]]))
    admm = Admm(
        layer,
        lambda given: {name: np.abs(each) == np.abs(each).max() for name, each in given.items()},
        ["weight"],
        rho=2.0,
    )
    assert admm.penalty().item() == pytest.approx(1.0)  # 2/2 * (0^2 + 1^2)
    assert admm.update() == pytest.approx(np.sqrt(1 / 10))
    assert admm.penalty().item() == pytest.approx(4.0)  # U is (0, 1) now: (1 - 0 + 1)^2


def test_a_mask_that_does_not_fit_is_refused() -> None:
    net = make_net()
    with pytest.raises(PassError, match=r"no parameter '7\.weight'"):
        hold_masks(net, {"7.weight": np.ones((8, 3, 3, 3), np.bool_)})
    with pytest.raises(PassError, match=r"'0\.weight' has shape \(8, 3\)"):
        hold_masks(net, {"0.weight": np.ones((8, 3), np.bool_)})


@pytest.mark.parametrize("name", sorted(NETS))
def test_exported_networks_compute_what_torch_computes(name: str) -> None:
    torch.manual_seed(3)
    net = NETS[name]()
    net(torch.rand(8, 1, 28, 28))  # statistics other than those of a new normalisation
    image = torch.rand(2, 1, 28, 28)
    model = to_onnx(net, name, (2, 1, 28, 28))
    with torch.no_grad():
        expected = net(image).numpy()
    (answer,) = ReferenceEvaluator(model).run(None, {"image": image.numpy()})
    np.testing.assert_allclose(answer, expected, rtol=1e-4, atol=1e-5)


def test_a_scheme_chooses_masks_of_a_torch_network() -> None:
    given = weights(make_net())
    masks = masker(PatternOptions(library="pconv", connectivity=0.5))(given)
    for name, mask in masks.items():
        kernels = mask.reshape(*mask.shape[:2], 9)
        assert set(kernels.sum(axis=2).ravel()) <= {0, 4}
        assert (kernels.any(axis=2).sum(axis=1) == round(mask.shape[1] / 2)).all(), name
    with pytest.raises(PassError, match="'fc' is no convolution"):
        masker(PatternOptions())({"fc": np.ones((3, 4), np.float32)})
