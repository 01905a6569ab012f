"""Modules of PyTorch, one by one, as the library's own maps, operations and activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from altmin import activations, maps, operations
from altmin.activations import Activation
from altmin.maps import LinearMap
from altmin.nn import Elman, Residual, Sign, Step
from altmin.operations import Operation


def _softplus(m: nn.Softplus) -> Activation:
    if m.beta != 1:
        raise ValueError(f"Softplus(beta={m.beta}) is not supported: only beta=1")
    if m.threshold < 20:  # beyond it PyTorch's is linear
        raise ValueError(f"Softplus(threshold={m.threshold}) is not supported: only 20 and more")
    return activations.Softplus()


ACTIVATIONS: dict[type[nn.Module], Callable[..., Activation]] = {
    nn.ReLU: lambda m: activations.ReLU(),
    nn.LeakyReLU: lambda m: activations.LeakyReLU(m.negative_slope),
    nn.Hardtanh: lambda m: activations.Hardtanh(m.min_val, m.max_val),
    nn.ReLU6: lambda m: activations.Hardtanh(0.0, 6.0),
    nn.Sigmoid: lambda m: activations.Sigmoid(),
    nn.Tanh: lambda m: activations.Tanh(),
    nn.Softplus: _softplus,
    Sign: lambda m: activations.Sign(),
    Step: lambda m: activations.Step(),
}


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


def _optional_pair(value: Any) -> tuple[int | None, int | None]:
    return tuple(value) if isinstance(value, tuple | list) else (value, value)


def _conv(m: nn.Conv2d) -> LinearMap:
    if m.padding_mode != "zeros":
        raise ValueError(f"padding_mode={m.padding_mode!r} is not supported: only zeros")
    kernel, dilation, padding = _pair(m.kernel_size), _pair(m.dilation), m.padding
    if padding == "same":
        around = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        if any(n % 2 for n in around):
            raise ValueError(f"padding='same' with a kernel of {kernel} is not symmetric, which is not supported")
        padding = tuple(n // 2 for n in around)
    padding = (0, 0) if padding == "valid" else _pair(padding)
    shape = (m.in_channels, m.out_channels, kernel, _pair(m.stride), padding, dilation)
    return maps.Conv2d(*shape, groups=m.groups, bias=m.bias is not None)


def _average(m: nn.AvgPool2d) -> Operation:
    if m.divisor_override is not None:
        raise ValueError("divisor_override is not supported")
    kernel, stride, padding = (_pair(v) for v in (m.kernel_size, m.stride, m.padding))
    return operations.AvgPool2d(kernel, stride, padding, m.ceil_mode, m.count_include_pad)


def _largest(m: nn.MaxPool2d) -> Operation:
    if m.return_indices:
        raise ValueError("return_indices is not supported")
    kernel, stride, padding, dilation = (_pair(v) for v in (m.kernel_size, m.stride, m.padding, m.dilation))
    return operations.MaxPool2d(kernel, stride, padding, dilation, m.ceil_mode)


def _unflatten(m: nn.Unflatten) -> Operation:
    sizes = tuple(m.unflattened_size)
    if m.dim != 1 or any(not isinstance(n, int) or n < 1 for n in sizes):
        raise ValueError(f"only dimension 1 with fixed sizes is supported, got {m.dim}, {sizes}")
    return operations.Unflatten(sizes)  # type: ignore[arg-type]


def _dropout(m: nn.Dropout) -> Operation:
    if m.p >= 1:
        raise ValueError("p must be below 1")
    return operations.Dropout(m.p)


def _flatten(m: nn.Flatten) -> Operation:
    if (m.start_dim, m.end_dim) != (1, -1):
        raise ValueError("only start_dim=1 and end_dim=-1 are supported")
    return operations.Flatten()


MAPS: dict[type[nn.Module], Callable[..., Any]] = {
    nn.Linear: lambda m: maps.Linear(m.in_features, m.out_features, m.bias is not None),
    nn.Conv2d: _conv,
    Elman: lambda m: maps.Recurrent(m.inputs, m.hidden, m.bias is not None),
}
OPERATIONS: dict[type[nn.Module], Callable[..., Operation]] = {
    nn.MaxPool2d: _largest,
    nn.AvgPool2d: _average,
    nn.AdaptiveAvgPool2d: lambda m: operations.AdaptiveAvgPool2d(_optional_pair(m.output_size)),
    nn.Flatten: _flatten,
    nn.Unflatten: _unflatten,
    nn.Dropout: _dropout,
}
NORMS = {nn.BatchNorm1d: maps.Linear, nn.BatchNorm2d: maps.Conv2d}
KNOWN = (*MAPS, *NORMS, *OPERATIONS, Residual, nn.Identity, *ACTIVATIONS)
SUPPORTED = ", ".join(kind.__name__ for kind in KNOWN)
