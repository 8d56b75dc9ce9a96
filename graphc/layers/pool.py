"""Pooling over windows: the largest, or the mean, of sequences, images and volumes."""

from __future__ import annotations

from typing import Any, ClassVar

from graphc.layers.adaptive_pool import AdaptiveAvg, AdaptiveMax
from graphc.layers.base import Layer
from graphc.layers.fields import Ints1d, Ints3d
from graphc.layers.pooling import AvgPool, MaxPool, Pool1d, Pool3d


class MaxPool1d(Pool1d, MaxPool):
    """The largest value of every window of a sequence; padding never wins."""

    kind: ClassVar[str] = "max_pool1d"
    global_kind: ClassVar[str] = "global_max_pool1d"

    dilation: Ints1d = (1,)
    """Positions from one tap of the window to the next."""

    def adaptive(self) -> Layer:
        return AdaptiveMaxPool1d(output_size=self.output_size)


class MaxPool2d(MaxPool):
    """The largest value of every window; padding never wins."""

    kind: ClassVar[str] = "max_pool2d"
    global_kind: ClassVar[str] = "global_max_pool2d"

    def unpooling(self) -> dict[str, Any] | None:
        fixed = self.kernel is not None and all(isinstance(extent, int) for extent in self.kernel)
        if not fixed or self.step() != self.kernel or self.is_spread:
            return None
        return {"kernel": self.kernel, "padding": self.padding, "ceil_mode": self.ceil_mode}

    def adaptive(self) -> Layer:
        return AdaptiveMaxPool2d(output_size=self.output_size)


class MaxPool3d(Pool3d, MaxPool):
    """The largest value of every window of a volume; padding never wins."""

    kind: ClassVar[str] = "max_pool3d"
    global_kind: ClassVar[str] = "global_max_pool3d"

    dilation: Ints3d = (1, 1, 1)
    """Positions from one tap of the window to the next: one number, or [depth, height, width]."""

    def adaptive(self) -> Layer:
        return AdaptiveMaxPool3d(output_size=self.output_size)


class AvgPool1d(Pool1d, AvgPool):
    """The mean of every window of a sequence."""

    kind: ClassVar[str] = "avg_pool1d"
    global_kind: ClassVar[str] = "global_avg_pool1d"

    def adaptive(self) -> Layer:
        return AdaptiveAvgPool1d(output_size=self.output_size)


class AvgPool2d(AvgPool):
    """The mean of every window."""

    kind: ClassVar[str] = "avg_pool2d"
    global_kind: ClassVar[str] = "global_avg_pool2d"

    def adaptive(self) -> Layer:
        return AdaptiveAvgPool2d(output_size=self.output_size)


class AvgPool3d(Pool3d, AvgPool):
    """The mean of every window of a volume."""

    kind: ClassVar[str] = "avg_pool3d"
    global_kind: ClassVar[str] = "global_avg_pool3d"

    def adaptive(self) -> Layer:
        return AdaptiveAvgPool3d(output_size=self.output_size)


class AdaptiveMaxPool1d(MaxPool1d, AdaptiveMax):
    """Over windows that differ in size."""


class AdaptiveMaxPool2d(MaxPool2d, AdaptiveMax):
    """Over windows that differ in size."""


class AdaptiveMaxPool3d(MaxPool3d, AdaptiveMax):
    """Over windows that differ in size."""


class AdaptiveAvgPool1d(AvgPool1d, AdaptiveAvg):
    """Over windows that differ in size."""


class AdaptiveAvgPool2d(AvgPool2d, AdaptiveAvg):
    """Over windows that differ in size."""


class AdaptiveAvgPool3d(AvgPool3d, AdaptiveAvg):
    """Over windows that differ in size."""
