"""Operations between layers: the values of PyTorch's modules, and derivatives by differences and inner products."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from altmin.operations import AdaptiveAvgPool2d, AvgPool2d, Dropout, Flatten, Mask, MaxPool2d, Operation, Unflatten
from altmin.operations.max_pooling import ChosenByMasks, ChosenByPlaces


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


PAIRS: dict[str, tuple[Operation, nn.Module]] = {
    "max": (MaxPool2d((2, 2), (2, 2)), nn.MaxPool2d(2)),
    "max, overlapping": (MaxPool2d((3, 2), (1, 2), (1, 0)), nn.MaxPool2d((3, 2), (1, 2), (1, 0))),
    "max, ceil": (MaxPool2d((3, 3), (2, 2), ceil=True), nn.MaxPool2d(3, 2, ceil_mode=True)),
    "max, dilated": (MaxPool2d((2, 2), (2, 1), (1, 1), (2, 3)), nn.MaxPool2d(2, (2, 1), 1, (2, 3))),
    "mean": (AvgPool2d((2, 3), (2, 1)), nn.AvgPool2d((2, 3), (2, 1))),
    "mean, padded": (AvgPool2d((3, 3), (2, 2), (1, 1)), nn.AvgPool2d(3, 2, 1)),
    "mean, padding not counted": (
        AvgPool2d((3, 3), (2, 2), (1, 1), count_padding=False),
        nn.AvgPool2d(3, 2, 1, count_include_pad=False),
    ),
    "mean, ceil": (AvgPool2d((3, 2), (2, 4), ceil=True), nn.AvgPool2d((3, 2), (2, 4), ceil_mode=True)),
    "mean, ceil and padded": (AvgPool2d((3, 3), (2, 2), (1, 1), True), nn.AvgPool2d(3, 2, 1, ceil_mode=True)),
    "mean, ceil, padding not counted": (
        AvgPool2d((4, 3), (3, 2), (1, 1), True, False),
        nn.AvgPool2d((4, 3), (3, 2), 1, True, False),
    ),
    "adaptive": (AdaptiveAvgPool2d((3, 2)), nn.AdaptiveAvgPool2d((3, 2))),
    "adaptive, overlapping": (AdaptiveAvgPool2d((5, 4)), nn.AdaptiveAvgPool2d((5, 4))),
    "adaptive, more than there are": (AdaptiveAvgPool2d((11, 6)), nn.AdaptiveAvgPool2d((11, 6))),
    "adaptive, height kept": (AdaptiveAvgPool2d((None, 1)), nn.AdaptiveAvgPool2d((None, 1))),
    "flatten": (Flatten(), nn.Flatten()),
    "dropout": (Dropout(0.3), nn.Dropout(0.3).eval()),
}
SIZES = [(7, 6), (8, 9)]

pairs = pytest.mark.parametrize("name", PAIRS)
sizes = pytest.mark.parametrize("size", SIZES)


@pairs
@sizes
def test_value_is_the_modules(name: str, size: tuple[int, int]):
    operation, module = PAIRS[name]
    a = randn(3, 2, *size)
    torch.testing.assert_close(operation(a), module(a))


@pairs
@sizes
def test_derivatives(name: str, size: tuple[int, int]):
    """The image by differences in the module, the adjoint by its autograd, and one as the other's transpose."""
    operation, module = PAIRS[name]
    a, d, t = randn(3, 2, *size), randn(3, 2, *size, seed=1), 1e-6
    r = randn(*operation(a).shape, seed=2)
    image, adjoint = operation.image(d, a), operation.adjoint(r, a)
    torch.testing.assert_close(image, (module(a + t * d) - module(a - t * d)) / (2 * t), rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(adjoint, torch.autograd.grad((module(a.requires_grad_()) * r).sum(), a)[0])
    torch.testing.assert_close((image * r).sum(), (d * adjoint).sum())


def test_pooling_works_in_every_dtype_after_another():
    """The matrices of mean pooling are kept; they follow the images' dtype."""
    operation = AvgPool2d((2, 2), (2, 2))
    for dtype in (torch.float64, torch.float32, torch.float64):
        a = randn(1, 1, 4, 4).to(dtype)
        torch.testing.assert_close(operation(a), nn.AvgPool2d(2)(a))


def test_max_pooling_moves_with_its_point():
    """A linear map on each piece only: at another point other entries of a window matter."""
    operation = MaxPool2d((1, 2), (1, 2))
    d = torch.tensor([[[[1.0, 2.0]]]])
    for a, expected in ((torch.tensor([[[[5.0, 3.0]]]]), 1.0), (torch.tensor([[[[3.0, 5.0]]]]), 2.0)):
        assert operation.image(d, a).item() == expected
        assert operation.adjoint(torch.ones(1, 1, 1, 1), a).sum() == 1.0


APART = [name for name, (operation, _) in PAIRS.items() if isinstance(operation, MaxPool2d) and not operation.overlaps]


@pytest.mark.parametrize("name", [*APART, "padded"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_both_ways_to_pool_give_the_same_bits(name: str, dtype: torch.dtype):
    """Ties, an image that lies otherwise in memory, and samples without a batch's axis included."""
    operation = MaxPool2d((2, 3), (2, 4), (1, 1)) if name == "padded" else PAIRS[name][0]
    assert isinstance(operation, MaxPool2d)
    for a in (randn(3, 2, 8, 9).round(decimals=1).relu(), randn(3, 9, 8, 2).permute(0, 3, 2, 1), randn(2, 8, 9)):
        a = a.to(dtype)
        masks, places = ChosenByMasks(operation, a), ChosenByPlaces(operation, a)
        assert torch.equal(masks.value, places.value)
        assert torch.equal(masks.image(a + 1), places.image(a + 1))
        assert torch.equal(masks.adjoint(places.value), places.adjoint(places.value))
        assert torch.equal(operation.at(a).adjoint(masks.value), masks.adjoint(masks.value))


def test_pooling_takes_the_way_that_is_faster_here(monkeypatch: pytest.MonkeyPatch):
    operation, a = MaxPool2d((2, 2), (2, 2)), randn(2, 1, 4, 4)
    for index, kind in enumerate((ChosenByMasks, ChosenByPlaces)):
        monkeypatch.setattr("altmin.operations.max_pooling.fastest", lambda key, ways, index=index: index)
        assert type(operation.at(a)) is kind
    overlapping = MaxPool2d((2, 2), (1, 1))
    assert overlapping.overlaps
    assert type(overlapping.at(a)) is ChosenByMasks


def test_unflatten_cuts_rows_into_samples_and_back():
    operation, a = Unflatten((2, 3, 4)), randn(5, 24)
    torch.testing.assert_close(operation(a), nn.Unflatten(1, (2, 3, 4))(a))
    torch.testing.assert_close(operation.adjoint(operation(a), a), a)
    assert operation.sample_size(None) == 24


def test_a_drawn_mask_is_that_of_the_generator_and_keeps_the_mean(generator: torch.Generator):
    operation, like = Dropout(0.25), torch.ones(400, 50, dtype=torch.float64)
    mask = operation.sample(like, generator)
    assert mask.mask.unique().tolist() == [0.0, pytest.approx(4 / 3)]
    assert (mask.mask == 0).double().mean() == pytest.approx(0.25, abs=0.01)  # a standard deviation is 0.003
    again = operation.sample(like, torch.Generator().manual_seed(0))
    assert torch.equal(mask.mask, again.mask)
    assert not torch.equal(mask.mask, operation.sample(like, generator).mask)


def test_a_mask_multiplies(generator: torch.Generator):
    a, d, r = randn(6, 5), randn(6, 5, seed=1), randn(6, 5, seed=2)
    mask = Mask(torch.tensor([2.0, 0.0, 2.0, 0.0, 2.0]).double())
    torch.testing.assert_close(mask(a), a * mask.mask)
    torch.testing.assert_close((mask.image(d, a) * r).sum(), (d * mask.adjoint(r, a)).sum())
    assert not mask.adjoint(r, a)[:, [1, 3]].any()


def test_dropout_without_a_probability_keeps_all():
    a = randn(6, 5)
    assert torch.equal(Dropout(0.0).sample(a, None)(a), a)


@pytest.mark.parametrize("name", [name for name in PAIRS if name.startswith("max")])
def test_of_equal_numbers_the_first_in_a_window_counts(name: str):
    """As PyTorch has it, row by row; whole numbers and constant images have ties in nearly all windows."""
    operation, module = PAIRS[name]
    for a in (randn(3, 2, 8, 9).round().clamp(-1, 1), torch.zeros(1, 1, 8, 9, dtype=torch.float64)):
        leaf, r = a.clone().requires_grad_(), randn(*operation(a).shape, seed=2)
        module(leaf).backward(r)
        torch.testing.assert_close(operation.adjoint(r, a), leaf.grad)
