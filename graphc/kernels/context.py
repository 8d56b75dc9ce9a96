"""How a layer runs on its shard of a batch: reused memory, random numbers, the other ranks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from graphc.kernels.chunks import chunks
from graphc.lazy import np
from graphc.parallel.communicator import Communicator, LocalCommunicator
from graphc.types import Array
from graphc.workspace import Workspace

if TYPE_CHECKING:
    import numpy

SLICE_BYTES = 1 << 20
"""Half of a core's second-level cache."""


@dataclass(slots=True)
class RunContext:
    """The `Context` of one layer in one step; by default its shard is the whole batch."""

    training: bool = False
    workspace: Workspace = field(default_factory=Workspace)
    step: int = 0
    """Batches of this training that went before."""
    key: tuple[int, ...] = (0,)
    """Seed, step, layer and rank: all that the layer's random numbers depend on."""
    input_gradient: bool = True
    """Whether backward is asked for the gradient of the inputs (not of images, nor below frozen layers)."""
    inplace: bool = False
    """Whether the layer may write its output over its first input: nobody else reads it."""
    frozen: frozenset[str] = frozenset()
    """Local names of variables whose gradients nobody asks for."""
    factored: bool = False
    """Whether the gradient of weights may come as its factors."""
    communicator: Communicator = field(default_factory=LocalCommunicator)
    """The ranks that work on the other shards of the batch."""

    @property
    def rank(self) -> int:
        return self.communicator.rank

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        return self.workspace.empty(shape, dtype)

    def cached_buffer(self, key: Any, shape: tuple[int, ...], dtype: Any) -> tuple[Array, bool]:
        return self.workspace.cached_buffer(key, shape, dtype)

    def all_gather(self, value: Any) -> list[Any]:
        return self.communicator.all_gather(value)

    def all_reduce(self, array: Array) -> Array:
        return self.communicator.all_reduce(array)

    def shared_buffer(self, shape: tuple[int, ...], dtype: Any) -> Array:
        return self.communicator.shared_buffer(shape, dtype)

    def random(self) -> numpy.random.Generator:
        return np.random.default_rng(self.key)

    def each_slice(self, work: Callable[[slice], Any], array: Array) -> list[Any]:
        return [work(part) for part in chunks(array, SLICE_BYTES)]
