"""Long short-term memory (Hochreiter and Schmidhuber 1997, with Gers' forget gate): gates i, f, c, o.

c' = f*c + i*g and h' = o*tanh(c'), where i, f, o are sigmoids and g the tanh of x @ w + h @ r + b.
"""

from __future__ import annotations

from graphc.kernels.recurrent.cell import (
    CellGradients,
    CellParams,
    CellStep,
    Gates,
    matrix_gradient,
    of_all_steps,
    states_before,
)
from graphc.lazy import np
from graphc.types import Array, Context


def lstm(context: Context, params: CellParams, x: Array) -> CellStep:
    """The states after every step of x [L, N, C], from states of 0: [L, N, U]."""
    length, count, _ = x.shape
    units = len(params.recurrent_weights)
    i, f, g, o = _four(units)
    activations = of_all_steps(context, x, params.weights)
    for biases in (params.biases, params.recurrent_biases):
        if biases is not None:
            activations += biases
    states, cells, squashed = (context.empty((length, count, units), x.dtype) for _ in range(3))
    gates = Gates(units, (False, False, True, False), x.dtype)
    for step in range(length):
        now = activations[step]
        if step:
            now += states[step - 1] @ params.recurrent_weights
        gates.activate(now)
        np.multiply(now[:, i], now[:, g], out=cells[step])
        if step:
            cells[step] += now[:, f] * cells[step - 1]
        np.tanh(cells[step], out=squashed[step])
        np.multiply(now[:, o], squashed[step], out=states[step])

    def backward(dy: Array) -> CellGradients:
        dgates = _gate_gradients(context, params, activations, cells, squashed, dy)
        before = states_before(context, states)
        dbiases = dgates.sum(axis=(0, 1))
        return CellGradients(
            of_all_steps(context, dgates, params.weights.T) if context.input_gradient else None,
            matrix_gradient(x, dgates),
            matrix_gradient(before, dgates),
            dbiases,
            dbiases,
        )

    return CellStep(states, backward)


def _gate_gradients(
    context: Context, params: CellParams, activations: Array, cells: Array, squashed: Array, dy: Array
) -> Array:
    """Of what the activations are taken of, [L, N, 4*U], from dy [L, N, U]; the last step first."""
    units = cells.shape[2]
    i, f, g, o = _four(units)
    dgates = context.empty(activations.shape, activations.dtype)
    dstate = np.zeros(cells.shape[1:], cells.dtype)
    dcell = np.zeros(cells.shape[1:], cells.dtype)
    for step in reversed(range(len(cells))):
        now, found = activations[step], dgates[step]
        dstate += dy[step]
        dcell += dstate * now[:, o] * (1 - squashed[step] ** 2)
        found[:, i] = dcell * now[:, g]
        found[:, f] = dcell * cells[step - 1] if step else 0
        found[:, g] = dcell * now[:, i] * (1 - now[:, g] ** 2)
        found[:, o] = dstate * squashed[step]
        for gate in (i, f, o):
            found[:, gate] *= now[:, gate] * (1 - now[:, gate])
        dcell *= now[:, f]
        dstate = found @ params.recurrent_weights.T
    return dgates


def _four(units: int) -> tuple[slice, slice, slice, slice]:
    """Where the gates i, f, g and o lie."""
    i, f, g, o = (slice(gate * units, (gate + 1) * units) for gate in range(4))
    return i, f, g, o
