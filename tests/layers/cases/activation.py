"""Activations and softmax."""

from __future__ import annotations

from graphc.layers.activation import HardSigmoid, HardSwish, HardTanh, LeakyRelu, Relu, Relu6, ThresholdedRelu
from graphc.layers.log_softmax import LogSoftmax
from graphc.layers.prelu import PRelu
from graphc.layers.smooth_activation import Elu, Gelu, Mish, Selu, Sigmoid, Silu, Softplus, Softsign, Tanh
from graphc.layers.softmax import Softmax
from tests.layers.cases import Case

_LAYERS = (
    Relu(),
    Relu6(),
    LeakyRelu(),
    LeakyRelu(alpha=0.3),
    PRelu(),
    PRelu(trainable=False),
    PRelu(shared=True),
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
    LogSoftmax(),
    Softsign(),
    ThresholdedRelu(threshold=0.3),
    HardTanh(),
)

CASES = [Case(layer, (shape,)) for layer in _LAYERS for shape in ((3, 4, 5), (7,), (2, 6))]
CASES += [Case(layer, ((2, 3, 2, 4),)) for layer in (PRelu(), Softmax())]
CASES += [Case(Softmax(axis=axis), ((2, 3, 2, 4),), reach="any") for axis in (0, -2)]
CASES += [Case(layer, ((3, 4, 2),), reach="within") for layer in (Softmax(axis="width"), LogSoftmax(axis=0))]
CASES += [Case(Softmax(axis=0), ((3, 4),), reach="any")]
