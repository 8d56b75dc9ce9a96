"""Activations at points whose values are published or easy."""

from __future__ import annotations

import math

import numpy as np
import pytest

from graphc.initializers import Constant
from graphc.kernels.context import RunContext
from graphc.layers import CATALOGUE
from graphc.layers.activation import HardSigmoid, HardSwish, LeakyRelu, Relu, Relu6
from graphc.layers.base import Layer
from graphc.layers.prelu import PRelu
from graphc.layers.smooth_activation import Elu, Gelu, Mish, Selu, Sigmoid, Silu, Softplus, Tanh
from graphc.layers.softmax import Softmax

VALUES = [
    (Relu(), [-1, 2], [0, 2]),
    (Relu6(), [-1, 3, 7], [0, 3, 6]),
    (LeakyRelu(), [-1, 2], [-0.01, 2]),
    (Elu(), [-1, 2], [math.exp(-1) - 1, 2]),
    (Selu(), [-1, 1], [-1.1113307378125625, 1.0507009873554805]),
    (Gelu(), [-1, 1], [-0.15865525393145707, 0.8413447460685429]),
    (Gelu(approximate="tanh"), [-1, 1], [-0.15880800939172324, 0.8411919906082768]),
    (Silu(), [1], [0.7310585786300049]),
    (HardSigmoid(), [-4, 0, 1, 4], [0, 0.5, 2 / 3, 1]),
    (HardSwish(), [-4, -1, 1, 4], [0, -1 / 3, 2 / 3, 4]),
    (Sigmoid(), [0, 1], [0.5, 0.7310585786300049]),
    (Tanh(), [1], [0.7615941559557649]),
    (Softplus(), [0, 1], [math.log(2), 1.3132616875182228]),
    (Mish(), [1], [0.8650983882673103]),
    (Softmax(), [0, 0, math.log(2)], [0.25, 0.25, 0.5]),
]


@pytest.mark.parametrize(("layer", "x", "expected"), VALUES, ids=lambda value: getattr(value, "kind", None))
def test_activation_has_its_published_values(layer: Layer, x: list[float], expected: list[float]) -> None:
    y = layer.forward(RunContext(), {}, np.array([x], np.float64)).output
    np.testing.assert_allclose(y[0], expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("kind", sorted({layer.kind for layer, _, _ in VALUES} | {"prelu"}))
def test_activation_survives_large_numbers(kind: str) -> None:
    """Overflow would be a RuntimeWarning, which is an error here."""
    x = np.array([[-1e4, -100, -20, 0, 20, 100, 1e4]], np.float32)
    step = CATALOGUE[kind]().forward(RunContext(), {"alpha": np.full(7, 0.25, np.float32)}, x)
    (dx,) = step.backward(np.ones_like(x)).inputs
    assert np.isfinite(step.output).all()
    assert np.isfinite(dx).all()
    assert step.output.dtype == dx.dtype == np.float32


def test_prelu_has_a_slope_a_channel_that_starts_at_a_quarter() -> None:
    ((name, spec),) = PRelu().declare_params((4, 4, 3)).items()
    assert (name, spec.shape) == ("alpha", (3,))
    assert spec.initializer == Constant(value=0.25)
    x = np.array([[-4.0, -4.0, 4.0]])
    y = PRelu().forward(RunContext(), {"alpha": np.array([0.25, 0.5, 0.5])}, x).output
    np.testing.assert_array_equal(y, [[-1, -2, 4]])


def test_costly_activations_say_so() -> None:
    assert {kind for kind, layer in CATALOGUE.items() if layer.costly} == {"prelu", "elu", "mish"}
