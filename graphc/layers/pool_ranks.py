"""Pooling of sequences and volumes: what `pool.py` says, along one axis and three."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from graphc.layers.base import Layer
from graphc.layers.fields import Ints1d, Ints3d
from graphc.layers.pooling import AvgPool, MaxPool, Pool
from graphc.layers.windowed_ranks import Windowed1d, Windowed3d
from graphc.lazy import lazy_import

if TYPE_CHECKING:
    from graphc.layers import adaptive_pool
else:  # few pools are adaptive
    adaptive_pool = lazy_import("graphc.layers.adaptive_pool")


class Pool1d(Windowed1d, Pool):
    """The same along sequences."""

    stride: Ints1d | None = None
    """Positions from one window to the next; none: the kernel's size."""
    output_size: Ints1d | None = None
    """In place of a kernel, how many windows there are: adaptive pooling, as in PyTorch. Window i of n over L positions
    is floor(i*L/n) up to ceil((i + 1)*L/n)."""


class Pool3d(Windowed3d, Pool):
    """The same of volumes."""

    stride: Ints3d | None = None
    """Positions from one window to the next: one number, or [depth, height, width]; none: the kernel's size."""
    output_size: Ints3d | None = None
    """In place of a kernel, how many windows there are, one number or [depth, height, width]: adaptive pooling, as in
    PyTorch. Window i of n over D positions is floor(i*D/n) up to ceil((i + 1)*D/n)."""


class MaxPool1d(Pool1d, MaxPool):
    """The largest value of every window of a sequence; padding never wins."""

    kind: ClassVar[str] = "max_pool1d"
    global_kind: ClassVar[str] = "global_max_pool1d"

    dilation: Ints1d = (1,)
    """Positions from one tap of the window to the next."""

    def adaptive(self) -> Layer:
        return adaptive_pool.AdaptiveMaxPool1d(output_size=self.output_size)


class MaxPool3d(Pool3d, MaxPool):
    """The largest value of every window of a volume; padding never wins."""

    kind: ClassVar[str] = "max_pool3d"
    global_kind: ClassVar[str] = "global_max_pool3d"

    dilation: Ints3d = (1, 1, 1)
    """Positions from one tap of the window to the next: one number, or [depth, height, width]."""

    def adaptive(self) -> Layer:
        return adaptive_pool.AdaptiveMaxPool3d(output_size=self.output_size)


class AvgPool1d(Pool1d, AvgPool):
    """The mean of every window of a sequence."""

    kind: ClassVar[str] = "avg_pool1d"
    global_kind: ClassVar[str] = "global_avg_pool1d"

    def adaptive(self) -> Layer:
        return adaptive_pool.AdaptiveAvgPool1d(output_size=self.output_size)


class AvgPool3d(Pool3d, AvgPool):
    """The mean of every window of a volume."""

    kind: ClassVar[str] = "avg_pool3d"
    global_kind: ClassVar[str] = "global_avg_pool3d"

    def adaptive(self) -> Layer:
        return adaptive_pool.AdaptiveAvgPool3d(output_size=self.output_size)
