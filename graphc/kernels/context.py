"""How a layer runs on its part of a batch: reused memory, random numbers, the other parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from graphc.kernels.chunks import chunks
from graphc.kernels.workspace import Workspace
from graphc.lazy import np
from graphc.types import Array

if TYPE_CHECKING:
    import numpy

SLICE_BYTES = 1 << 20
"""Half of a core's second-level cache."""


def _alone(value: Any) -> list[Any]:
    return [value]


@dataclass(slots=True)
class RunContext:
    """The `Context` of one layer in one step; by default its part is the whole batch."""

    training: bool = False
    workspace: Workspace = field(default_factory=Workspace)
    step: int = 0
    """Batches of this training that went before."""
    key: tuple[int, ...] = (0,)
    """Seed, step, layer and part: all that the layer's random numbers depend on."""
    input_gradient: bool = True
    """Whether backward is asked for the gradient of the inputs (not of images, nor below frozen layers)."""
    overwrite: bool = False
    """Whether the layer may write its output over its first input: nobody else reads it."""
    factors: bool = False
    """Whether the gradient of weights may come as its factors."""
    part: int = 0
    """Which part of the batch this is."""
    gather: Callable[[Any], list[Any]] = _alone
    shared_empty: Callable[[tuple[int, ...], Any], Array] | None = None
    """Where the batch has other parts: an array that all of them see."""

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        return self.workspace.empty(shape, dtype)

    def kept(self, key: Any, shape: tuple[int, ...], dtype: Any) -> tuple[Array, bool]:
        return self.workspace.kept(key, shape, dtype)

    def common(self, shape: tuple[int, ...], dtype: Any) -> Array:
        return self.empty(shape, dtype) if self.shared_empty is None else self.shared_empty(shape, dtype)

    def random(self) -> numpy.random.Generator:
        return np.random.default_rng(self.key)

    def each_slice(self, work: Callable[[slice], Any], array: Array) -> list[Any]:
        return [work(part) for part in chunks(array, SLICE_BYTES)]
