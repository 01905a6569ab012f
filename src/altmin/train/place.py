"""Where training takes place, and whether the model that it is about is where it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from altmin.convert.weight_memory import check_own_memory
from altmin.precision import Precision, dtype_of


@dataclass(frozen=True)
class Place:
    """Where training takes place, and in what numbers.

    Attributes:
        like: A tensor there: its dtype and device are expected.
        move: Move tensors to that device; arrays and samples of a `Dataset` always are.
        cast: Convert floating-point numbers to that dtype.
    """

    like: Tensor
    move: bool = False
    cast: bool = False

    @classmethod
    def of(cls, model: nn.Sequential, device: str | torch.device | None, precision: Precision | None) -> Place:
        """Where `model` lies and what it consists of, but for what is asked for."""
        like, dtype = check_model(model), dtype_of(precision)
        name = like.device if device is None else check_device(device)
        return cls(like.new_empty(0, device=name, dtype=dtype), device is not None, dtype is not None)

    def take(self, model: nn.Sequential) -> None:
        """Move and convert the model."""
        model.to(self.like)

    def tensor(self, t: Tensor, always: bool) -> Tensor:
        """`t`, moved and converted where it is to be, or moved `always`."""
        t = t.to(self.like.device) if self.move or always else t
        return t.to(self.like.dtype) if self.cast and t.is_floating_point() else t


class Storage:
    """The memory that a model's parameters and buffers had when this was made.

    A state writes into that memory: where the model has moved away from it, training would not reach the model.
    """

    def __init__(self, model: nn.Module):
        self._found: list[tuple[dict[str, Any], str, int]] = [
            (group, name, t.data_ptr())
            for module in model.modules()
            for group in (module._parameters, module._buffers)
            for name, t in group.items()
            if t is not None
        ]

    def check(self) -> None:
        """Raise `RuntimeError` where a parameter or buffer lies elsewhere, or is no more."""
        for group, name, pointer in self._found:
            t = group.get(name)
            if t is None or t.data_ptr() != pointer:
                raise RuntimeError(
                    f"the model's {name} was moved or replaced since training began (by `model.to`, or by another "
                    "parameter), so that training no longer reaches it; make a new Trainer, or a new call of fit"
                )


def check_device(name: str | torch.device) -> str:
    """`name`, if there is such a device; for ``"auto"`` that of CUDA where there is one, else the CPU.

    Raises:
        ValueError: No device of PyTorch's, one that is not there, or one without numbers, such as meta.
    """
    name = ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"`device` must be such as cpu, cuda or cuda:1, or auto, got {name!r}") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"`device` {name}: PyTorch finds {torch.cuda.device_count()} CUDA device(s) here")
    try:
        float(torch.ones((), device=device))
    except (RuntimeError, AssertionError, ImportError) as error:
        raise ValueError(f"`device` {name}: PyTorch cannot compute there on this machine") from error
    return str(name)


def check_model(model: nn.Sequential) -> Tensor:
    """The first parameter, once all can be trained in place: of one kind, finite, each in memory of its own.

    Raises:
        TypeError: Parameters or buffers that cannot each be written to by itself; more than one dtype or device.
        ValueError: Parameters that are nan or inf.
    """
    params = list(model.parameters())
    for what in ("dtype", "device"):
        kinds = list(dict.fromkeys(str(getattr(p, what)) for p in params))
        if len(kinds) > 1:
            raise TypeError(f"`model` has parameters of more than one {what}: {', '.join(kinds)}; make them one")
    if params[0].dtype not in (torch.float32, torch.float64):
        raise TypeError(f"`model` must be float32 or float64, got {params[0].dtype}")
    tensors = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    for name, t in tensors:
        _check_tensor(name, t)
    check_own_memory(tensors)
    for name, p in model.named_parameters():
        if not bool(torch.isfinite(p).all()):
            raise ValueError(f"`model`: parameter {name} holds nan or inf")
    return params[0]


def _check_tensor(name: str, t: Tensor) -> None:
    """Raise `TypeError` where a parameter or buffer cannot be written to in place as an ordinary tensor."""
    if type(t) not in (nn.Parameter, nn.Buffer, Tensor):
        raise TypeError(f"`model`: {name} is a {type(t).__name__}; altmin trains ordinary tensors alone")
    if t.is_inference():
        raise TypeError(
            f"`model`: {name} was made under torch.inference_mode, so that nothing can train it; make the model "
            "outside of it, or train copy.deepcopy(model)"
        )
    if t.is_meta:
        raise TypeError(
            f"`model`: {name} is on the meta device, where there are no numbers; fill a model on another one"
        )
    if t.layout is not torch.strided:
        raise TypeError(f"`model`: {name} has the layout {t.layout}; altmin trains dense tensors alone, by to_dense()")
