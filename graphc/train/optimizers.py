"""Optimizers: frozen settings with an in-place update of one block of a variable.

Conventions are PyTorch's: `weight_decay` is added to the gradient (adamw and lamb: taken from the weights), epsilon
lies outside the square root, adam's moments are corrected for their start at zero, momentum has no dampening.
A slot is an array beside a variable (momentum, mean, …), made once and updated in place. Blocks are small enough
to stay in cache while several passes go over them.
"""

from __future__ import annotations

import math
from typing import ClassVar, TypeAlias

from pydantic import Field

from graphc.kernels.factored_gradient import FactoredGradient, scale
from graphc.lazy import np
from graphc.settings import Kind
from graphc.train.blocks import ParallelFor, add_scaled, alone, blocks, by_blocks, flat, square_sum
from graphc.training_graph.tensor import Tensor
from graphc.types import Array, Gradient

Slots: TypeAlias = tuple[Tensor, ...]
SQUARE = "square"
"""The slot that every optimizer with one takes the square root of: never negative."""


class Optimizer(Kind):
    """Settings of an optimizer."""

    elementwise: ClassVar[bool] = True
    """Whether a number of a variable moves without the rest of the gradient, so that blocks can move by themselves."""

    weight_decay: float = Field(default=0.0, ge=0)
    """Decay of the weights; the spec's regularizers are another way to the same end."""
    decay_only_weights: bool = False
    """Keep the decay off biases and normalization: off every variable of fewer than two axes."""

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of the arrays kept beside each variable."""
        return ()

    def start(self, slot: str) -> float:
        """What a slot is filled with."""
        return 0.0

    def decay_of(self, variable: Array) -> float:
        """The decay of a variable of any shape."""
        return 0.0 if self.decay_only_weights and variable.ndim < 2 else self.weight_decay

    def update(
        self,
        variable: Array,
        gradient: Gradient,
        slots: tuple[Array, ...],
        rate: float,
        step: int,
        parallel_for: ParallelFor = alone,
    ) -> None:
        """Step number `step` (from 1) of a whole variable, of any shape, in place, as its slots are, which have the
        variable's shape; the gradient may be overwritten."""
        decay = self.decay_of(variable)
        rate = self.rate_left(gradient, rate, decay)
        w, *s = (flat(array) for array in (variable, *slots))
        parts, gradient_of = by_blocks(gradient)

        def work(some: slice) -> None:
            for part in parts[some]:
                self.update_block(w[part], gradient_of(part), tuple(slot[part] for slot in s), rate, step, decay)

        parallel_for(work, len(parts))

    def rate_left(self, gradient: Gradient, rate: float, decay: float) -> float:
        """The rate for `update_block`: what a gradient has not taken on itself."""
        return rate

    def update_block(self, w: Array, g: Array, slots: tuple[Array, ...], rate: float, step: int, decay: float) -> None:
        """The formula, on flat views [n]: w and the slots in place; g may be overwritten."""
        raise NotImplementedError(self.kind)

    def emit_update(
        self, w: Tensor, g: Tensor, slots: Slots, rate: Tensor, step: Tensor, decay: float
    ) -> tuple[Tensor, Slots]:
        """`update` in nodes, of a whole variable, of any shape: the new variable and its new slots. Rate and step are
        single numbers."""
        raise NotImplementedError(self.kind)


class Sgd(Optimizer):
    """w -= rate * (g + decay*w)."""

    kind: ClassVar[str] = "sgd"

    def rate_left(self, gradient: Gradient, rate: float, decay: float) -> float:
        if decay or not isinstance(gradient, FactoredGradient):
            return rate
        scale(gradient, rate)  # one number, in place of all that it is made into
        return 1.0

    def update_block(self, w: Array, g: Array, slots: tuple[Array, ...], rate: float, step: int, decay: float) -> None:
        add_scaled(g, decay, w)
        add_scaled(w, -rate, g, spare=g)

    def emit_update(
        self, w: Tensor, g: Tensor, slots: Slots, rate: Tensor, step: Tensor, decay: float
    ) -> tuple[Tensor, Slots]:
        return w - (g + w * decay if decay else g) * rate, ()


class Momentum(Optimizer):
    """m = momentum*m + g; w -= rate * m."""

    kind: ClassVar[str] = "momentum"

    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Share of the last direction that is kept."""

    @property
    def slots(self) -> tuple[str, ...]:
        return ("momentum",)

    def update_block(self, w: Array, g: Array, slots: tuple[Array, ...], rate: float, step: int, decay: float) -> None:
        (m,) = slots
        add_scaled(g, decay, w)
        m *= self.momentum
        m += g
        self._move(w, g, m, rate)

    def emit_update(
        self, w: Tensor, g: Tensor, slots: Slots, rate: Tensor, step: Tensor, decay: float
    ) -> tuple[Tensor, Slots]:
        g = g + w * decay if decay else g
        m = slots[0] * self.momentum + g
        return w - self._emit_direction(g, m) * rate, (m,)

    def _emit_direction(self, g: Tensor, m: Tensor) -> Tensor:
        return m

    def _move(self, w: Array, g: Array, m: Array, rate: float) -> None:
        add_scaled(w, -rate, m, spare=g)


class Nesterov(Momentum):
    """m = momentum*m + g; w -= rate * (g + momentum*m)."""

    kind: ClassVar[str] = "nesterov"

    def _move(self, w: Array, g: Array, m: Array, rate: float) -> None:
        add_scaled(g, self.momentum, m)
        add_scaled(w, -rate, g, spare=g)

    def _emit_direction(self, g: Tensor, m: Tensor) -> Tensor:
        return g + m * self.momentum


class RmsProp(Optimizer):
    """v = decay_rate*v + (1 - decay_rate)*g²; w -= rate * g/(sqrt(v) + epsilon), through momentum where it is set."""

    kind: ClassVar[str] = "rmsprop"

    decay_rate: float = Field(default=0.99, ge=0, lt=1)
    """PyTorch's alpha."""
    epsilon: float = Field(default=1e-8, gt=0)
    """Outside the square root; TensorFlow's lies inside."""
    momentum: float = Field(default=0.0, ge=0, lt=1)
    """Share of the last direction that is kept."""
    centered: bool = False
    """Divide by the deviation instead of the root mean square."""

    @property
    def slots(self) -> tuple[str, ...]:
        extra = (("mean",) if self.centered else ()) + (("momentum",) if self.momentum else ())
        return (SQUARE, *extra)

    def update_block(self, w: Array, g: Array, slots: tuple[Array, ...], rate: float, step: int, decay: float) -> None:
        named = dict(zip(self.slots, slots, strict=True))
        add_scaled(g, decay, w)
        v = named[SQUARE]
        v *= self.decay_rate
        v += (1 - self.decay_rate) * (g * g)
        spread = v
        if self.centered:
            mean = named["mean"]
            mean *= self.decay_rate
            add_scaled(mean, 1 - self.decay_rate, g)
            spread = v - mean * mean
        root = np.sqrt(spread)
        root += self.epsilon
        g /= root
        if self.momentum:
            m = named["momentum"]
            m *= self.momentum
            m += g
            g = m
        add_scaled(w, -rate, g)

    def emit_update(
        self, w: Tensor, g: Tensor, slots: Slots, rate: Tensor, step: Tensor, decay: float
    ) -> tuple[Tensor, Slots]:
        named = dict(zip(self.slots, slots, strict=True))
        g = g + w * decay if decay else g
        v = named[SQUARE] = named[SQUARE] * self.decay_rate + (1 - self.decay_rate) * (g * g)
        spread = v
        if self.centered:
            mean = named["mean"] = named["mean"] * self.decay_rate + (1 - self.decay_rate) * g
            spread = v - mean * mean
        g = g / (spread.sqrt() + self.epsilon)
        if self.momentum:
            g = named["momentum"] = named["momentum"] * self.momentum + g
        return w - g * rate, tuple(named[slot] for slot in self.slots)


class Adagrad(Optimizer):
    """s += g²; w -= rate/(1 + (step - 1)*rate_decay) * g/(sqrt(s) + epsilon)."""

    kind: ClassVar[str] = "adagrad"

    rate_decay: float = Field(default=0.0, ge=0)
    """How fast the rate itself decays."""
    initial: float = Field(default=0.0, ge=0)
    """What the sum of squares begins with."""
    epsilon: float = Field(default=1e-10, gt=0)
    """Outside the square root."""

    @property
    def slots(self) -> tuple[str, ...]:
        return (SQUARE,)

    def start(self, slot: str) -> float:
        return self.initial

    def update_block(self, w: Array, g: Array, slots: tuple[Array, ...], rate: float, step: int, decay: float) -> None:
        (s,) = slots
        add_scaled(g, decay, w)
        s += g * g
        root = np.sqrt(s)
        root += self.epsilon
        g /= root
        add_scaled(w, -rate / (1 + (step - 1) * self.rate_decay), g, spare=g)

    def emit_update(
        self, w: Tensor, g: Tensor, slots: Slots, rate: Tensor, step: Tensor, decay: float
    ) -> tuple[Tensor, Slots]:
        g = g + w * decay if decay else g
        s = slots[0] + g * g
        rate = rate / (1 + (step - 1) * self.rate_decay) if self.rate_decay else rate
        return w - g / (s.sqrt() + self.epsilon) * rate, (s,)


class Adam(Optimizer):
    """m, v = moving means of g and g²; w -= rate * m̂/(sqrt(v̂) + epsilon), the hats correcting for the start."""

    kind: ClassVar[str] = "adam"

    beta1: float = Field(default=0.9, ge=0, lt=1)
    """Decay of the moving mean of gradients."""
    beta2: float = Field(default=0.999, ge=0, lt=1)
    """Decay of the moving mean of squared gradients."""
    epsilon: float = Field(default=1e-8, gt=0)
    """Outside the square root."""

    @property
    def slots(self) -> tuple[str, ...]:
        return ("mean", SQUARE)

    def update_block(self, w: Array, g: Array, slots: tuple[Array, ...], rate: float, step: int, decay: float) -> None:
        add_scaled(g, decay, w)
        direction, factor = self._direction(g, slots, step)
        add_scaled(w, -rate * factor, direction, spare=direction)

    def _direction(self, g: Array, slots: tuple[Array, ...], step: int) -> tuple[Array, float]:
        """Both moments moved on; a new array and the factor that makes it m̂/(sqrt(v̂) + epsilon).

        With c = sqrt(1 - beta2**step): m̂/(sqrt(v)/c + epsilon) = c*m̂/(sqrt(v) + c*epsilon), a pass less.
        """
        m, v = slots
        m *= self.beta1
        root = np.multiply(g, 1 - self.beta1)
        m += root
        v *= self.beta2
        g *= g
        add_scaled(v, 1 - self.beta2, g, spare=g)
        correction = math.sqrt(1 - self.beta2**step)
        np.sqrt(v, out=root)
        root += correction * self.epsilon
        np.divide(m, root, out=root)
        return root, correction / (1 - self.beta1**step)

    def emit_update(
        self, w: Tensor, g: Tensor, slots: Slots, rate: Tensor, step: Tensor, decay: float
    ) -> tuple[Tensor, Slots]:
        direction, factor, slots = self._emit_direction(g + w * decay if decay else g, slots, step)
        return w - direction * (rate * factor), slots

    def _emit_direction(self, g: Tensor, slots: Slots, step: Tensor) -> tuple[Tensor, Tensor, Slots]:
        """`_direction` in nodes, and the new slots."""
        m = slots[0] * self.beta1 + g * (1 - self.beta1)
        v = slots[1] * self.beta2 + g * g * (1 - self.beta2)
        correction = _one_minus_power(self.beta2, step).sqrt()
        return m / (v.sqrt() + correction * self.epsilon), correction / _one_minus_power(self.beta1, step), (m, v)


class AdamW(Adam):
    """Adam with w *= 1 - rate*decay beforehand, instead of decay in the gradient."""

    kind: ClassVar[str] = "adamw"

    weight_decay: float = Field(default=0.01, ge=0)
    """Taken from the weights themselves, times the learning rate."""

    def update_block(self, w: Array, g: Array, slots: tuple[Array, ...], rate: float, step: int, decay: float) -> None:
        if decay:
            w *= 1 - rate * decay
        direction, factor = self._direction(g, slots, step)
        add_scaled(w, -rate * factor, direction, spare=direction)

    def emit_update(
        self, w: Tensor, g: Tensor, slots: Slots, rate: Tensor, step: Tensor, decay: float
    ) -> tuple[Tensor, Slots]:
        direction, factor, slots = self._emit_direction(g, slots, step)
        w = w * (1 - rate * decay) if decay else w
        return w - direction * (rate * factor), slots


class Lamb(Adam):
    """r = m̂/(sqrt(v̂) + epsilon) + decay*w; w -= rate * |w|/|r| * r, per variable (You et al. 2020, no clip on |w|)."""

    kind: ClassVar[str] = "lamb"
    elementwise: ClassVar[bool] = False

    epsilon: float = Field(default=1e-6, gt=0)
    """Outside the square root."""

    def update(
        self,
        variable: Array,
        gradient: Gradient,
        slots: tuple[Array, ...],
        rate: float,
        step: int,
        parallel_for: ParallelFor = alone,
    ) -> None:
        decay = self.decay_of(variable)
        w, r, m, v = (flat(array) for array in (variable, np.asarray(gradient), *slots))
        parts = list(blocks(w.size))

        def turn(some: slice) -> None:
            for part in parts[some]:
                direction, factor = self._direction(r[part], (m[part], v[part]), step)
                np.multiply(direction, factor, out=r[part])
                add_scaled(r[part], decay, w[part])

        parallel_for(turn, len(parts))
        long, wide = math.sqrt(square_sum(w)), math.sqrt(square_sum(r))
        trust = long / wide if long and wide else 1.0

        def move(some: slice) -> None:
            for part in parts[some]:
                add_scaled(w[part], -rate * trust, r[part])

        parallel_for(move, len(parts))

    def emit_update(
        self, w: Tensor, g: Tensor, slots: Slots, rate: Tensor, step: Tensor, decay: float
    ) -> tuple[Tensor, Slots]:
        direction, factor, slots = self._emit_direction(g, slots, step)
        r = direction * factor
        r = r + w * decay if decay else r
        long, wide = w.square_sum().sqrt(), r.square_sum().sqrt()
        both = long.above(0) * wide.above(0)
        trust = both * long / (wide + (1 - both)) + (1 - both)
        return w - r * (rate * trust), slots


def _one_minus_power(base: float, step: Tensor) -> Tensor:
    """1 - base**step in float32, also where that is near 0: 1 - exp(-2*u) is 2*tanh(u)/(1 + tanh(u))."""
    if base == 0:
        return 0 * step + 1
    half = (step * (-math.log(base) / 2)).apply("Tanh")
    return 2 * half / (1 + half)


OPTIMIZERS: tuple[type[Optimizer], ...] = (Sgd, Momentum, Nesterov, RmsProp, Adagrad, Adam, AdamW, Lamb)


def new_slots(optimizer: Optimizer, variable: Array) -> tuple[Array, ...]:
    """The arrays that this optimizer keeps beside a variable, of the variable's shape and dtype, as they start."""
    return tuple(np.full_like(variable, optimizer.start(slot)) for slot in optimizer.slots)
