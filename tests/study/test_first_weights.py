import pytest
import torch
from torch import nn

from altmin.nn import Elman
from altmin.study.description import NetworkDescription
from altmin.study.starts import parse_start


def linear(model: nn.Module, i: int) -> nn.Linear:
    """A layer of a network."""
    module = list(model.children())[i]
    assert isinstance(module, nn.Linear)
    return module


def test_weights_are_drawn_with_the_named_deviation_and_intercepts_set():
    network = NetworkDescription(inputs=(400,), outputs=300, options={"hidden": (300,)}, init="normal:0.01,bias:0.1")
    model = network.build(3)
    for layer in (linear(model, 0), linear(model, 2)):
        assert layer.weight.std().item() == pytest.approx(0.01, rel=0.02)
        assert layer.weight.mean().item() == pytest.approx(0.0, abs=2e-4)
        assert (layer.bias == 0.1).all()
    assert not torch.equal(linear(model, 0).weight, linear(network.build(4), 0).weight)
    assert torch.equal(linear(model, 0).weight, linear(network.build(3), 0).weight)


def test_intercepts_are_zero_unless_they_are_named_and_may_be_drawn_too():
    plain = linear(NetworkDescription(inputs=(4,), outputs=300, options={"hidden": ()}, init="uniform:0.5").build(), 0)
    assert plain.weight.abs().max() <= 0.5
    assert plain.weight.var().item() == pytest.approx(0.5**2 / 3, rel=0.1)
    assert (plain.bias == 0.0).all()
    network = NetworkDescription(inputs=(4,), outputs=300, options={"hidden": ()}, init="normal:2,bias:drawn")
    drawn = linear(network.build(), 0)
    assert drawn.bias.std().item() == pytest.approx(2.0, rel=0.15)


def test_normalisations_stay_and_recurrent_weights_are_drawn():
    options = {"hidden": (5,), "batch_norm": True}
    norm = NetworkDescription(inputs=(4,), outputs=3, options=options, init="normal:3,bias:7").build()[1]
    assert isinstance(norm, nn.BatchNorm1d)
    assert (norm.weight == 1.0).all()
    assert (norm.bias == 0.0).all()
    model = NetworkDescription(model="elman", inputs=(4,), outputs=3, init="normal:3,bias:7").build()
    elman = next(m for m in model.modules() if isinstance(m, Elman))
    assert elman.weight.std() > 1.5
    assert (elman.bias == 7.0).all()


@pytest.mark.parametrize("text", ["", "normal", "normal:", "normal:x", "gamma:1", "he", "normal:-1", "uniform:0"])
@pytest.mark.parametrize("rest", ["", ",bias", ",b:2"])
def test_another_start_is_refused(text, rest):
    with pytest.raises(ValueError, match=r"`init` must be normal:DEVIATION or uniform:BOUND"):
        parse_start(text + rest)
