"""Which inputs an output can see, along one axis, exactly.

A `Reach` maps an output position y to an interval of input positions. It is periodic: outputs `period` apart
see intervals `advance` apart. A convolution has period 1 and advance = stride; upsampling by f has period f and
advance 1. Composing and joining intervals is exact for any mix of the two, dilation and asymmetric padding
included (of a dilated window the reach is the interval from its first to its last tap).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TypeVar

from graphc.dims import MAX_NUMBER
from graphc.errors import RuleError
from graphc.window import TransposedWindow, Window

_T = TypeVar("_T")


MOST_WINDOWS = 100_000
"""Outputs that see inputs in ways of their own, before the pattern is there again."""


def check_period(period: int) -> None:
    """A RuleError where outputs see inputs in too many different ways to tell them apart."""
    if period > MOST_WINDOWS:
        many = f"its outputs see inputs in {period:,} different ways" if period < MAX_NUMBER else "its outputs see more"
        raise RuleError("G209", f"{many}, and at most {MOST_WINDOWS:,} are told apart")


@dataclass(frozen=True, slots=True)
class Reach:
    period: int
    advance: int
    low: tuple[int, ...]
    """First input seen by output r, for r in 0..period-1."""
    high: tuple[int, ...]
    """Last input seen."""
    known: bool = True
    """False where an offset depends on an input size that is a symbol: then `padding` and `centre` are None."""

    @staticmethod
    def of(window: Window) -> Reach:
        before = window.before
        start = -(before if before is not None else (window.extent - 1) // 2)
        return Reach(1, window.stride, (start,), (start + window.extent - 1,), before is not None)

    @staticmethod
    def of_transposed(window: TransposedWindow) -> Reach:
        stride = window.stride
        check_period(stride)
        # an output sees every `apart`-th tap from the first one that is a multiple of strides away
        shared = math.gcd(window.dilation, stride)
        apart = stride // shared
        inverse = pow(window.dilation // shared, -1, apart)
        low, high = [], []
        for place in range(window.pads[0], window.pads[0] + stride):
            first = place // shared * inverse % apart if place % shared == 0 else window.kernel
            if first < window.kernel:
                last = first + (window.kernel - 1 - first) // apart * apart
                low.append((place - last * window.dilation) // stride)
                high.append((place - first * window.dilation) // stride)
            else:  # of an output that sees none: up to the one before
                low.append(-(-place // stride))
                high.append(low[-1] - 1)
        return Reach(stride, 1, tuple(low), tuple(high))

    def first(self, position: int) -> int:
        turns, phase = divmod(position, self.period)
        return turns * self.advance + self.low[phase]

    def last(self, position: int) -> int:
        turns, phase = divmod(position, self.period)
        return turns * self.advance + self.high[phase]

    def then(self, layer: Reach) -> Reach:
        """The reach of a layer's outputs, where this is the reach of its inputs."""
        return _then(self, layer)

    def join(self, other: Reach) -> Reach:
        """The reach of an output that sees both; where the strides differ, the longer of the two."""
        if self.stride != other.stride:
            return max(self, other, key=lambda reach: reach.size)
        if not (self.known and other.known):
            longer = max(self, other, key=lambda reach: reach.size)
            return Reach(longer.period, longer.advance, longer.low, longer.high, False)
        period = math.lcm(self.period, other.period)
        check_period(period)
        return Reach(
            period,
            self.advance * period // self.period,
            tuple(min(self.first(r), other.first(r)) for r in range(period)),
            tuple(max(self.last(r), other.last(r)) for r in range(period)),
        )

    def is_aligned_with(self, other: Reach) -> bool:
        """Whether both have one stride and, where both are known, one centre, or one end: what causal layers see."""
        if self is other:
            return True
        (stride, centre), (others, its) = _grid(self), _grid(other)
        if stride != others:
            return False
        if not (self.known and other.known) or centre == its:
            return True
        return self.period == other.period and self.high == other.high

    @property
    def size(self) -> int:
        """Inputs seen, the most over all outputs."""
        return max(last - first + 1 for first, last in zip(self.low, self.high, strict=True))

    @property
    def stride(self) -> Fraction:
        """Inputs from one output to the next; below 1 after upsampling."""
        return Fraction(self.advance, self.period)

    @property
    def padding(self) -> int | None:
        """Inputs that output 0 sees before the first one."""
        return -self.low[0] if self.known else None

    @property
    def centre(self) -> Fraction | None:
        """Where output 0 is centred on the input, averaged over one period; None where not known."""
        if not self.known:
            return None
        middles = sum(self.low[r] + self.high[r] for r in range(self.period))
        drift = self.stride * (self.period - 1) / 2
        return Fraction(middles, 2 * self.period) - drift

    @property
    def is_identity(self) -> bool:
        return self == HERE


@lru_cache(maxsize=4096)
def _grid(reach: Reach) -> tuple[Fraction, Fraction | None]:
    """Stride and centre: a layer that reads many compares each with the first."""
    return reach.stride, reach.centre


@lru_cache(maxsize=4096)
def _then(inputs: Reach, layer: Reach) -> Reach:
    """A network has few layers that see differently: repeats, and the network of a moment ago in an editor."""
    turns = inputs.period // math.gcd(inputs.period, layer.advance)
    period = layer.period * turns
    check_period(period)
    advance = layer.advance * turns * inputs.advance // inputs.period
    if advance >= MAX_NUMBER:
        raise RuleError("G209", "its outputs would lie 2**63 or more inputs apart")
    return Reach(
        period,
        advance,
        tuple(inputs.first(layer.first(r)) for r in range(period)),
        tuple(inputs.last(layer.last(r)) for r in range(period)),
        inputs.known and layer.known,
    )


HERE = Reach(1, 1, (0,), (0,))


@dataclass(frozen=True, slots=True)
class ReceptiveField:
    """A value's reach into one input along each spatial axis: length; height and width; depth, height and width."""

    axes: tuple[Reach, ...]

    @property
    def size(self) -> tuple[int, ...]:
        return tuple(axis.size for axis in self.axes)

    @property
    def stride(self) -> tuple[Fraction, ...]:
        return tuple(axis.stride for axis in self.axes)

    @property
    def padding(self) -> tuple[int, ...] | None:
        """None where it is not known along an axis."""
        return _all_known(axis.padding for axis in self.axes)

    @property
    def centre(self) -> tuple[Fraction, ...] | None:
        """None where it is not known along an axis."""
        return _all_known(axis.centre for axis in self.axes)


def _all_known(values: Iterable[_T | None]) -> tuple[_T, ...] | None:
    found = tuple(values)
    known = tuple(value for value in found if value is not None)
    return known if len(known) == len(found) else None
