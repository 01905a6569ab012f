"""Pieces that the networks of these tests are put together from."""

from torch import nn

from altmin import (
    Residual,
)


def between(*modules):
    """These modules between two linear ones."""
    return [nn.Linear(4, 3), *modules, nn.Linear(3, 2)]


def images(*modules, features):
    """These modules on images of 2 channels, 8 by 7, before a linear layer."""
    return [*modules, nn.Flatten(), nn.Linear(features, 3)]


def convolved(*args, features, **options):
    """A convolution of these numbers on the images."""
    return images(nn.Conv2d(2, *args, **options), nn.ReLU(), features=features)


def pooled(*modules, features):
    """These modules between two convolutions: 3 channels, 8 by 7, go in."""
    return images(nn.Conv2d(2, 3, 3, padding=1), nn.Tanh(), *modules, nn.Conv2d(3, 2, 1), nn.ReLU(), features=features)


def block(*modules):
    """These modules as a residual connection of width 3 between linear layers."""
    return [nn.Linear(4, 3), Residual(*modules), nn.Tanh(), nn.Linear(3, 2)]


def tail():
    """What turns 3 numbers into the outputs."""
    return [nn.Tanh(), nn.Linear(3, 2)]
