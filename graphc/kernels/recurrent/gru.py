"""Gated recurrent units (Cho et al. 2014) as cuDNN, PyTorch and Keras (`reset_after`) have them: gates r, z, n.

h' = (1 - z)*n + z*h, where r and z are sigmoids of x @ w + h @ r + b and n is tanh(x @ w + r*(h @ r + b)): the reset
gate is applied after the product, so that one product is enough for all gates.
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


def gru(context: Context, params: CellParams, x: Array) -> CellStep:
    """The states after every step of x [L, N, C], from states of 0: [L, N, U]."""
    length, count, _ = x.shape
    units = len(params.recurrent_weights)
    r, z, n = _three(units)
    rz = slice(0, 2 * units)
    activations = of_all_steps(context, x, params.weights)
    if params.biases is not None:
        activations += params.biases
    nothing = np.zeros((count, units), x.dtype)
    states, recalled = (context.empty((length, count, units), x.dtype) for _ in range(2))
    gates = Gates(2 * units, (False,), x.dtype)
    for step in range(length):
        now = activations[step]
        past = states[step - 1] if step else nothing
        of_past = past @ params.recurrent_weights
        if params.recurrent_biases is not None:
            of_past += params.recurrent_biases
        recalled[step] = of_past[:, n]
        now[:, rz] += of_past[:, rz]
        gates.activate(now[:, rz])
        now[:, n] += now[:, r] * recalled[step]
        np.tanh(now[:, n], out=now[:, n])
        np.subtract(past, now[:, n], out=states[step])
        states[step] *= now[:, z]
        states[step] += now[:, n]

    def backward(dy: Array) -> CellGradients:
        starts = states_before(context, states)
        dgates, dpast = _gate_gradients(context, params, activations, recalled, starts, dy)
        return CellGradients(
            of_all_steps(context, dgates, params.weights.T) if context.input_gradient else None,
            matrix_gradient(x, dgates),
            matrix_gradient(starts, dpast),
            dgates.sum(axis=(0, 1)),
            dpast.sum(axis=(0, 1)),
        )

    return CellStep(states, backward)


def _gate_gradients(
    context: Context, params: CellParams, activations: Array, recalled: Array, starts: Array, dy: Array
) -> tuple[Array, Array]:
    """Of the inputs' product and of the states', both [L, N, 3*U], from dy [L, N, U]; the last step first."""
    units = starts.shape[2]
    r, z, n = _three(units)
    dgates = context.empty(activations.shape, activations.dtype)
    dpast = context.empty(activations.shape, activations.dtype)
    dstate = np.zeros(starts.shape[1:], starts.dtype)
    for step in reversed(range(len(starts))):
        now, found, of_past = activations[step], dgates[step], dpast[step]
        dstate += dy[step]
        found[:, z] = dstate * (starts[step] - now[:, n]) * now[:, z] * (1 - now[:, z])
        found[:, n] = dstate * (1 - now[:, z]) * (1 - now[:, n] ** 2)
        found[:, r] = found[:, n] * recalled[step] * now[:, r] * (1 - now[:, r])
        of_past[...] = found
        of_past[:, n] *= now[:, r]
        dstate *= now[:, z]
        dstate += of_past @ params.recurrent_weights.T
    return dgates, dpast


def _three(units: int) -> tuple[slice, slice, slice]:
    """Where the gates r, z and n lie."""
    r, z, n = (slice(gate * units, (gate + 1) * units) for gate in range(3))
    return r, z, n
