"""Windows over sequences and volumes."""

from __future__ import annotations

from typing import ClassVar

from graphc.layers.fields import Kernel1d, Kernel3d, Padding1d, Padding3d
from graphc.layers.windowed import Windowed


class Windowed1d(Windowed):
    """Windows over sequences."""

    rank: ClassVar[int] = 1

    kernel: Kernel1d | None = None
    """The window's positions; `input`: as many as the input has; {at_most: 5}: no more than the input has."""
    padding: Padding1d = "valid"
    """same, valid, same_fixed, positions for both sides, or [before, after]."""


class Windowed3d(Windowed):
    """Windows over volumes."""

    rank: ClassVar[int] = 3

    kernel: Kernel3d | None = None
    """The window's positions: one number for all axes, or [depth, height, width]; `input`: as many as the input has;
    {at_most: 5}: no more than the input has."""
    padding: Padding3d = "valid"
    """same, valid, same_fixed, positions for every side, [depth, height, width], or [before, after] for each of
    them."""
