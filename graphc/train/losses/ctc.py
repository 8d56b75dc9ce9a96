"""Connectionist temporal classification: labels in order, without saying at which step each of them stands."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from graphc.data.alphabet import PADDING, Alphabet
from graphc.data.target_kind import TargetKind
from graphc.errors import DataError, SpecError, clipped, counted
from graphc.lazy import np
from graphc.train.losses.base import Loss
from graphc.training_graph.ctc import emit_ctc
from graphc.training_graph.tensor import Tensor
from graphc.types import Array

LARGE = 1e38
"""Of float32; its square is infinity there."""


class Ctc(Loss):
    """-log of the probability of a sequence of labels, summed over all ways to place them on the steps of a prediction
    L×K: a label may last for several steps, and blanks may stand between labels (Graves et al. 2006).

    Predictions are logits. Targets are texts of the `alphabet`, or labels in order, padded with -1. A mean over
    examples; PyTorch's mean divides each loss by its target's length before.
    """

    kind: ClassVar[str] = "ctc"
    target_kinds: ClassVar[frozenset[TargetKind]] = frozenset({TargetKind.SEQUENCE})
    activation = "softmax"

    alphabet: str = ""
    """The characters of texts in the order of their labels, the blank left out: one fewer than outputs."""
    blank: int = Field(default=0, ge=0)
    """The output that stands for no label; PyTorch's is 0, Keras's the last."""
    zero_infinity: bool = False
    """Whether targets that need more steps than there are count as 0; otherwise they are an error."""

    @property
    def codes(self) -> Alphabet:
        return Alphabet(characters=self.alphabet, blank=self.blank)

    def kinds(self, shape: tuple[int, ...]) -> frozenset[TargetKind]:
        return self.target_kinds

    def kind_of(self, shape: tuple[int, ...], target: tuple[int, ...], whole: bool) -> TargetKind | None:
        return TargetKind.SEQUENCE if len(shape) == 2 and len(target) == 1 and whole else None

    def check(self, shape: tuple[int, ...], name: str) -> None:
        if len(shape) != 2 or shape[1] < 2:
            found = "×".join(map(str, shape))
            raise SpecError("G601", f"ctc expects steps×labels of two labels or more, {name} gives {found}")
        outputs = shape[1]
        if self.blank >= outputs:
            raise SpecError("G601", f"blank: expected one of the {outputs} outputs of {name}, found {self.blank}")
        twice = {each for each in self.alphabet if self.alphabet.count(each) > 1}
        if twice:
            raise SpecError("G601", f"alphabet: expected each character once, found {min(twice)!r} again")
        if self.alphabet and len(self.alphabet) + 1 != outputs:
            has = counted(len(self.alphabet), "character")
            message = f"expected {outputs - 1}, since {name} has {outputs} outputs and one is the blank"
            raise SpecError("G601", f"alphabet: {message}; found {has}, {clipped(self.alphabet)}")

    def elements(self, prediction: Array, target: Array) -> tuple[Array, Array, Array | None]:
        self._refuse(prediction, target)
        shifted = prediction - prediction.max(axis=-1, keepdims=True)
        log_p = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
        paths = _Paths(target, self.blank)
        spoken = paths.along(log_p.astype(np.float64))
        before, after = paths.forward(spoken), paths.backward(spoken)
        total = paths.total(before[:, -1])
        possible = np.isfinite(total)
        share = np.exp(before + after - np.where(possible, total, 0)[:, None, None])
        gradient = np.exp(log_p)
        paths.subtract(share, gradient)
        gradient[~possible] = 0
        losses = np.where(possible, -total, 0 if self.zero_infinity else np.inf)
        return losses.astype(prediction.dtype), gradient, None

    def emit_elements(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        total, possible, gradient = emit_ctc(prediction, target, self.blank, PADDING)
        losses = -total * possible
        if not self.zero_infinity:
            losses = losses + (1 - possible) * LARGE * LARGE
        return losses, gradient, None

    def _refuse(self, prediction: Array, target: Array) -> None:
        """A DataError where the arrays do not fit: [N, L, K] and integers [N, S]."""
        outputs = prediction.shape[-1]
        if prediction.ndim != 3 or target.shape[:1] != prediction.shape[:1] or target.ndim != 2:
            found = f"a target {list(target.shape)} for a prediction {list(prediction.shape)}"
            raise DataError("G404", f"ctc expects labels [N, S] for predictions [N, L, K], got {found}")
        wrong = ((target < 0) & (target != PADDING)) | (target >= outputs) | (target == self.blank)
        if wrong.any():
            value = int(target[wrong][0])
            message = f"expected labels from 0 to {outputs - 1} other than the blank, {self.blank}, got {value}"
            raise DataError("G405", message)


class _Paths:
    """Each target with a blank before, between and behind its labels: the states [N, 2*S + 1] of all its paths."""

    def __init__(self, target: Array, blank: int) -> None:
        count, most = target.shape
        self.labels = np.full((count, 2 * most + 1), blank, np.intp)
        self.labels[:, 1::2] = np.where(target == PADDING, blank, target)
        self.ends = 2 * (target != PADDING).sum(axis=1)
        """The state of the blank behind the last label."""
        self._rows = np.arange(count)
        self._outside = np.arange(2 * most + 1) > self.ends[:, None]
        self._skips = np.zeros(self.labels.shape, bool)
        """Whether a state may follow the one two before it: a label that differs from the label before."""
        self._skips[:, 3::2] = self.labels[:, 3::2] != self.labels[:, 1:-2:2]

    def along(self, log_p: Array) -> Array:
        """log p of each state's label at each step, [N, L, 2*S + 1] of [N, L, K]; -inf behind the end."""
        places = np.broadcast_to(self.labels[:, None], (*log_p.shape[:2], self.labels.shape[1]))
        found = np.take_along_axis(log_p, places, axis=2)
        found[np.broadcast_to(self._outside[:, None], found.shape)] = -np.inf
        return found

    def forward(self, spoken: Array) -> Array:
        """log of the probability of all ways to a state at a step, that step included: of spoken's shape."""
        found = np.full_like(spoken, -np.inf)
        found[:, 0, :2] = spoken[:, 0, :2]
        for step in range(1, spoken.shape[1]):
            past, now = found[:, step - 1], found[:, step]
            now[...] = past
            now[:, 1:] = np.logaddexp(now[:, 1:], past[:, :-1])
            now[:, 2:] = np.logaddexp(now[:, 2:], np.where(self._skips[:, 2:], past[:, :-2], -np.inf))
            now += spoken[:, step]
        return found

    def backward(self, spoken: Array) -> Array:
        """log of the probability of all ways from a state at a step to the end, that step left out: of spoken's
        shape."""
        found = np.full_like(spoken, -np.inf)
        found[self._rows, -1, self.ends] = 0
        found[self._rows, -1, np.maximum(self.ends - 1, 0)] = 0
        for step in reversed(range(spoken.shape[1] - 1)):
            following, now = found[:, step + 1] + spoken[:, step + 1], found[:, step]
            now[...] = following
            now[:, :-1] = np.logaddexp(now[:, :-1], following[:, 1:])
            now[:, :-2] = np.logaddexp(now[:, :-2], np.where(self._skips[:, 2:], following[:, 2:], -np.inf))
        return found

    def total(self, last: Array) -> Array:
        """log of the probability of the targets, [N], from the last step of `forward`, [N, 2*S + 1]."""
        whole = last[self._rows, self.ends]
        ending = np.where(self.ends > 0, last[self._rows, self.ends - 1], -np.inf)
        return np.asarray(np.logaddexp(whole, ending))

    def subtract(self, share: Array, gradient: Array) -> None:
        """The shares [N, L, 2*S + 1] of states taken from their labels' in the gradient [N, L, K], in place."""
        for state in range(self.labels.shape[1]):
            gradient[self._rows, :, self.labels[:, state]] -= share[:, :, state].astype(gradient.dtype)


def steps_needed(target: Array) -> Array:
    """Steps that labels [N, S] padded with -1 need at least, [N]: one each, and a blank between equal ones."""
    there = target != PADDING
    repeats = (target[:, 1:] == target[:, :-1]) & there[:, 1:]
    return np.asarray(there.sum(axis=1) + repeats.sum(axis=1))
