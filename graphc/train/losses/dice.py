"""The dice loss: overlap of predicted and true regions."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from graphc.data.target_kind import TargetKind
from graphc.errors import SpecError
from graphc.lazy import np
from graphc.probabilities import Activation, sigmoid, softmax
from graphc.train.losses.base import Loss, emit_like, like, one_hot
from graphc.training_graph.tensor import Tensor
from graphc.types import Array


class Dice(Loss):
    """1 - (2*sum(p*q) + smooth) / (sum(p) + sum(q) + smooth), over an example's pixels, a mean over the classes.

    p: the softmax over the last axis, or the sigmoid of a single output; q: 1 where a pixel is of the class
    (Milletari et al. 2016, "V-Net", without the squares in the denominator). One loss value an example.
    """

    kind: ClassVar[str] = "dice"
    target_kinds = frozenset({TargetKind.CLASS, TargetKind.DISTRIBUTION})
    of_shares: ClassVar[bool] = True
    says = "probability"

    smooth: float = Field(default=1.0, gt=0)
    """Added above and below: a class that is nowhere and predicted nowhere is right."""
    ignore: Annotated[int, Field(ge=-(2**31) + 1, lt=2**31)] | None = None
    """A class index whose pixels count nowhere."""

    @property
    def ignored(self) -> int | None:
        return self.ignore

    def check(self, shape: tuple[int, ...], name: str) -> None:
        if len(shape) < 2:
            raise SpecError("G601", f"dice expects an output per pixel, {name} gives {len(shape)} axis an example")

    def elements(self, prediction: Array, target: Array) -> tuple[Array, Array, Array | None]:
        single = prediction.shape[-1] == 1
        p = sigmoid(prediction) if single else softmax(prediction).astype(prediction.dtype)
        q, counted = self._regions(prediction, target)
        axes = tuple(range(1, prediction.ndim - 1))
        above = 2 * (p * q * counted).sum(axis=axes, keepdims=True) + self.smooth
        below = ((p + q) * counted).sum(axis=axes, keepdims=True) + self.smooth
        losses = 1 - (above / below).mean(axis=(*axes, -1))
        # d/dp of above/below is (2*q*below - above) / below**2, for each pixel that counts
        slope = -(2 * q * below - above) / (below * below * prediction.shape[-1]) * counted
        gradient = slope * p * (1 - p) if single else p * (slope - (slope * p).sum(axis=-1, keepdims=True))
        return losses, gradient.astype(prediction.dtype), None

    def emit_elements(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        single = prediction.shape[-1] == 1
        p = prediction.sigmoid() if single else prediction.apply("Softmax", axis=-1)
        q, counted = emit_like(target, prediction), None
        if self.ignore is not None and target.shape == prediction.shape[:-1]:
            counted = 1 - (target.equals(self.ignore) if single else target.is_index(self.ignore))
            counted = counted.reshape(*counted.shape, 1)
            q = q * counted
        axes = range(1, prediction.rank - 1)
        read = p if counted is None else p * counted
        above = 2 * (p * q).sum(*axes, keep=True) + self.smooth
        below = (read + q).sum(*axes, keep=True) + self.smooth
        losses = 1 - (above / below).mean(*axes, prediction.rank - 1)
        slope = (above - 2 * q * below) / (below * below * prediction.shape[-1])
        slope = slope if counted is None else slope * counted
        gradient = slope * p * (1 - p) if single else p * (slope - (slope * p).sum(-1, keep=True))
        return losses, gradient, None

    def _regions(self, prediction: Array, target: Array) -> tuple[Array, Array]:
        """(1 where a pixel is of the class; 1 where it counts, with one channel)."""
        counted = np.ones((*prediction.shape[:-1], 1), prediction.dtype)
        if target.shape == prediction.shape[:-1]:
            if self.ignore is not None:
                counted = (target != self.ignore)[..., None].astype(prediction.dtype)
                target = np.where(target == self.ignore, 0, target)
            if prediction.shape[-1] > 1:
                return one_hot(target, prediction.shape[-1], prediction.dtype), counted
        return like(target, prediction, self.kind), counted

    def activation_of(self, shape: tuple[int, ...]) -> Activation:
        return "sigmoid" if shape[-1] == 1 else "softmax"

    def ranking(self, prediction: Array) -> Array:
        return prediction if prediction.shape[-1] == 1 else softmax(prediction)
