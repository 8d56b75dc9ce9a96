"""Connectionist temporal classification as `graphc.train.losses.ctc` has it, a step after the other, in logarithms."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.lazy import np
from graphc.training_graph.tensor import Tensor, concat, swapped

NEVER = -1e30
"""In place of the logarithm of 0: sums of it over thousands of steps are float32's still."""


def emit_ctc(prediction: Tensor, labels: Tensor, blank: int, padding: int) -> tuple[Tensor, Tensor, Tensor]:
    """(log of the probability of each target [N]; whether it is above 0 [N]; the gradient of its negative [N, L, K]) of
    logits [N, L, K] and labels [N, S], float32, padded."""
    log_p = prediction.log_softmax(2)
    paths = _Paths(labels, prediction.shape, blank, padding)
    spoken = paths.along(log_p)
    before, after = paths.forward(spoken), paths.backward(spoken)
    whole = [a + b for a, b in zip(before, after, strict=True)]
    total = _log_sum(before[-1] + paths.last, axis=1)
    possible = total.above(NEVER / 2)
    shares = [(each - total).exp().reshape(each.shape[0], 1, -1) for each in whole]
    slopes = log_p.exp() - concat(shares, axis=1) @ paths.labels
    return total.reshape(-1), possible.reshape(-1), slopes * possible.reshape(-1, 1, 1)


class _Paths:
    """Each target with a blank before, between and behind its labels: the states [N, M] of all its paths."""

    def __init__(self, target: Tensor, shape: Sequence[int], blank: int, padding: int) -> None:
        count, most = target.shape
        classes, states = shape[2], 2 * most + 1
        there = 1 - target.equals(padding)
        spoken = target * there + (1 - there) * blank
        each = target.constant(np.arange(classes, dtype=np.float32))
        rest = np.zeros((count, most, 1, classes), np.float32)
        rest[..., blank] = 1
        pairs = [target.constant(rest), spoken.reshape(count, most, 1, 1).equals(each)]
        inner = concat(pairs, axis=2).reshape(count, 2 * most, classes)
        self.labels = concat([inner, target.constant(rest[:, :1, 0])], axis=1)
        """[N, M, K]: 1 at each state's label."""
        places = target.constant(np.arange(states, dtype=np.float32))
        ends = there.sum(1, keep=True) * 2
        self.last = (1 - (places.equals(ends) + places.equals(ends - 1))) * NEVER
        """[N, M]: 0 at the last label and the blank behind it."""
        self._outside = places.above(ends) * NEVER
        self._skips = self._skipped(spoken, states)

    @staticmethod
    def _skipped(spoken: Tensor, states: int) -> Tensor:
        """[N, M]: 0 where a state may follow the one two before it: a label that differs from the label before."""
        count, most = spoken.shape
        none = spoken.constant(np.full((count, min(3, states)), NEVER, np.float32))
        if most < 2:
            return none
        first, second = (spoken.part((start,), (most - 1,), (1,)) for start in (0, 1))
        same = (second.equals(first) * NEVER).reshape(count, most - 1, 1)
        pairs = concat([same, spoken.constant(np.full((count, most - 1, 1), NEVER, np.float32))], axis=2)
        return concat([none, pairs.reshape(count, 2 * (most - 1))], axis=1)

    def along(self, log_p: Tensor) -> list[Tensor]:
        """log p of each state's label at each step, [N, M]."""
        found = log_p @ swapped(self.labels) + self._outside.reshape(log_p.shape[0], 1, -1)
        steps = found.split([1] * log_p.shape[1], 1)
        return [step.reshape(found.shape[0], found.shape[2]) for step in steps]

    def forward(self, spoken: Sequence[Tensor]) -> list[Tensor]:
        """log of the probability of all ways to a state at each step, that step included."""
        start = np.full(spoken[0].shape, NEVER, np.float32)
        start[:, :2] = 0
        found = [spoken[0] + spoken[0].constant(start)]
        for step in spoken[1:]:
            past = found[-1]
            ways = [past, past.pad([(0, 0), (1, -1)], NEVER), past.pad([(0, 0), (2, -2)], NEVER) + self._skips]
            found.append(_log_sum_of(ways) + step)
        return found

    def backward(self, spoken: Sequence[Tensor]) -> list[Tensor]:
        """log of the probability of all ways from a state at each step to the end, that step left out."""
        found = [self.last]
        for step in reversed(spoken[1:]):
            following = found[0] + step
            skipping = (following + self._skips).pad([(0, 0), (-2, 2)], NEVER)
            found.insert(0, _log_sum_of([following, following.pad([(0, 0), (-1, 1)], NEVER), skipping]))
        return found


def _log_sum_of(parts: Sequence[Tensor]) -> Tensor:
    """log of the sum of what these are the logarithms of, all of one shape."""
    return _log_sum(concat([each.reshape(1, *each.shape) for each in parts], axis=0), axis=0).reshape(*parts[0].shape)


def _log_sum(x: Tensor, axis: int) -> Tensor:
    """log of the sum over an axis of what these are the logarithms of; the axis stays."""
    most = x.max(axis, keep=True)
    return (x - most).exp().sum(axis, keep=True).log() + most
