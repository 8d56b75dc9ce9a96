"""Losses of numbers: how far a prediction is from its target."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from graphc.lazy import np
from graphc.train.losses.base import Loss, emit_like, like
from graphc.training_graph.tensor import Tensor
from graphc.types import Array


class MeanSquared(Loss):
    """(prediction - target)**2."""

    kind: ClassVar[str] = "mean_squared"

    def elements(self, prediction: Array, target: Array) -> tuple[Array, Array, Array | None]:
        error = prediction - like(target, prediction, self.kind)
        return error * error, 2 * error, None

    def emit_elements(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        error = prediction - emit_like(target, prediction)
        return error * error, 2 * error, None


class Absolute(Loss):
    """|prediction - target|; the gradient at equality is 0."""

    kind: ClassVar[str] = "absolute"

    def elements(self, prediction: Array, target: Array) -> tuple[Array, Array, Array | None]:
        error = prediction - like(target, prediction, self.kind)
        return np.abs(error), np.sign(error), None

    def emit_elements(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        error = prediction - emit_like(target, prediction)
        return error.abs(), error.sign(), None


class Huber(Loss):
    """error**2 / 2 up to delta, then delta*|error| - delta**2 / 2."""

    kind: ClassVar[str] = "huber"

    delta: float = Field(default=1.0, gt=0)
    """Where the square turns into a line."""

    def elements(self, prediction: Array, target: Array) -> tuple[Array, Array, Array | None]:
        error = prediction - like(target, prediction, self.kind)
        inside = np.clip(error, -self.delta, self.delta)
        return inside * (error - inside / 2), inside, None

    def emit_elements(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        error = prediction - emit_like(target, prediction)
        inside = error.clip(-self.delta, self.delta)
        return inside * (error - inside / 2), inside, None


class Cosine(Loss):
    """1 - cos(prediction, target) along the last axis; both are normalized here."""

    kind: ClassVar[str] = "cosine"

    epsilon: float = Field(default=1e-12, gt=0)
    """Shortest length that a vector is divided by."""

    def elements(self, prediction: Array, target: Array) -> tuple[Array, Array, Array | None]:
        target = like(target, prediction, self.kind)
        length = np.maximum(np.linalg.norm(prediction, axis=-1, keepdims=True), self.epsilon)
        p = prediction / length
        t = target / np.maximum(np.linalg.norm(target, axis=-1, keepdims=True), self.epsilon)
        cosine = (p * t).sum(axis=-1, keepdims=True)
        return 1 - cosine[..., 0], (cosine * p - t) / length, None

    def emit_elements(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        target = emit_like(target, prediction)
        length = prediction.square_sum(-1, keep=True).sqrt().clip(self.epsilon)
        p = prediction / length
        t = target / target.square_sum(-1, keep=True).sqrt().clip(self.epsilon)
        cosine = (p * t).sum(-1, keep=True)
        return 1 - cosine.reshape(*cosine.shape[:-1]), (cosine * p - t) / length, None
