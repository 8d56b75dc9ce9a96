"""Activations and softmax."""

from __future__ import annotations

from graphc.layers.activation import HardSigmoid, HardSwish, LeakyRelu, Relu, Relu6
from graphc.layers.prelu import PRelu
from graphc.layers.smooth_activation import Elu, Gelu, Mish, Selu, Sigmoid, Silu, Softplus, Tanh
from graphc.layers.softmax import Softmax
from tests.layers.cases import Case

_LAYERS = (
    Relu(),
    Relu6(),
    LeakyRelu(),
    LeakyRelu(alpha=0.3),
    PRelu(),
    PRelu(trainable=False),
    Elu(),
    Elu(alpha=0.5),
    Selu(),
    Gelu(),
    Gelu(approximate="tanh"),
    Silu(),
    HardSigmoid(),
    HardSigmoid(alpha=0.2, beta=0.4),
    HardSwish(),
    Sigmoid(),
    Tanh(),
    Softplus(),
    Mish(),
    Softmax(),
)

CASES = [Case(layer, (shape,)) for layer in _LAYERS for shape in ((3, 4, 5), (7,), (2, 6))]
CASES += [Case(layer, ((2, 3, 2, 4),)) for layer in (PRelu(), Softmax())]
