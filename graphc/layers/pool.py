"""Pooling over windows: the largest, or the mean, of images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from graphc.layers.base import Layer
from graphc.layers.pooling import AvgPool, MaxPool
from graphc.lazy import lazy_import

if TYPE_CHECKING:
    from graphc.layers import adaptive_pool
else:  # few pools are adaptive
    adaptive_pool = lazy_import("graphc.layers.adaptive_pool")


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
        return adaptive_pool.AdaptiveMaxPool2d(output_size=self.output_size)


class AvgPool2d(AvgPool):
    """The mean of every window."""

    kind: ClassVar[str] = "avg_pool2d"
    global_kind: ClassVar[str] = "global_avg_pool2d"

    def adaptive(self) -> Layer:
        return adaptive_pool.AdaptiveAvgPool2d(output_size=self.output_size)
