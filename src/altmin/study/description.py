"""What a saved network is: everything but its weights, from which it can be built again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from altmin.checks import check_types
from altmin.study.integrity import kinds
from altmin.study.model_source import ModelSource
from altmin.study.networks import NETWORKS, check_options
from altmin.study.starts import draw_start, parse_start

if TYPE_CHECKING:
    from altmin.data import TableEncoder
else:
    TableEncoder = Any  # what checks types at run time does without pandas

DESCRIPTION = "model.json"
MOST = 2**22  # bytes of a description; a larger one is refused


DTYPES = {"float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Which data a network was trained on: what `altmin.data.load` needs to draw the same samples again.

    Attributes:
        name: The data set's name.
        seed: The seed of its splits.
        train_samples: How many training samples were used; `None` for all.
        table: The options of ``csv``, fields of `altmin.data.TableOptions`.
        center: Whether the training samples' mean was subtracted.
    """

    name: str = "digits"
    seed: int = 0
    train_samples: int | None = None
    table: dict[str, str] | None = None
    center: bool = False

    def __post_init__(self) -> None:
        check_types(self)


@dataclass(frozen=True, kw_only=True)
class NetworkDescription:
    """Everything but the weights: what rebuilds a network, and says what its outputs mean.

    Attributes:
        model: A name in `altmin.study.networks.NETWORKS`, or a function in the user's own file.
        inputs: The shape of a sample, such as ``(64,)`` or ``(1, 28, 28)``; samples come flat.
        outputs: Width of the output.
        options: The model's own arguments, such as ``{"hidden": (128, 128)}``.
        dtype: ``"float32"`` or ``"float64"``.
        loss: What it was trained with.
        classes: The outputs' names; `None` for regression.
        data: What it was trained on.
        init: What its first weights are drawn from, such as ``"normal:0.01,bias:0.1"`` (`altmin.study.starts`); `None`
            for PyTorch's own draw.
        run: Which run trained it, a name that no other run has; its results have it too.
        encoder: What turns the rows of a table into its inputs; `None` where it was not trained on a table. It has a
            file of its own.
    """

    model: str | ModelSource = "mlp"
    inputs: tuple[int, ...]
    outputs: int
    options: dict[str, Any] = field(default_factory=dict)
    dtype: str = "float32"
    loss: str = "cross_entropy"
    classes: tuple[str, ...] | None = None
    data: Origin = Origin()
    init: str | None = None
    run: str | None = field(default=None, compare=False)
    encoder: TableEncoder | None = None

    def __post_init__(self) -> None:
        check_types(self)
        if self.dtype not in DTYPES:
            raise ValueError(f"unknown `dtype` {self.dtype!r}; known: {', '.join(DTYPES)}")
        if not self.inputs or min((*self.inputs, self.outputs)) < 1:
            raise ValueError(f"`inputs` and `outputs` must be 1 or more, got {self.inputs} and {self.outputs}")
        names = len(self.classes or ())
        if self.classes is not None and names != max(self.outputs, 2):  # one output tells two classes apart
            raise ValueError(
                f"`classes` must name {max(self.outputs, 2)} classes for {self.outputs} outputs, got {names}"
            )
        # As JSON has them: a character may take six bytes, and quotes, comma, line end and blanks eight.
        if sum(8 + 6 * len(name) for name in self.classes or ()) > MOST:
            raise ValueError(f"the names of {names:,} classes do not fit into the {MOST:,} bytes of {DESCRIPTION}")
        if self.init is not None:
            parse_start(self.init)
        self.tensors()  # the numbers are checked, and nothing is made

    def tensors(self) -> dict[str, str] | None:
        """Type and shape of each of the network's tensors; `None` where only a user's code can tell."""
        if isinstance(self.model, ModelSource):
            return None
        check_options(self.model, self.options)
        with torch.device("meta"):
            try:
                return kinds(self._made().state_dict())
            except (RuntimeError, OverflowError, TypeError) as error:
                reason = str(error).partition("\n")[0]
                raise ValueError(f"{self.model} cannot be made with these numbers ({reason})") from error

    @property
    def name(self) -> str:
        """The model's name; of a user's own, the file's and the function's."""
        return self.model.name if isinstance(self.model, ModelSource) else self.model

    def build(self, seed: int = 0) -> nn.Sequential:
        """The network with its first weights, as `init` says; the global generators are left as they were."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            model = self._made()
            if self.init is not None:
                draw_start(model, parse_start(self.init))
            return model

    def _made(self) -> nn.Sequential:
        if isinstance(self.model, ModelSource):
            return self.model.build().to(DTYPES[self.dtype])
        return NETWORKS[self.model](self.inputs, self.outputs, **self.options).to(DTYPES[self.dtype])
