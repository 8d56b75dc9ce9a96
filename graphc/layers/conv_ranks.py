"""Convolution of sequences and volumes: what `conv.py` and `depthwise_conv.py` say, along one axis and three."""

from __future__ import annotations

from typing import ClassVar

from graphc.layers.conv import Conv, Convolution
from graphc.layers.depthwise_conv import DepthwiseConv, SeparableConv
from graphc.layers.fields import Ints1d, Ints3d, Kernel1d, Kernel3d, Padding1d, Padding3d
from graphc.layers.windowed_ranks import Windowed1d, Windowed3d


class Convolution1d(Windowed1d, Convolution):
    """The same along sequences."""

    kernel: Kernel1d
    """The window's positions; `input`: as many as the input has; {at_most: 5}: no more than the input has."""
    stride: Ints1d = (1,)
    """Positions from one window to the next."""
    padding: Padding1d = "same"
    dilation: Ints1d = (1,)
    """Positions from one tap of the window to the next."""


class Convolution3d(Windowed3d, Convolution):
    """The same of volumes."""

    kernel: Kernel3d
    """The window's positions: one number for all axes, or [depth, height, width]; `input`: as many as the input has;
    {at_most: 5}: no more than the input has."""
    stride: Ints3d = (1, 1, 1)
    """Positions from one window to the next: one number, or [depth, height, width]."""
    padding: Padding3d = "same"
    dilation: Ints3d = (1, 1, 1)
    """Positions from one tap of the window to the next: one number, or [depth, height, width]."""


class Conv1d(Convolution1d, Conv):
    """Convolution along sequences and signals: cross-correlation, as every framework has it."""

    kind: ClassVar[str] = "conv1d"


class Conv3d(Convolution3d, Conv):
    """Convolution of volumes, such as frames of a video one after the other."""

    kind: ClassVar[str] = "conv3d"


class DepthwiseConv1d(Convolution1d, DepthwiseConv):
    """Convolution of each channel of a sequence with its own filters; output c*depth_multiplier + j is filter j of
    channel c."""

    kind: ClassVar[str] = "depthwise_conv1d"


class DepthwiseConv3d(Convolution3d, DepthwiseConv):
    """Convolution of each channel of a volume with its own filters; output c*depth_multiplier + j is filter j of
    channel c."""

    kind: ClassVar[str] = "depthwise_conv3d"


class SeparableConv1d(Convolution1d, SeparableConv):
    """A depthwise convolution along sequences, then a convolution of one position, with nothing between."""

    kind: ClassVar[str] = "separable_conv1d"
    pointwise: ClassVar[type[Conv]] = Conv1d


class SeparableConv3d(Convolution3d, SeparableConv):
    """A depthwise convolution of volumes, then a convolution of one position, with nothing between."""

    kind: ClassVar[str] = "separable_conv3d"
    pointwise: ClassVar[type[Conv]] = Conv3d
