"""What both cells share: their variables, products over all steps at once, and activations of all gates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from graphc.lazy import np
from graphc.types import Array, Context


@dataclass(frozen=True, slots=True)
class CellParams:
    """A cell's variables, G gates side by side."""

    weights: Array
    """[C, G*U]"""
    recurrent_weights: Array
    """[U, G*U]"""
    biases: Array | None
    """[G*U], added to the inputs' product."""
    recurrent_biases: Array | None
    """[G*U], added to the product with the state before."""


@dataclass(frozen=True, slots=True)
class CellGradients:
    """The gradients of a cell's inputs and variables, each of its shape."""

    inputs: Array | None
    weights: Array
    recurrent_weights: Array
    biases: Array
    recurrent_biases: Array


@dataclass(frozen=True, slots=True)
class CellStep:
    """A cell's states after every step, [L, N, U], and the way back from their gradients."""

    states: Array
    backward: Callable[[Array], CellGradients]


def of_all_steps(context: Context, x: Array, matrix: Array) -> Array:
    """x @ matrix, [L, N, C] @ [C, F], as one product: [L, N, F]."""
    y = context.empty((*x.shape[:2], matrix.shape[1]), x.dtype)
    np.matmul(x.reshape(-1, x.shape[2]), matrix, out=y.reshape(-1, matrix.shape[1]))
    return y


def matrix_gradient(x: Array, dy: Array) -> Array:
    """The sum over steps and examples of x.T @ dy: [C, F] of [L, N, C] and [L, N, F]."""
    gradient: Array = x.reshape(-1, x.shape[2]).T @ dy.reshape(-1, dy.shape[2])
    return gradient


def states_before(context: Context, states: Array) -> Array:
    """The states [L, N, U] that each step starts from: 0, and then those after the step before."""
    before = context.empty(states.shape, states.dtype)
    before[0] = 0
    before[1:] = states[:-1]
    return before


class Gates:
    """Activations of gates side by side, in place: tanh of some, sigmoid of the others."""

    def __init__(self, units: int, tanh: tuple[bool, ...], dtype: Any) -> None:
        """`tanh`: whether a gate has that, else it has a sigmoid."""
        self._scale = np.repeat(np.where(tanh, 1, 0.5), units).astype(dtype)
        self._offset = (1 - self._scale).astype(dtype)

    def activate(self, gates: Array) -> None:
        """The activations of gates [N, G*U], written into them."""
        gates *= self._scale
        np.tanh(gates, out=gates)
        gates *= self._scale
        gates += self._offset
