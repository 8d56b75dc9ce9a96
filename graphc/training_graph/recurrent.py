"""Recurrent cells as `graphc.kernels.recurrent` has them, a step after the other: nodes for each step.

`drives` are the inputs' products with the weights and their biases, for each step [N, G*U], as many gates side by side
as the cell has; the state before the first step is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from graphc.lazy import np
from graphc.training_graph.dense import gemm
from graphc.training_graph.tensor import Tensor, concat


@dataclass(frozen=True, slots=True)
class CellGradients:
    """Of what a cell reads."""

    drives: list[Tensor]
    recurrent: Tensor
    biases: Tensor


@dataclass(frozen=True, slots=True)
class CellRun:
    """The states after every step, each [N, U], and the way back from their gradients; None: there is none."""

    states: list[Tensor]
    backward: Callable[[Sequence[Tensor | None]], CellGradients]


def emit_lstm(drives: Sequence[Tensor], recurrent: Tensor, biases: Tensor | None) -> CellRun:
    """Gates i, f, c, o of recurrent weights [U, 4*U] and biases [4*U]."""
    units = recurrent.shape[0]
    nothing = drives[0].constant(np.zeros((drives[0].shape[0], units), np.float32))
    states, cells, gates, squashed = [nothing], [nothing], list[list[Tensor]](), list[Tensor]()
    for drive in drives:
        i, f, g, o = (drive + gemm(states[-1], recurrent, biases)).split([units] * 4, 1)
        now = [i.sigmoid(), f.sigmoid(), g.apply("Tanh"), o.sigmoid()]
        cells.append(now[1] * cells[-1] + now[0] * now[2])
        squashed.append(cells[-1].apply("Tanh"))
        states.append(now[3] * squashed[-1])
        gates.append(now)

    def backward(dy: Sequence[Tensor | None]) -> CellGradients:
        found: list[Tensor] = []
        dstate = dcell = nothing
        for (i, f, g, o), before, tanh, given in reversed(list(zip(gates, cells, squashed, dy, strict=False))):
            dh = dstate if given is None else dstate + given
            dc = dcell + dh * o * (1 - tanh * tanh)
            slopes = [dc * g * i * (1 - i), dc * before * f * (1 - f), dc * i * (1 - g * g), dh * tanh * o * (1 - o)]
            found.insert(0, concat(slopes, axis=1))
            dstate, dcell = gemm(found[0], recurrent, b_t=True), dc * f
        return _gradients(found, found, states[:-1])

    return CellRun(states[1:], backward)


def emit_gru(drives: Sequence[Tensor], recurrent: Tensor, biases: Tensor | None) -> CellRun:
    """Gates r, z, n of recurrent weights [U, 3*U] and biases [3*U]; the reset gate stands behind the product."""
    units = recurrent.shape[0]
    nothing = drives[0].constant(np.zeros((drives[0].shape[0], units), np.float32))
    states, gates = [nothing], list[list[Tensor]]()
    for drive in drives:
        of_inputs = drive.split([units] * 3, 1)
        of_past = gemm(states[-1], recurrent, biases).split([units] * 3, 1)
        r, z = ((a + b).sigmoid() for a, b in zip(of_inputs[:2], of_past[:2], strict=True))
        n = (of_inputs[2] + r * of_past[2]).apply("Tanh")
        gates.append([r, z, n, of_past[2]])
        states.append(n + z * (states[-1] - n))

    def backward(dy: Sequence[Tensor | None]) -> CellGradients:
        found, of_past = list[Tensor](), list[Tensor]()
        dstate = nothing
        for (r, z, n, recalled), before, given in reversed(list(zip(gates, states, dy, strict=False))):
            dh = dstate if given is None else dstate + given
            dn = dh * (1 - z) * (1 - n * n)
            dr, dz = dn * recalled * r * (1 - r), dh * (before - n) * z * (1 - z)
            found.insert(0, concat([dr, dz, dn], axis=1))
            of_past.insert(0, concat([dr, dz, dn * r], axis=1))
            dstate = dh * z + gemm(of_past[0], recurrent, b_t=True)
        return _gradients(found, of_past, states[:-1])

    return CellRun(states[1:], backward)


def _gradients(drives: list[Tensor], of_past: Sequence[Tensor], before: Sequence[Tensor]) -> CellGradients:
    """From the gradients of the inputs' products and of the states', for each step, and the states before it."""
    every = concat(of_past, axis=0)
    return CellGradients(drives, gemm(concat(before, axis=0), every, a_t=True), every.sum(0))
