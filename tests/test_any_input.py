"""Whatever is handed in, what comes back is finite, or an error that the documentation names, and nothing is lost."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from hypothesis import strategies as st

import altmin
from altmin.losses import make_loss
from altmin.regularizers import make_regularizer
from any_input import DOCUMENTED, SOUND, WRONG, built, methods, networks, options, samples, shares


@contextmanager
def documented() -> Iterator[None]:
    """A context in which the library's errors and warnings may come, and nothing else."""
    with warnings.catch_warnings():
        for kind in ("Conversion", "Inertia", "Penalty", "Precision", "Scale"):
            warnings.simplefilter("ignore", getattr(altmin, f"{kind}Warning"))
        try:
            yield
        except DOCUMENTED as error:
            said = str(error)
        else:
            return
    assert said.strip(), "an error without a word"
    assert len(said) < 2000, said[:200]


def finite(model: Any) -> bool:
    """Whether all parameters of a network are finite; what is no network has none."""
    parameters = model.parameters() if isinstance(model, torch.nn.Module) else ()
    return all(bool(torch.isfinite(p).all()) for p in parameters if not p.is_meta)


def check_ended(history: altmin.History) -> None:
    assert history.status in ("ok", "diverged", "stopped")
    for name in ("objective", "train_loss"):
        assert all(math.isfinite(value) for value in history[name]), (name, history[name])


def check_fit(network, method, data, chosen):
    model = built(network)
    before = finite(model)
    with documented():
        check_ended(altmin.fit(model, method(), data, **chosen))
    assert finite(model) == before


test_fit, test_more_fit = shares(800, check_fit, network=networks(), method=methods(), data=samples(), chosen=options())


def check_fit_stream(network, method, data, chosen):
    model = built(network)
    before = finite(model)
    with documented():
        check_ended(altmin.fit_stream(model, method(), data, **chosen))
    assert finite(model) == before


test_fit_stream, test_more_fit_stream = shares(
    300,
    check_fit_stream,
    network=networks(),
    method=methods(),
    data=st.lists(samples(), max_size=3),
    chosen=options("steps"),
)


ROWS = st.sampled_from(
    [None, slice(None), slice(0, 2), slice(5, 3), torch.tensor([0, 1]), torch.tensor([9]), [0], 0, "0"]
)


def check_steps_of_a_trainer(network, method, steps):
    """Steps that fail leave the trainer as it was: sound steps behind them go on."""
    model = built(network)
    x, y = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 2
    with documented():
        trainer = altmin.Trainer(model, method())
        sound = (x.to(next(model.parameters()).dtype), y)
        with documented():
            trainer.step(*sound)
        for data, rows in steps:
            pair = data if isinstance(data, tuple) and len(data) == 2 else (data, data)
            with documented():
                trainer.step(*pair, rows=rows)
        if trainer.samples is not None:
            with documented():
                assert math.isfinite(trainer.objective())


test_steps_of_a_trainer, test_more_steps_of_a_trainer = shares(
    300,
    check_steps_of_a_trainer,
    network=st.sampled_from(SOUND),
    method=methods(),
    steps=st.lists(st.tuples(samples(), ROWS), max_size=4),
)


def check_names_of_losses_and_regularisers(text):
    for make in (make_loss, make_regularizer):
        with documented():
            make(text)


test_names_of_losses_and_regularisers, test_more_names_of_losses_and_regularisers = shares(
    200, check_names_of_losses_and_regularisers, text=st.one_of(st.text("l123:-.einfa, ", max_size=8), WRONG)
)


def check_saved_states_of_others(values):
    model = built("mlp")
    trainer = altmin.Trainer(model, altmin.IPDLAM())
    x, y = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 2
    trainer.step(x, y)
    saved = trainer.state_dict()
    for i, value in enumerate(values):
        name = list(saved["state"])[(7 * i) % len(saved["state"])]
        with documented():
            trainer.load_state_dict({**saved, "state": {**saved["state"], name: value}})
        with documented():
            trainer.load_state_dict(value)
    trainer.load_state_dict(saved)
    trainer.step(x, y)
    assert finite(model)


test_saved_states_of_others, test_more_saved_states_of_others = shares(
    100, check_saved_states_of_others, values=st.lists(WRONG, min_size=1, max_size=3)
)
