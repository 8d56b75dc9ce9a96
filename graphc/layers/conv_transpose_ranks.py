"""Transposed convolution of sequences and volumes: what `conv_transpose.py` says, along one axis and three."""

from __future__ import annotations

from typing import ClassVar

from graphc.layers.conv_transpose import ConvTranspose
from graphc.layers.fields import Ints1d, Ints3d, Naturals1d, Naturals3d, Padding1d, Padding3d


class Conv1dTranspose(ConvTranspose):
    """The transpose of a convolution along sequences: each input position writes a window of outputs, `stride`
    apart."""

    kind: ClassVar[str] = "conv1d_transpose"
    rank: ClassVar[int] = 1

    kernel: Ints1d
    """The window's positions."""
    stride: Ints1d = (1,)
    """Outputs from one window to the next."""
    padding: Padding1d = "same"
    """same (length*stride outputs), valid (and kernel - stride more), or the positions that are cut off: of both ends,
    or [before, after]."""
    output_padding: Naturals1d = (0,)
    """Outputs added at the end, where padding is in positions; less than the stride. `like` chooses them."""
    dilation: Ints1d = (1,)
    """Outputs from one tap of the window to the next."""


class Conv3dTranspose(ConvTranspose):
    """The transpose of a convolution of volumes: each input position writes a window of outputs, `stride` apart."""

    kind: ClassVar[str] = "conv3d_transpose"
    rank: ClassVar[int] = 3

    kernel: Ints3d
    """The window's positions: one number for all axes, or [depth, height, width]."""
    stride: Ints3d = (1, 1, 1)
    """Outputs from one window to the next: one number, or [depth, height, width]."""
    padding: Padding3d = "same"
    """same (size*stride outputs), valid (and kernel - stride more), or the positions that are cut off: of every side,
    [depth, height, width], or [before, after] for each of them."""
    output_padding: Naturals3d = (0, 0, 0)
    """Outputs added after the last along each axis, where padding is in positions; less than the stride. `like`
    chooses them."""
    dilation: Ints3d = (1, 1, 1)
    """Outputs from one tap of the window to the next: one number, or [depth, height, width]."""
