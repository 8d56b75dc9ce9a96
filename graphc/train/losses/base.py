"""What all losses share: (prediction, target, weights) -> a mean, its gradient, and how many values it is a mean of.

One rule of averaging for all of them, TF-Slim's: sum(weight * loss) / (number of weights that are not zero), and
0 where every weight is zero. A weight belongs to a loss value: to an example (or a pixel) for cross-entropy and
cosine, to an element for the others; weights of shape (batch,) spread over the rest. PyTorch differs in one
place: its class weights divide by their own sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from graphc.data.alphabet import Alphabet
from graphc.data.target_kind import TargetKind
from graphc.errors import DataError, SpecError
from graphc.lazy import np
from graphc.probabilities import ACTIVATIONS, Activation
from graphc.settings import Kind
from graphc.training_graph.tensor import Tensor
from graphc.types import Array


@dataclass(frozen=True, slots=True)
class Mean:
    """A loss over a batch."""

    value: float
    """sum(weight * loss) / count; 0 where the count is."""
    count: int
    """Loss values whose weight is not zero: with it, means of batches become the mean of all."""
    gradient: Array
    """Of the value, in the prediction's shape and dtype."""


class Loss(Kind):
    """Settings of a loss; `elements` is its formula."""

    target_kinds: ClassVar[frozenset[TargetKind]] = frozenset({TargetKind.VALUES})
    """What its targets can be."""
    of_shares: ClassVar[bool] = False
    """Whether targets of the prediction's shape say how far something is so: from 0 to 1."""
    threshold: ClassVar[float] = 0.0
    """A prediction above it says yes, where each output answers yes or no."""
    says: ClassVar[Literal["probability", "score", "boxes"] | None] = None
    """What a class's number is, behind the activation; boxes: predictions are rows of a box, its score and its class;
    None where they are of no classes."""
    activation: ClassVar[Activation] = "none"
    """What makes predictions that."""

    def __call__(self, prediction: Array, target: Array, weights: Array | None = None) -> tuple[float, Array]:
        """The weighted mean loss and its gradient, in the prediction's dtype."""
        mean = self.mean(prediction, target, weights)
        return mean.value, mean.gradient

    def mean(self, prediction: Array, target: Array, weights: Array | None = None) -> Mean:
        """The weighted mean over a batch: `prediction` [N, …], `target` as `kind_of` knows it, `weights` [N] or of the
        losses' shape. Its gradient has the prediction's shape and dtype; nothing given is overwritten."""
        losses, gradient, own = self.elements(prediction, target)
        weights = product(own, spread(weights, losses.shape))
        if weights is None:
            count = losses.size
            gradient *= 1.0 / count
            return Mean(float(np.sum(losses, dtype=np.float64)) / count, count, gradient)
        count = int(np.count_nonzero(weights))
        factor = (weights / max(count, 1)).astype(gradient.dtype)
        gradient *= factor.reshape(factor.shape + (1,) * (gradient.ndim - factor.ndim))
        return Mean(float(np.sum(losses * weights, dtype=np.float64)) / max(count, 1), count, gradient)

    def elements(self, prediction: Array, target: Array) -> tuple[Array, Array, Array | None]:
        """Unreduced losses, their gradients (a new array of the prediction's shape), and weights of the loss's own."""
        raise NotImplementedError(self.kind)

    @property
    def has_nodes(self) -> bool:
        """Whether it can be in a training graph."""
        return type(self).emit_elements is not Loss.emit_elements

    def emit(self, prediction: Tensor, target: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
        """`mean` in nodes: the value, and the gradient of the prediction [N, …]. The target is int32 where it is
        indices of classes, else float32; weights are [N] or of more axes of the losses'."""
        losses, gradient, own = self.emit_elements(prediction, target)
        if weights is not None:
            weights = weights.reshape(*weights.shape, *(1,) * (losses.rank - weights.rank))
        every = own if weights is None else weights if own is None else own * weights
        if every is None:
            return losses.sum() / losses.size, gradient / losses.size
        count = ((1 - every.equals(0)).sum() * (losses.size // every.size)).clip(1)
        factor = every / count
        spread_out = factor.reshape(*factor.shape, *(1,) * (gradient.rank - factor.rank))
        return (losses * factor).sum(), gradient * spread_out

    def emit_elements(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """`elements` in nodes, of a loss that `has_nodes`."""
        raise NotImplementedError(self.kind)

    def kinds(self, shape: tuple[int, ...]) -> frozenset[TargetKind]:
        """What targets can be for predictions of this shape (one example's); indices of classes become one-hot."""
        several = bool(shape) and shape[-1] > 1
        if several:
            return self.target_kinds | {TargetKind.CLASS}
        return self.target_kinds - {TargetKind.MULTI_LABEL, TargetKind.DISTRIBUTION}

    def kind_of(self, shape: tuple[int, ...], target: tuple[int, ...], whole: bool) -> TargetKind | None:
        """What a target of this shape (one example's, `whole`: integers) is to predictions of that; None: no target."""
        kinds = self.kinds(shape)
        if target == shape or (target, 1) == (shape[:-1], shape[-1] if shape else 0):
            dense = kinds - {TargetKind.CLASS} if shape and shape[-1] > 1 else kinds
            return next(iter(dense), None)
        if target == shape[:-1] and whole and TargetKind.CLASS in kinds:
            return TargetKind.CLASS
        return None

    @property
    def codes(self) -> Alphabet | None:
        """Which label each character of a text is, where targets are labels in order."""
        return None

    @property
    def ignored(self) -> int | None:
        """The label that does not count."""
        return None

    def scores(self, prediction: Array) -> tuple[str, Array] | None:
        """What a row of predictions [..., K] says of each class, and what that is called; None where it is of no
        classes."""
        return None if self.says is None else (self.says, ACTIVATIONS[self.activation_of(prediction.shape)](prediction))

    def activation_of(self, shape: tuple[int, ...]) -> Activation:
        """What makes predictions of this shape what the loss says."""
        return self.activation

    def ranking(self, prediction: Array) -> Array:
        """Numbers of the prediction's shape that are higher the surer a prediction is, comparable within each output
        over all examples."""
        return prediction

    def check(self, shape: tuple[int, ...], name: str) -> None:
        """Whether the settings fit a head of this name and shape."""


def where_weighed(target: Array, weights: Array | None) -> Array:
    """The target [N, …] with 0 where the weight ([N] or more axes of it) is 0: what does not count need not be a target
    at all."""
    if weights is None or weights.ndim > target.ndim or weights.shape != target.shape[: weights.ndim]:
        return target
    counts = (weights != 0).reshape(weights.shape + (1,) * (target.ndim - weights.ndim))
    return target if counts.all() else np.where(counts, target, np.zeros((), target.dtype))


def one_hot(indices: Array, classes: int, dtype: Any) -> Array:
    """Zeros with a one at each index, [..., classes] of indices [...], in this dtype; an index out of range is an
    error."""
    if indices.size and (indices.min() < 0 or indices.max() >= classes):
        bad = int(np.flatnonzero((indices.ravel() < 0) | (indices.ravel() >= classes))[0])
        value = int(indices.ravel()[bad])
        raise DataError("G405", f"expected labels from 0 to {classes - 1}, got {value} (element {bad} of the batch)")
    q = np.zeros((*indices.shape, classes), dtype)
    np.put_along_axis(q, indices[..., None].astype(np.intp), 1, axis=-1)
    return q


def like(target: Array, prediction: Array, kind: str) -> Array:
    """The target in the prediction's shape and dtype; class indices become one-hot."""
    if target.shape == prediction.shape:
        return target.astype(prediction.dtype, copy=False)
    if target.shape == prediction.shape[:-1]:
        if prediction.shape[-1] == 1:
            return target[..., None].astype(prediction.dtype, copy=False)
        if np.issubdtype(target.dtype, np.integer):
            return one_hot(target, prediction.shape[-1], prediction.dtype)
    found = f"target {target.dtype}{list(target.shape)} for a prediction {list(prediction.shape)}"
    raise DataError("G404", f"{kind} expects targets of the prediction's shape, or class indices, got {found}")


def emit_like(target: Tensor, prediction: Tensor) -> Tensor:
    """`like` in nodes."""
    if target.shape == prediction.shape:
        return target
    if prediction.shape[-1] == 1:
        return target.reshape(*prediction.shape)
    return target.one_hot(prediction.shape[-1])


def spread(weights: Array | None, shape: tuple[int, ...]) -> Array | None:
    """Weights, [N] or of more axes, as a view of the losses' shape, in float64: those of an example count for all its
    losses."""
    if weights is None:
        return None
    weights = np.asarray(weights, np.float64)
    if weights.shape != shape[: weights.ndim]:
        raise DataError(
            "G404", f"expected weights of shape {list(shape[:1])} or {list(shape)}, got {list(weights.shape)}"
        )
    return np.broadcast_to(weights.reshape(weights.shape + (1,) * (len(shape) - weights.ndim)), shape)


def product(a: Array | None, b: Array | None) -> Array | None:
    """Both weights, of one shape or one that broadcasts, or that which there is."""
    return b if a is None else a if b is None else a * b


def one_a_class(values: tuple[float, ...], shape: tuple[int, ...], what: str, name: str, kind: str) -> None:
    """An error where there are not as many values as outputs."""
    if len(values) != shape[-1]:
        found = f"{len(values)} {what} for the {shape[-1]} classes of {name}"
        raise SpecError("G601", f"{kind} expects one weight a class, got {found}")
