"""Losses: (prediction, target, weights) -> (loss, gradient of the prediction).

One rule of averaging for all of them, TF-Slim's: sum(weight * loss) / (number of weights that are not zero), and
0 where every weight is zero. A weight belongs to a loss value: to an example (or a pixel) for cross-entropy and
cosine, to an element for the others; weights of shape (batch,) spread over the rest. PyTorch differs in one
place: its class weights divide by their own sum.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from graphc.data.target_kind import TargetKind
from graphc.errors import DataError, SpecError
from graphc.lazy import np
from graphc.settings import LIST, Kind
from graphc.types import Array


class Loss(Kind):
    """Settings of a loss; `elements` is its formula."""

    target_kinds: ClassVar[frozenset[TargetKind]] = frozenset({TargetKind.VALUES})
    """What its targets can be."""
    of_shares: ClassVar[bool] = False
    """Whether targets of the prediction's shape say how far something is so: from 0 to 1."""

    def __call__(self, prediction: Array, target: Array, weights: Array | None = None) -> tuple[float, Array]:
        """The weighted mean loss and its gradient, in the prediction's dtype."""
        losses, gradient, own = self.elements(prediction, target)
        weights = _product(own, _spread(weights, losses.shape))
        if weights is None:
            count = losses.size
            gradient *= 1.0 / count
            return float(np.sum(losses, dtype=np.float64)) / count, gradient
        count = max(int(np.count_nonzero(weights)), 1)
        factor = (weights / count).astype(gradient.dtype)
        gradient *= factor.reshape(factor.shape + (1,) * (gradient.ndim - factor.ndim))
        return float(np.sum(losses * weights, dtype=np.float64)) / count, gradient

    def elements(self, prediction: Array, target: Array) -> tuple[Array, Array, Array | None]:
        """Unreduced losses, their gradients (a new array of the prediction's shape), and weights of the loss's own."""
        raise NotImplementedError(self.kind)

    def scores(self, prediction: Array) -> tuple[str, Array] | None:
        """What a row of predictions says of each class, and what that is called; None where it is of no classes."""
        return None

    def check(self, shape: tuple[int, ...], name: str) -> None:
        """Whether the settings fit a head of this name and shape."""


class SoftmaxCrossEntropy(Loss):
    """-sum(q * log softmax(logits)) over the last axis; targets are class indices or distributions q.

    Works per pixel when the logits have more axes. Smoothing: q*(1 - s) + s/classes.
    """

    kind: ClassVar[str] = "softmax_cross_entropy"
    target_kinds = frozenset({TargetKind.CLASS, TargetKind.DISTRIBUTION})

    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the probability that is spread over all classes."""
    class_weights: Annotated[tuple[float, ...] | Literal["balanced"] | None, LIST] = None
    """One weight a class; of a distribution, the expected weight. balanced: classes of the training set weigh alike."""
    ignore: int | None = None
    """A class index whose examples (pixels) weigh nothing."""

    def elements(self, prediction: Array, target: Array) -> tuple[Array, Array, Array | None]:
        classes = prediction.shape[-1]
        indices = np.issubdtype(target.dtype, np.integer) and target.shape == prediction.shape[:-1]
        own = None
        if indices:
            if self.ignore is not None:
                own = (target != self.ignore).astype(prediction.dtype)
                target = np.where(target == self.ignore, 0, target)
            q = one_hot(target, classes, prediction.dtype)
        else:
            q = _like(target, prediction, self.kind)
        own = _product(own, self._class_weight(q))
        if self.label_smoothing:
            q = q * (1 - self.label_smoothing) + self.label_smoothing / classes
        shifted = prediction - prediction.max(axis=-1, keepdims=True)
        exponents = np.exp(shifted)
        sums = exponents.sum(axis=-1, keepdims=True)
        total = q.sum(axis=-1)
        losses = total * np.log(sums[..., 0]) - (q * shifted).sum(axis=-1)
        exponents *= total[..., None] / sums
        exponents -= q
        return losses, exponents, own

    def scores(self, prediction: Array) -> tuple[str, Array] | None:
        exponents = np.exp(prediction - prediction.max(), dtype=np.float64)
        return "probability", exponents / exponents.sum()

    def check(self, shape: tuple[int, ...], name: str) -> None:
        if isinstance(self.class_weights, tuple) and len(self.class_weights) != shape[-1]:
            found = f"{len(self.class_weights)} class_weights for the {shape[-1]} classes of {name}"
            raise SpecError("G601", f"softmax_cross_entropy expects one weight a class, got {found}")

    def _class_weight(self, q: Array) -> Array | None:
        if self.class_weights is None:
            return None
        assert not isinstance(self.class_weights, str), "fitted() comes first"
        self.check(q.shape, "the prediction")
        return np.asarray(q @ np.asarray(self.class_weights, q.dtype))


class SigmoidCrossEntropy(Loss):
    """max(x, 0) - x*z + log(1 + exp(-|x|)) for logits x and targets z in [0, 1]; smoothing: z*(1 - s) + s/2."""

    kind: ClassVar[str] = "sigmoid_cross_entropy"
    target_kinds = frozenset({TargetKind.CLASS, TargetKind.MULTI_LABEL})
    of_shares: ClassVar[bool] = True

    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """How far targets are drawn towards a half."""

    def elements(self, prediction: Array, target: Array) -> tuple[Array, Array, Array | None]:
        z = _like(target, prediction, self.kind)
        if self.label_smoothing:
            z = z * (1 - self.label_smoothing) + self.label_smoothing / 2
        small = np.exp(-np.abs(prediction))
        losses = np.maximum(prediction, 0) - prediction * z + np.log1p(small)
        sigmoid = np.where(prediction >= 0, 1, small) / (1 + small)
        return losses, sigmoid - z, None

    def scores(self, prediction: Array) -> tuple[str, Array] | None:
        return "probability", np.exp(-np.logaddexp(0, -prediction.astype(np.float64)))


class MeanSquared(Loss):
    """(prediction - target)**2."""

    kind: ClassVar[str] = "mean_squared"

    def elements(self, prediction: Array, target: Array) -> tuple[Array, Array, Array | None]:
        error = prediction - _like(target, prediction, self.kind)
        return error * error, 2 * error, None


class Absolute(Loss):
    """|prediction - target|; the gradient at equality is 0."""

    kind: ClassVar[str] = "absolute"

    def elements(self, prediction: Array, target: Array) -> tuple[Array, Array, Array | None]:
        error = prediction - _like(target, prediction, self.kind)
        return np.abs(error), np.sign(error), None


class Huber(Loss):
    """error**2 / 2 up to delta, then delta*|error| - delta**2 / 2."""

    kind: ClassVar[str] = "huber"

    delta: float = Field(default=1.0, gt=0)
    """Where the square turns into a line."""

    def elements(self, prediction: Array, target: Array) -> tuple[Array, Array, Array | None]:
        error = prediction - _like(target, prediction, self.kind)
        inside = np.clip(error, -self.delta, self.delta)
        return inside * (error - inside / 2), inside, None


class Hinge(Loss):
    """max(0, 1 - y*prediction), y being -1 or 1 for targets of 0 and 1 (or for class indices, one against all)."""

    kind: ClassVar[str] = "hinge"
    target_kinds = frozenset({TargetKind.CLASS, TargetKind.MULTI_LABEL})
    of_shares: ClassVar[bool] = True

    def elements(self, prediction: Array, target: Array) -> tuple[Array, Array, Array | None]:
        sign = 2 * _like(target, prediction, self.kind) - 1
        margin = 1 - sign * prediction
        return np.maximum(margin, 0), np.where(margin > 0, -sign, 0).astype(prediction.dtype), None

    def scores(self, prediction: Array) -> tuple[str, Array] | None:
        return "score", prediction


class Log(Loss):
    """-z*log(p + epsilon) - (1 - z)*log(1 - p + epsilon), for probabilities p."""

    kind: ClassVar[str] = "log"
    target_kinds = frozenset({TargetKind.CLASS, TargetKind.MULTI_LABEL})
    of_shares: ClassVar[bool] = True

    epsilon: float = Field(default=1e-7, gt=0)
    """Keeps the logarithm from infinity."""

    def elements(self, prediction: Array, target: Array) -> tuple[Array, Array, Array | None]:
        z = _like(target, prediction, self.kind)
        yes, no = prediction + self.epsilon, 1 - prediction + self.epsilon
        return -z * np.log(yes) - (1 - z) * np.log(no), (1 - z) / no - z / yes, None

    def scores(self, prediction: Array) -> tuple[str, Array] | None:
        return "probability", prediction


class Cosine(Loss):
    """1 - cos(prediction, target) along the last axis; both are normalised here."""

    kind: ClassVar[str] = "cosine"

    epsilon: float = Field(default=1e-12, gt=0)
    """Shortest length that a vector is divided by."""

    def elements(self, prediction: Array, target: Array) -> tuple[Array, Array, Array | None]:
        target = _like(target, prediction, self.kind)
        length = np.maximum(np.linalg.norm(prediction, axis=-1, keepdims=True), self.epsilon)
        p = prediction / length
        t = target / np.maximum(np.linalg.norm(target, axis=-1, keepdims=True), self.epsilon)
        cosine = (p * t).sum(axis=-1, keepdims=True)
        return 1 - cosine[..., 0], (cosine * p - t) / length, None


LOSSES: tuple[type[Loss], ...] = (
    SoftmaxCrossEntropy,
    SigmoidCrossEntropy,
    MeanSquared,
    Absolute,
    Huber,
    Hinge,
    Log,
    Cosine,
)


def one_hot(indices: Array, classes: int, dtype: Any) -> Array:
    """Zeros with a one at each index, along a new last axis; an index out of range is an error."""
    if indices.size and (indices.min() < 0 or indices.max() >= classes):
        bad = int(np.flatnonzero((indices.ravel() < 0) | (indices.ravel() >= classes))[0])
        value = int(indices.ravel()[bad])
        raise DataError("G405", f"expected labels from 0 to {classes - 1}, got {value} (element {bad} of the batch)")
    q = np.zeros((*indices.shape, classes), dtype)
    np.put_along_axis(q, indices[..., None].astype(np.intp), 1, axis=-1)
    return q


def _like(target: Array, prediction: Array, kind: str) -> Array:
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


def _spread(weights: Array | None, shape: tuple[int, ...]) -> Array | None:
    """Weights over the losses' shape: those of an example count for all its losses."""
    if weights is None:
        return None
    weights = np.asarray(weights, np.float64)
    if weights.shape != shape[: weights.ndim]:
        raise DataError(
            "G404", f"expected weights of shape {list(shape[:1])} or {list(shape)}, got {list(weights.shape)}"
        )
    return np.broadcast_to(weights.reshape(weights.shape + (1,) * (len(shape) - weights.ndim)), shape)


def _product(a: Array | None, b: Array | None) -> Array | None:
    return b if a is None else a if b is None else a * b
