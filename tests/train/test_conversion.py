"""Samples of other numbers than the model's are converted, which is said once, and done once for the same ones."""

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import altmin
from altmin import BCD, Backprop, ConversionWarning, ScaleWarning, Trainer
from altmin.train.inputs import SampleReader

N = 40
X = torch.randn(N, 3, generator=torch.Generator().manual_seed(1)).half().float()  # of few digits: nothing is lost
Y = (X[:, 0] > 0.2).long()
REAL = X[:, :2] * 2 + 1


def network(dtype=torch.float32):
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).to(dtype)


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def trained(*data, dtype=torch.float32, **options):
    model = network(dtype)
    altmin.fit(model, Backprop(), *data, epochs=2, batch_size=16, seed=0, **options)
    return weights(model)


def said(call, kind: type[Warning] = ConversionWarning):
    """What a call gives, and the texts of its warnings of a kind."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = call()
    return result, [str(w.message) for w in caught if w.category is kind]


FORMS = {
    "float64 arrays": (lambda: (X.double().numpy(), Y.numpy()), "torch.float64"),
    "float64 tensors": (lambda: (X.double(), Y), "torch.float64"),
    "float16": (lambda: (X.half(), Y), "torch.float16"),
    "bfloat16": (lambda: (X.bfloat16(), Y), "torch.bfloat16"),
    "a list of numbers": (lambda: (X.tolist(), Y.tolist()), "torch.float64"),
    "big-endian arrays": (lambda: (X.numpy().astype(">f8"), Y.numpy()), "torch.float64"),
    "a Dataset": (lambda: TensorDataset(X.double(), Y), "torch.float64"),
    "integers": (lambda: ((4 * X).long(), Y), "torch.int64"),
    "bytes": (lambda: ((4 * X.abs()).to(torch.uint8), Y), "torch.uint8"),
    "truth values": (lambda: (X > 0, Y), "torch.bool"),
    "16-bit arrays": (lambda: ((4 * X.abs()).numpy().astype(np.uint16), Y), "torch.uint16"),
}


@pytest.mark.parametrize("form", FORMS)
def test_inputs_of_other_numbers_are_converted_which_is_said_once(form):
    data, kind = FORMS[form][0](), FORMS[form][1]
    got, texts = said(lambda: trained(data, validation=data, test=data))
    given = data.tensors[0] if isinstance(data, TensorDataset) else data[0]
    x = given.float() if isinstance(given, torch.Tensor) else torch.tensor(np.array(given, np.float32))
    assert torch.equal(got, trained(x, Y, validation=(x, Y)))
    assert texts == [
        f"`data`: x of {kind} is converted to torch.float32, the model's; hand in such numbers, or say by `precision` "
        "what model and data are to be"
    ]


def test_real_targets_are_converted_with_their_inputs():
    got, (text,) = said(lambda: trained(X.double().numpy(), REAL.double().numpy(), loss="squared"))
    assert torch.equal(got, trained(X, REAL, loss="squared"))
    assert "`data`: x of torch.float64 and y of torch.float64 are converted to torch.float32" in text
    assert "`data`: y of torch.float64 is" in said(lambda: trained(X, REAL.double(), loss="squared"))[1][0]


def test_numbers_of_fewer_digits_than_the_models_are_converted():
    got, (text,) = said(lambda: trained(X, Y, dtype=torch.float64))
    assert torch.equal(got, trained(X.double(), Y, dtype=torch.float64))
    assert "x of torch.float32 is converted to torch.float64" in text


def test_the_argument_that_is_converted_first_is_named():
    assert "`validation`: x of" in said(lambda: trained(X, Y, validation=(X.double(), Y)))[1][0]
    stream = [(X, Y), (X.double(), Y), (X.double(), Y)]
    (text,) = said(lambda: altmin.fit_stream(network(), Backprop(), stream, steps=3))[1]
    assert "`batches`: x of" in text


def test_nothing_is_said_where_a_precision_asks_for_it():
    for x in (X.double(), (4 * X).long()):
        assert not said(lambda x=x: trained(x, Y, precision="float32"))[1]


def test_images_of_bytes_keep_their_values_and_their_scale_is_said():
    images = (100 * X.abs()).to(torch.uint8)
    (text,) = said(lambda: trained(images, Y), ScaleWarning)[1]
    assert "x.std()" in text
    assert len(said(lambda: trained(images, Y))[1]) == 1


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (torch.full((N, 3), 1e300, dtype=torch.float64), r"x as torch.float32 holds inf at \(0, 0\)"),
        (torch.full((N, 3), float("nan"), dtype=torch.float64), r"x as torch.float32 holds nan at \(0, 0\)"),
    ],
)
def test_numbers_that_the_model_cannot_hold_are_refused(x, text):
    with pytest.raises(ValueError, match=f"`data`: {text}"):
        trained(x, Y)


def test_complex_inputs_are_refused():
    with pytest.raises(TypeError, match=r"`data`: x must hold real numbers, got torch.complex64"):
        trained(X.to(torch.complex64), Y)


# Steps of one's own

PAIRS: dict[str, Any] = {
    "tensors": lambda: (X.double(), Y.clone()),
    "arrays": lambda: (X.double().numpy(), Y.numpy().copy()),
    "read from behind": lambda: (X.double().flip(0).numpy()[::-1], Y.numpy().copy()),
    "an array and a tensor": lambda: (X.double().numpy(), Y.clone()),
    "a tensor and an array": lambda: (X.double(), Y.numpy().copy()),
}


@pytest.mark.parametrize("form", PAIRS)
def test_the_same_samples_are_converted_once(form, monkeypatch):
    x, y = PAIRS[form]()
    reads, read = [], SampleReader.read
    monkeypatch.setattr(SampleReader, "read", lambda *args: (reads.append(1), read(*args))[1])
    trainer, plain = Trainer(network(), BCD()), Trainer(network(), BCD())
    _, texts = said(lambda: [trainer.step(x, y) for _ in range(3)])
    assert len(reads) == 1
    assert len(texts) == 1
    for _ in range(3):
        plain.step(X, Y)
    assert torch.equal(weights(trainer.model), weights(plain.model))


@pytest.mark.filterwarnings("ignore::altmin.ConversionWarning")
@pytest.mark.parametrize("form", PAIRS)
@pytest.mark.parametrize("part", ["x", "y"])
def test_samples_that_were_written_to_are_not_taken_for_the_same(form, part):
    x, y = PAIRS[form]()
    trainer = Trainer(network(), BCD())
    trainer.step(x, y)
    if part == "x":
        x[-1, 1] += 1.0
    else:
        y[-1] = 1 - y[-1]
    with pytest.raises(ValueError, match="`data`: "):
        trainer.step(x, y)


@pytest.mark.filterwarnings("ignore::altmin.ConversionWarning")
def test_other_batches_of_arrays_are_read_anew():
    model, other = network(), network()
    trainer, plain = Trainer(model, "am-adam", samples=N, seed=0), Trainer(other, "am-adam", samples=N, seed=0)
    x, y = X.double().numpy(), Y.numpy()
    for i in range(0, N, 8):
        trainer.step(x[i : i + 8], y[i : i + 8])
        plain.step(X[i : i + 8], Y[i : i + 8])
    assert torch.equal(weights(model), weights(other))
