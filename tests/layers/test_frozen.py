"""Gradients of weights that nobody asks for are not computed."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.execution.network import Network
from graphc.initializers import initial_values
from graphc.kernels.context import RunContext
from graphc.kernels.conv import ALGORITHMS
from graphc.layers.conv import Conv2d
from graphc.layers.conv_transpose import Conv2dTranspose
from graphc.layers.depthwise_conv import DepthwiseConv2d, SeparableConv2d
from graphc.layers.fully_connected import FullyConnected
from tests.passes.specs import plan_of

LAYERS = [
    (Conv2d(filters=4, kernel=3), (6, 6, 8)),
    (Conv2d(filters=4, kernel=5, bias=False), (20, 20, 8)),
    (DepthwiseConv2d(kernel=3), (6, 6, 8)),
    (SeparableConv2d(filters=5, kernel=3), (6, 6, 8)),
    (Conv2dTranspose(filters=4, kernel=3), (6, 6, 8)),
    (FullyConnected(units=7), (9,)),
]


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=lambda value: getattr(value, "kind", None))
def test_each_variable_by_itself(layer, shape):
    params = initial_values(layer.declare_params(shape), 0)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(16, *shape)).astype(np.float32)
    dy = rng.normal(size=(16, *layer.infer_shape(shape))).astype(np.float32)
    every = layer.forward(RunContext(training=True), params, x).backward(dy)
    assert every.params.keys() == params.keys()
    for frozen in [*({name} for name in params), set(params)]:
        some = layer.forward(RunContext(training=True, frozen=frozenset(frozen)), params, x).backward(dy)
        assert some.params.keys() == params.keys() - frozen
        np.testing.assert_allclose(some.inputs[0], every.inputs[0], rtol=0, atol=1e-4)
        for name, gradient in some.params.items():
            np.testing.assert_allclose(gradient, every.params[name], rtol=0, atol=1e-4)


NET = """\
inputs: {image: [N, 8, 8, 3]}
layers:
  - conv2d: {name: first, filters: 4, kernel: 3}
  - conv2d: {name: second, filters: 4, kernel: 3}
  - max_pool2d: {name: pool, kernel: 2}
  - flatten
  - fully_connected: {name: third, units: 5}
outputs: {y: third}
"""


def test_a_network_computes_none_of_frozen_weights(monkeypatch):
    """The first learns, so the way back leads through the others."""
    asked = []

    def spy(real):
        def run(context, problem, *arrays):
            asked.append(problem.channels)
            return real(context, problem, *arrays)

        return run

    for algorithm in ALGORITHMS:
        for method in ("gradients", "weight_gradient", "block_gradients"):
            if hasattr(algorithm, method):
                monkeypatch.setattr(algorithm, method, spy(getattr(algorithm, method)))
    planned = plan_of(NET)
    frozen = [name for name in planned.variables if "/first/" not in f"/{name}"]
    assert len(frozen) == 4
    params = initial_values(planned.variables, 0)
    x = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype(np.float32)
    run = Network(planned, threads=1, shards=1, frozen=frozen).forward(params, {"image": x}, training=True)
    found = run.backward({"third": np.ones((4, 5), np.float32)})
    assert set(found) == set(planned.variables) - set(frozen)
    assert set(asked) == {3}, "only the first convolution, which has three channels"
