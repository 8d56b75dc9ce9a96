"""Cross-entropies, and what is built on them: of classes (softmax) and of single answers (sigmoid)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from graphc.data.target_kind import TargetKind
from graphc.errors import SpecError
from graphc.lazy import np
from graphc.probabilities import sigmoid, softmax
from graphc.settings import LIST
from graphc.train.losses.base import Loss, emit_like, like, one_a_class, one_hot, product
from graphc.training_graph.tensor import Tensor
from graphc.types import Array


class OverClasses(Loss):
    """Losses of a softmax over the last axis; they work per pixel when the logits have more axes."""

    target_kinds: ClassVar[frozenset[TargetKind]] = frozenset({TargetKind.CLASS, TargetKind.DISTRIBUTION})
    says = "probability"
    activation = "softmax"

    class_weights: Annotated[tuple[float, ...] | Literal["balanced"] | None, LIST] = None
    """One weight a class; of a distribution, the expected weight. balanced: classes of the training set weigh alike."""
    ignore: Annotated[int, Field(ge=-(2**31) + 1, lt=2**31)] | None = None
    """A class index whose examples (pixels) weigh nothing."""

    @property
    def ignored(self) -> int | None:
        return self.ignore

    def ranking(self, prediction: Array) -> Array:
        return softmax(prediction)

    def check(self, shape: tuple[int, ...], name: str) -> None:
        if not shape or shape[-1] == 1:
            message = f"{self.kind} expects two or more outputs, {name} has 1: the softmax of one is always 1"
            raise SpecError("G601", f"{message} (sigmoid_cross_entropy takes one)")
        if isinstance(self.class_weights, tuple):
            one_a_class(self.class_weights, shape, "class_weights", name, self.kind)

    def shares(self, prediction: Array, target: Array) -> tuple[Array, Array | None]:
        """(the share of every class, in the prediction's shape; weights from `ignore` and `class_weights`)."""
        own = None
        if np.issubdtype(target.dtype, np.integer) and target.shape == prediction.shape[:-1]:
            if self.ignore is not None:
                own = (target != self.ignore).astype(prediction.dtype)
                target = np.where(target == self.ignore, 0, target)
            q = one_hot(target, prediction.shape[-1], prediction.dtype)
        else:
            q = like(target, prediction, self.kind)
        return q, product(own, self._class_weight(q))

    def _class_weight(self, q: Array) -> Array | None:
        if self.class_weights is None:
            return None
        assert not isinstance(self.class_weights, str), "fitted() comes first"
        one_a_class(self.class_weights, q.shape, "class_weights", "the prediction", self.kind)
        return np.asarray(q @ np.asarray(self.class_weights, q.dtype))

    def emit_shares(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor | None]:
        """`shares` in nodes. A label that is no class, -1 for one, has no share of any: its loss is 0."""
        q, own = emit_like(target, prediction), None
        if self.ignore is not None and target.shape == prediction.shape[:-1]:
            own = 1 - target.is_index(self.ignore)
        if self.class_weights is None:
            return q, own
        assert not isinstance(self.class_weights, str), "fitted() comes first"
        weight = (q * q.constant(np.asarray(self.class_weights, np.float32))).sum(-1)
        return q, weight if own is None else own * weight


class SoftmaxCrossEntropy(OverClasses):
    """-sum(q * log softmax(logits)) over the last axis; targets are class indices or distributions q.

    Works per pixel when the logits have more axes. Smoothing: q*(1 - s) + s/classes.
    """

    kind: ClassVar[str] = "softmax_cross_entropy"

    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the probability that is spread over all classes."""

    def elements(self, prediction: Array, target: Array) -> tuple[Array, Array, Array | None]:
        q, own = self.shares(prediction, target)
        if self.label_smoothing:
            q = q * (1 - self.label_smoothing) + self.label_smoothing / prediction.shape[-1]
        shifted = prediction - prediction.max(axis=-1, keepdims=True)
        exponents = np.exp(shifted)
        sums = exponents.sum(axis=-1, keepdims=True)
        total = q.sum(axis=-1)
        losses = total * np.log(sums[..., 0]) - (q * shifted).sum(axis=-1)
        exponents *= total[..., None] / sums
        exponents -= q
        return losses, exponents, own

    def emit_elements(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        q, own = self.emit_shares(prediction, target)
        if self.label_smoothing:
            q = q * (1 - self.label_smoothing) + self.label_smoothing / prediction.shape[-1]
        shifted = prediction - prediction.max(-1, keep=True)
        exponents = shifted.exp()
        sums = exponents.sum(-1, keep=True)
        total = q.sum(-1, keep=True)
        losses = total * sums.log() - (q * shifted).sum(-1, keep=True)
        return losses.reshape(*losses.shape[:-1]), exponents * (total / sums) - q, own


class SoftmaxFocal(OverClasses):
    """-(1 - p)**gamma * log(p), p being the softmax's probability of the true class: what is already right weighs less.

    Lin et al. 2017, "Focal Loss for Dense Object Detection", for one class an example; gamma 0 is cross-entropy. Of
    distributions q the sum over classes of q times that.
    """

    kind: ClassVar[str] = "softmax_focal"

    gamma: float = Field(default=2.0, ge=0)
    """How much less."""

    def elements(self, prediction: Array, target: Array) -> tuple[Array, Array, Array | None]:
        q, own = self.shares(prediction, target)
        log_p = prediction - prediction.max(axis=-1, keepdims=True)
        log_p = log_p - np.log(np.exp(log_p).sum(axis=-1, keepdims=True))
        p = np.exp(log_p)
        wrong = np.maximum(-np.expm1(log_p), np.finfo(p.dtype).tiny)  # 1 - p, exact where p is near 1
        easy = wrong**self.gamma
        losses = -(q * easy * log_p).sum(axis=-1)
        # d/dlog(p) of -(1 - p)**g * log(p) is g * p * (1 - p)**(g-1) * log(p) - (1 - p)**g, and dlog(p_c)/dx = 1_c - p
        pull = q * (self.gamma * p * easy / wrong * log_p - easy)
        return losses, pull - p * pull.sum(axis=-1, keepdims=True), own

    def emit_elements(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        q, own = self.emit_shares(prediction, target)
        shifted = prediction - prediction.max(-1, keep=True)
        exponents = shifted.exp()
        sums = exponents.sum(-1, keep=True)
        log_p, p = shifted - sums.log(), exponents / sums
        # 1 - p = -expm1(log(p)), exact where p is near 1: 1 - exp(-2*u) is 2*tanh(u)/(1 + tanh(u))
        half = (log_p * -0.5).apply("Tanh")
        wrong = (2 * half / (1 + half)).clip(float(np.finfo(np.float32).tiny))
        easy = wrong**self.gamma
        pull = q * (self.gamma * p * easy / wrong * log_p - easy)
        return -(q * easy * log_p).sum(-1), pull - p * pull.sum(-1, keep=True), own


class SigmoidCrossEntropy(Loss):
    """max(x, 0) - x*z + log(1 + exp(-|x|)) for logits x and targets z in [0, 1]; smoothing: z*(1 - s) + s/2."""

    kind: ClassVar[str] = "sigmoid_cross_entropy"
    target_kinds = frozenset({TargetKind.CLASS, TargetKind.MULTI_LABEL})
    of_shares: ClassVar[bool] = True
    says = "probability"
    activation = "sigmoid"

    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """How far targets are drawn towards a half."""
    pos_weight: Annotated[float | tuple[float, ...] | None, LIST] = None
    """Factor of the loss where the target is 1, for labels that are rare: one number, or one an output. As PyTorch's,
    it is no weight in the mean."""

    def elements(self, prediction: Array, target: Array) -> tuple[Array, Array, Array | None]:
        z = like(target, prediction, self.kind)
        if self.label_smoothing:
            z = z * (1 - self.label_smoothing) + self.label_smoothing / 2
        small = np.exp(-np.abs(prediction))
        yes = np.where(prediction >= 0, 1, small) / (1 + small)
        if self.pos_weight is None:
            losses = np.maximum(prediction, 0) - prediction * z + np.log1p(small)
            return losses, yes - z, None
        # z*w*softplus(-x) + (1 - z)*softplus(x), with softplus(x) = x + softplus(-x)
        factor = 1 + (np.asarray(self.pos_weight, prediction.dtype) - 1) * z
        losses = (1 - z) * prediction + factor * (np.log1p(small) + np.maximum(-prediction, 0))
        return losses, (1 - z) - factor * (1 - yes), None

    def emit_elements(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        z = emit_like(target, prediction)
        if self.label_smoothing:
            z = z * (1 - self.label_smoothing) + self.label_smoothing / 2
        yes = prediction.sigmoid()
        if self.pos_weight is None:
            return prediction.softplus() - prediction * z, yes - z, None
        factor = 1 + z * (z.constant(np.asarray(self.pos_weight, np.float32)) - 1)
        return (1 - z) * prediction + factor * (-prediction).softplus(), (1 - z) - factor * (1 - yes), None

    def check(self, shape: tuple[int, ...], name: str) -> None:
        weights = (self.pos_weight,) if isinstance(self.pos_weight, float | int) else self.pos_weight or ()
        if any(weight <= 0 for weight in weights):
            raise SpecError("G601", f"pos_weight: expected numbers above 0, got {min(weights):g}")
        if isinstance(self.pos_weight, tuple):
            one_a_class(self.pos_weight, shape, "pos_weight", name, self.kind)


class SigmoidFocal(Loss):
    """alpha_t * (1 - p_t)**gamma * cross-entropy of each output's sigmoid, p_t being the probability of what is true.

    Lin et al. 2017; the same numbers as torchvision's `sigmoid_focal_loss`.
    """

    kind: ClassVar[str] = "sigmoid_focal"
    target_kinds = frozenset({TargetKind.CLASS, TargetKind.MULTI_LABEL})
    of_shares: ClassVar[bool] = True
    says = "probability"
    activation = "sigmoid"

    gamma: float = Field(default=2.0, ge=0)
    """How much less what is already right weighs."""
    alpha: float | None = Field(default=0.25, ge=0, le=1)
    """Weight of targets of 1, and 1 - alpha of those of 0; null: both 1."""

    def elements(self, prediction: Array, target: Array) -> tuple[Array, Array, Array | None]:
        z = like(target, prediction, self.kind)
        p = sigmoid(prediction)
        entropy = np.maximum(prediction, 0) - prediction * z + np.log1p(np.exp(-np.abs(prediction)))
        wrong = np.maximum(p + z - 2 * p * z, np.finfo(p.dtype).tiny)  # 1 - p_t
        balance = 1.0 if self.alpha is None else self.alpha * z + (1 - self.alpha) * (1 - z)
        easy = balance * wrong**self.gamma
        gradient = easy * ((p - z) + self.gamma / wrong * (1 - 2 * z) * p * (1 - p) * entropy)
        return easy * entropy, gradient, None

    def emit_elements(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        z = emit_like(target, prediction)
        p = prediction.sigmoid()
        entropy = prediction.softplus() - prediction * z
        wrong = (p + z - 2 * p * z).clip(float(np.finfo(np.float32).tiny))
        easy = wrong**self.gamma
        if self.alpha is not None:
            easy = easy * (self.alpha * z + (1 - self.alpha) * (1 - z))
        gradient = easy * ((p - z) + self.gamma / wrong * (1 - 2 * z) * p * (1 - p) * entropy)
        return easy * entropy, gradient, None


class Hinge(Loss):
    """max(0, 1 - y*prediction), y being -1 or 1 for targets of 0 and 1 (or for class indices, one against all)."""

    kind: ClassVar[str] = "hinge"
    target_kinds = frozenset({TargetKind.CLASS, TargetKind.MULTI_LABEL})
    of_shares: ClassVar[bool] = True
    says = "score"

    def elements(self, prediction: Array, target: Array) -> tuple[Array, Array, Array | None]:
        sign = 2 * like(target, prediction, self.kind) - 1
        margin = 1 - sign * prediction
        return np.maximum(margin, 0), np.where(margin > 0, -sign, 0).astype(prediction.dtype), None

    def emit_elements(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        sign = 2 * emit_like(target, prediction) - 1
        margin = 1 - sign * prediction
        return margin.relu(), -(margin.above(0) * sign), None


class Log(Loss):
    """-z*log(p + epsilon) - (1 - z)*log(1 - p + epsilon), for probabilities p."""

    kind: ClassVar[str] = "log"
    target_kinds = frozenset({TargetKind.CLASS, TargetKind.MULTI_LABEL})
    of_shares: ClassVar[bool] = True
    says = "probability"
    threshold: ClassVar[float] = 0.5

    epsilon: float = Field(default=1e-7, gt=0)
    """Keeps the logarithm from infinity."""

    def elements(self, prediction: Array, target: Array) -> tuple[Array, Array, Array | None]:
        z = like(target, prediction, self.kind)
        yes, no = prediction + self.epsilon, 1 - prediction + self.epsilon
        return -z * np.log(yes) - (1 - z) * np.log(no), (1 - z) / no - z / yes, None

    def emit_elements(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        z = emit_like(target, prediction)
        yes, no = prediction + self.epsilon, 1 - prediction + self.epsilon
        return -(z * yes.log()) - (1 - z) * no.log(), (1 - z) / no - z / yes, None
