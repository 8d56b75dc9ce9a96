"""A tensor of a training graph: what is computed with it becomes nodes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, Union

from graphc.lazy import np
from graphc.types import Array

Operand: TypeAlias = Union["Tensor", float]


class GraphWriter(Protocol):
    """Where nodes go."""

    block: int
    """Channels in a block of onnxruntime's own layout, as `graphc.training_graph.blocked` says; 0: only standard
    operators."""
    shapes: dict[str, tuple[int, ...]]
    """Of all tensors so far, by name."""
    transposed: dict[str, tuple[Tensor, tuple[int, ...]]]
    """What a Transpose has given -> what it was given, and the order."""

    def node(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> list[str]:
        """A node of this kind; the names of its outputs. The same node twice is one."""

    def initializer(self, array: Array) -> str:
        """The name of a constant of any shape, float32, int32 or int64; equal ones are one."""

    def convolution(
        self, x: Tensor, weights: Tensor, biases: Tensor | None, attributes: Mapping[str, Any], shape: Sequence[int]
    ) -> Tensor:
        """Conv of x [N, C, …] by weights [K, C/groups, …]: [N, K, …], of this shape, in the form that the target
        computes right. No Conv is made in another way."""


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A value of the graph: float32, or the int32 of class indices. A mask is 1 where something holds, else 0."""

    graph: GraphWriter
    name: str
    shape: tuple[int, ...]
    """As it lies, with the batch."""

    def __post_init__(self) -> None:
        self.graph.shapes[self.name] = self.shape

    # element by element -------------------------------------------------------------------------------------

    def __add__(self, other: Operand) -> Tensor:
        return self if other == 0 else self._with("Add", other)

    def __radd__(self, other: float) -> Tensor:
        return self + other

    def __sub__(self, other: Operand) -> Tensor:
        return self if other == 0 else self._with("Sub", other)

    def __rsub__(self, other: float) -> Tensor:
        return self._number(other)._with("Sub", self)

    def __mul__(self, other: Operand) -> Tensor:
        return self if other == 1 else self._with("Mul", other)

    def __rmul__(self, other: float) -> Tensor:
        return self * other

    def __truediv__(self, other: Operand) -> Tensor:
        return self if other == 1 else self._with("Div", other)

    def __rtruediv__(self, other: float) -> Tensor:
        return self._number(other)._with("Div", self)

    def __pow__(self, exponent: Operand) -> Tensor:
        return self._with("Pow", exponent)

    def __neg__(self) -> Tensor:
        return self.apply("Neg")

    def apply(self, kind: str, **attributes: Any) -> Tensor:
        """An operator of one input that keeps the shape: Exp, Log, Sqrt, Abs, Tanh, Sigmoid, Relu, Erf, …"""
        (name,) = self.graph.node(kind, self.name, **attributes)
        return Tensor(self.graph, name, self.shape)

    def exp(self) -> Tensor:
        return self.apply("Exp")

    def log(self) -> Tensor:
        return self.apply("Log")

    def sqrt(self) -> Tensor:
        return self.apply("Sqrt")

    def abs(self) -> Tensor:
        return self.apply("Abs")

    def relu(self) -> Tensor:
        return self.apply("Relu")

    def sigmoid(self) -> Tensor:
        return self.apply("Sigmoid")

    def softplus(self) -> Tensor:
        """log(1 + exp(x)) without overflow."""
        return self.relu() + ((-self.abs()).exp() + 1).log()

    def log_softmax(self, axis: int) -> Tensor:
        """The logarithms of a softmax along an axis."""
        shifted = self - self.max(axis, keep=True)
        return shifted - shifted.exp().sum(axis, keep=True).log()

    def round(self) -> Tensor:
        """The nearest whole numbers, halves to the even one."""
        return self.apply("Round")

    def clip(self, least: Operand | None = None, most: Operand | None = None) -> Tensor:
        """The numbers, none below `least` nor above `most`, which are numbers or tensors of one."""
        bounds = [self._operand(bound).name if bound is not None else "" for bound in (least, most)]
        (name,) = self.graph.node("Clip", self.name, *bounds)
        return Tensor(self.graph, name, self.shape)

    # masks --------------------------------------------------------------------------------------------------

    def above(self, limit: Operand) -> Tensor:
        """1 where a number is above the limit, else 0."""
        return self._with("Greater", limit)._as_mask()

    def below(self, limit: Operand) -> Tensor:
        """1 where a number is below the limit, else 0."""
        return self._with("Less", limit)._as_mask()

    def equals(self, other: Operand) -> Tensor:
        """1 where both are equal, else 0."""
        return self._with("Equal", other)._as_mask()

    def sign(self) -> Tensor:
        """-1, 0 or 1."""
        return self.above(0) - self.below(0)

    def one_hot(self, classes: int) -> Tensor:
        """Of class indices [...], int32: [..., classes] with a 1 where the class is; none for an index out of range."""
        each = Tensor(self.graph, self.graph.initializer(np.arange(classes, dtype=np.int32)), (classes,))
        return self.reshape(*self.shape, 1).equals(each)

    def is_index(self, index: int) -> Tensor:
        """Of class indices, int32: 1 where it is this one, else 0."""
        return self.equals(Tensor(self.graph, self.graph.initializer(np.asarray(index, np.int32)), ()))

    def _as_mask(self) -> Tensor:
        return self.apply("Cast", to=1)

    # over axes ----------------------------------------------------------------------------------------------

    def sum(self, *axes: int, keep: bool = False) -> Tensor:
        """The sum over these axes; of all where none is given."""
        axes = self._axes(axes)
        if all(self.shape[axis] == 1 for axis in axes):
            return self if keep else self.reshape(*self._reduced(axes, keep))
        (name,) = self.graph.node("ReduceSum", self.name, self._integers(axes), keepdims=int(keep))
        return Tensor(self.graph, name, self._reduced(axes, keep))

    def mean(self, *axes: int, keep: bool = False) -> Tensor:
        """The mean over these axes; of all where none is given."""
        return self._reduce("ReduceMean", axes, keep)

    def max(self, *axes: int, keep: bool = False) -> Tensor:
        """The largest over these axes; of all where none is given."""
        return self._reduce("ReduceMax", axes, keep)

    def min(self, *axes: int, keep: bool = False) -> Tensor:
        """The least over these axes; of all where none is given."""
        return self._reduce("ReduceMin", axes, keep)

    def cumulative_sum(self, axis: int) -> Tensor:
        """At each place along an axis the sum up to it, it included."""
        (name,) = self.graph.node("CumSum", self.name, self.graph.initializer(np.asarray(axis % self.rank, np.int64)))
        return Tensor(self.graph, name, self.shape)

    def largest(self, count: int) -> Tensor:
        """The so many largest numbers along the last axis, in falling order."""
        name, _ = self.graph.node("TopK", self.name, self._integers((count,)), outputs=2, axis=self.rank - 1)
        return Tensor(self.graph, name, (*self.shape[:-1], count))

    def square_sum(self, *axes: int, keep: bool = False) -> Tensor:
        """The sum of squares over these axes; of all where none is given."""
        return self._reduce("ReduceSumSquare", axes, keep)

    def _reduce(self, kind: str, axes: tuple[int, ...], keep: bool) -> Tensor:
        axes = self._axes(axes)
        (name,) = self.graph.node(kind, self.name, axes=list(axes), keepdims=int(keep))
        return Tensor(self.graph, name, self._reduced(axes, keep))

    def _axes(self, axes: Sequence[int]) -> tuple[int, ...]:
        return tuple(sorted(axis % self.rank for axis in axes)) or tuple(range(self.rank))

    def _reduced(self, axes: Sequence[int], keep: bool) -> tuple[int, ...]:
        return tuple(1 if axis in axes else size for axis, size in enumerate(self.shape) if keep or axis not in axes)

    # shapes -------------------------------------------------------------------------------------------------

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def example(self) -> tuple[int, ...]:
        """One example's shape as the spec sees it: channels last, no batch."""
        _, *sizes = self.shape
        return (*sizes[1:], sizes[0]) if self.rank in (4, 5) else tuple(sizes)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def T(self) -> Tensor:  # noqa: N802  (NumPy's name)
        return self.transpose(*reversed(range(self.rank)))

    def reshape(self, *shape: int) -> Tensor:
        """The same numbers in another shape; one size may be -1."""
        known = math.prod(size for size in shape if size != -1)
        whole = tuple(self.size // known if size == -1 else size for size in shape)
        assert math.prod(whole) == self.size, f"{self.name}: {self.shape} is not {shape}"
        if whole == self.shape:
            return self
        (name,) = self.graph.node("Reshape", self.name, self._integers(whole))
        return Tensor(self.graph, name, whole)

    def transpose(self, *perm: int) -> Tensor:
        """The axes in this order."""
        if perm == tuple(range(self.rank)):
            return self
        shape = tuple(self.shape[axis] for axis in perm)
        moving = [axis for axis in perm if self.shape[axis] > 1]
        if moving == sorted(moving):
            return self.reshape(*shape)
        if self.name in self.graph.transposed:
            source, before = self.graph.transposed[self.name]
            return source.transpose(*(before[axis] for axis in perm))
        (name,) = self.graph.node("Transpose", self.name, perm=list(perm))
        self.graph.transposed[name] = self, perm
        return Tensor(self.graph, name, shape)

    def expand(self, *shape: int) -> Tensor:
        """Repeated along axes of size 1."""
        if shape == self.shape:
            return self
        (name,) = self.graph.node("Expand", self.name, self._integers(shape))
        return Tensor(self.graph, name, shape)

    def pad(self, pads: Sequence[tuple[int, int]], value: float = 0.0) -> Tensor:
        """With so many numbers (before, after) of this value along each axis; negative ones cut."""
        if not any(map(any, pads)):
            return self
        ends = [before for before, _ in pads] + [after for _, after in pads]
        (name,) = self.graph.node("Pad", self.name, self._integers(ends), self._number(value).name, mode="constant")
        sizes = (size + before + after for size, (before, after) in zip(self.shape, pads, strict=True))
        return Tensor(self.graph, name, tuple(sizes))

    def part(self, starts: Sequence[int], sizes: Sequence[int], steps: Sequence[int]) -> Tensor:
        """Along the last axes, as many as are said: from `starts` so many numbers, `steps` apart."""
        first = self.rank - len(starts)
        asked = zip(range(first, self.rank), starts, sizes, steps, strict=True)
        cut = [each for each in asked if (each[1], each[2], each[3]) != (0, self.shape[each[0]], 1)]
        if not cut:
            return self
        ends = [start + (size - 1) * step + 1 for _, start, size, step in cut]
        bounds = ([start for _, start, _, _ in cut], ends, [axis for axis, *_ in cut], [step for *_, step in cut])
        (name,) = self.graph.node("Slice", self.name, *(self._integers(each) for each in bounds))
        return Tensor(self.graph, name, (*self.shape[:first], *sizes))

    def split(self, sizes: Sequence[int], axis: int) -> list[Tensor]:
        """Parts of these sizes along an axis."""
        if len(sizes) == 1:
            return [self]
        axis %= self.rank
        names = self.graph.node("Split", self.name, self._integers(sizes), outputs=len(sizes), axis=axis)
        around = self.shape[:axis], self.shape[axis + 1 :]
        return [
            Tensor(self.graph, name, (*around[0], size, *around[1])) for name, size in zip(names, sizes, strict=True)
        ]

    # products -----------------------------------------------------------------------------------------------

    def __matmul__(self, other: Tensor) -> Tensor:
        (name,) = self.graph.node("MatMul", self.name, other.name)
        lead = np.broadcast_shapes(self.shape[:-2], other.shape[:-2])
        return Tensor(self.graph, name, (*lead, self.shape[-2], other.shape[-1]))

    def constant(self, array: Array) -> Tensor:
        """A constant of any shape of this graph, float32 or int32."""
        return Tensor(self.graph, self.graph.initializer(array), array.shape)

    # inside -------------------------------------------------------------------------------------------------

    def _with(self, kind: str, other: Operand) -> Tensor:
        second = self._operand(other)
        (name,) = self.graph.node(kind, self.name, second.name)
        return Tensor(self.graph, name, tuple(np.broadcast_shapes(self.shape, second.shape)))

    def _operand(self, value: Operand) -> Tensor:
        return value if isinstance(value, Tensor) else self._number(value)

    def _number(self, value: float) -> Tensor:
        return Tensor(self.graph, self.graph.initializer(np.asarray(value, np.float32)), ())

    def _integers(self, values: Sequence[int]) -> str:
        return self.graph.initializer(np.asarray(values, np.int64))


def concat(tensors: Sequence[Tensor], axis: int) -> Tensor:
    """Tensors, one after the other along an axis."""
    first, *others = tensors
    if not others:
        return first
    axis %= first.rank
    (name,) = first.graph.node("Concat", *(each.name for each in tensors), axis=axis)
    total = sum(each.shape[axis] for each in tensors)
    return Tensor(first.graph, name, (*first.shape[:axis], total, *first.shape[axis + 1 :]))


def swapped(x: Tensor) -> Tensor:
    """The last two axes exchanged."""
    *before, last, end = range(x.rank)
    return x.transpose(*before, end, last)


def channels_last(x: Tensor) -> Tensor:
    """[N, …, C] of a tensor as it lies between layers."""
    return x.transpose(0, *range(2, x.rank), 1) if x.rank in (4, 5) else x


def between_layers(x: Tensor) -> Tensor:
    """A tensor [N, …, C] as it lies between layers."""
    return x.transpose(0, x.rank - 1, *range(1, x.rank - 1)) if x.rank in (4, 5) else x


def channels_first(x: Tensor) -> Tensor:
    """[N, C, …] of a tensor as it lies between layers: of a sequence, an image or a volume."""
    return x.transpose(0, 2, 1) if x.rank == 3 else x


def from_channels_first(x: Tensor) -> Tensor:
    """A tensor [N, C, …] as it lies between layers."""
    return x.transpose(0, 2, 1) if x.rank == 3 else x


def channel_axis(x: Tensor) -> int:
    """Where the channels are."""
    return 1 if x.rank in (4, 5) else x.rank - 1


def axis_of(x: Tensor, index: int) -> int:
    """Where the axis `index` of the example's shape is, counted from 0 (or from -1, the channels)."""
    index %= x.rank - 1
    if x.rank not in (4, 5):
        return index + 1
    return 1 if index == x.rank - 2 else index + 2


def by_channel(vector: Tensor, x: Tensor) -> Tensor:
    """Numbers for each channel, [C], so that they meet the channels of x as it lies."""
    return vector.reshape(-1, *(1,) * (x.rank - 2)) if x.rank in (4, 5) else vector


def sum_but_channels(x: Tensor) -> Tensor:
    """[C]: the sum over all other axes."""
    return x.sum(*(axis for axis in range(x.rank) if axis != channel_axis(x)))


def square_sum_but_channels(x: Tensor) -> Tensor:
    """[C]: the sum of squares over all other axes; of images first over their pixels, which is quicker."""
    if x.rank in (4, 5):
        return x.square_sum(*range(2, x.rank)).sum(0)
    return x.square_sum(*(axis for axis in range(x.rank) if axis != channel_axis(x)))
