"""The network that the options name."""

from __future__ import annotations

from typing import Any, Literal

from jsonargparse import ArgumentParser, Namespace

from altmin.cli.counts import Count, Depth
from altmin.study.activation_names import ACTIVATION_NAMES, activation_of
from altmin.study.model_source import ModelSource
from altmin.study.networks import NETWORKS, defaults
from altmin.study.run_files import source_of
from altmin.study.starts import STARTS

CHOICES = ("hidden", "activation", "batch_norm", "depth", "step_width")
MODEL = (
    f"{', '.join(NETWORKS)}, or FILE.py:FUNCTION, which returns an nn.Sequential; samples come flat, so that images "
    "need an nn.Unflatten first. The file is kept with the weights; predict --trust-model-code runs it"
)


def add_network(parser: ArgumentParser) -> None:
    """The options of networks; what a model does not take must be left out, and null stands for its default."""
    group = parser.add_argument_group("network")
    group.add_argument("--model", type=str, default="mlp", help=MODEL)
    about = f"widths of hidden layers; null: {_by_model('hidden')}"
    group.add_argument("--hidden", type=Count, nargs="*", default=None, help=about)
    about = f"of mlp: {', '.join(ACTIVATION_NAMES)}; null: {defaults('mlp')['activation']}"
    group.add_argument("--activation", type=str | None, default=None, help=about)
    about = "of mlp: hidden layers have no intercept, BatchNorm1d instead"
    group.add_argument("--batch-norm", action="store_true", help=about)
    about = f"linear layers in all; null: {_by_model('depth')}"
    group.add_argument("--depth", type=Depth | None, default=None, help=about)
    about = f"numbers read in a step, such as a row of an image; null: {_by_model('step_width')}"
    group.add_argument("--step-width", type=Count | None, default=None, help=about)
    about = f"what first weights are drawn from: {STARTS}; null: as PyTorch draws them"
    group.add_argument("--init", type=str | None, default=None, help=about)
    group.add_argument("--dtype", type=Literal["float32", "float64"], default="float32", help="of weights and data")


def _by_model(choice: str) -> str:
    """Each model's default of a choice, in words."""
    defined = {name: value for name in NETWORKS if (value := defaults(name).get(choice)) is not None}
    words = {name: " ".join(map(str, v)) if isinstance(v, tuple) else str(v) for name, v in defined.items()}
    return ", ".join(f"{name} {value}" for name, value in words.items())


def chosen(options: Namespace) -> tuple[str | ModelSource, dict[str, Any]]:
    """The model that `options` name, and its own arguments: all that can be checked before there are data.

    Raises:
        ValueError: An unknown model or activation, an option that the model does not take, a file that does not run.
        TypeError: A function that returns no `nn.Sequential`.
    """
    given = {name: options[name] for name in CHOICES if options[name] not in (None, False)}
    path, _, function = options.model.rpartition(":")
    model = source_of(path, function) if path else options.model
    if isinstance(model, ModelSource):
        model.build()
    taken = {} if isinstance(model, ModelSource) else defaults(model)
    for name in given:
        if name not in taken:
            raise ValueError(f"--model {options.model} does not take --{name.replace('_', '-')}")
    own = {**taken, **given}
    if "activation" in own:
        activation_of(own["activation"])
    return model, {name: tuple(value) if isinstance(value, list) else value for name, value in own.items()}
