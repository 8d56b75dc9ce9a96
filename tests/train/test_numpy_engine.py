"""Steps of nets with a large matrix, whose gradient comes as its factors: they are the steps of whole gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest

from graphc.data.batch import Batch
from graphc.initializers import initial_values
from graphc.kernels.factored_gradient import FactoredGradient
from graphc.parallel import blas
from graphc.spec.model import read_spec_text
from graphc.train import numpy_engine
from graphc.train.numpy_engine import NumpyEngine
from graphc.train.recipe import read_recipe_text
from graphc.train.state import TrainState
from graphc.train.task import Task

SPEC = """\
graphc: 1
name: net
inputs: {image: [N, 20, 20, 1]}
layers:
  - flatten: {name: vector}
  - fully_connected: {name: a, units: 512}
  - fully_connected: {name: b, units: 512, inputs: vector}
  - add: {name: sum, inputs: [a, b]}
  - fully_connected: {name: logits, units: 2}
outputs: {logits: logits}
"""
RECIPE = """\
recipe: 1
model: net
data: {train: digits}
loss: softmax_cross_entropy
optimizer: momentum
learning_rate: 0.1
steps: 1
"""


def a_step(factors: bool, *lines: str) -> tuple[NumpyEngine, TrainState, Batch]:
    """What a step takes, its gradients as factors or whole."""
    one = NumpyEngine(Task.of(read_recipe_text(RECIPE + "\n".join(lines)), read_spec_text(SPEC, "net.yaml")))
    if not factors:
        one.network.freeze(one.plan, one.learning.frozen, factored=())
    params = initial_values(one.plan.variables, 0)
    state = TrainState.start(params, one.recipe.optimizer, list(one.learning.learning), False)
    images = np.random.default_rng(0).normal(size=(12, 20, 20, 1)).astype(np.float32)
    return one, state, Batch({"image": images}, {"label": np.arange(12) % 2})


@pytest.mark.parametrize("shards", [1, 2])
@pytest.mark.parametrize(
    "clip", ["{global_norm: 0.05}", "{variable_norm: 0.05}", "{variable_norm: 0.1, global_norm: 0.05}"]
)
def test_two_matrices_behind_one_sum_are_clipped_once_each(clip, shards):
    """With one part they have the same array of slopes."""
    found = []
    for factors in (True, False):
        one, state, batch = a_step(factors, f"clip: {clip}", f"shards: {shards}")
        done = one.compute(state, [batch], 0.1)
        assert isinstance(done.gradients["net/a/weights"], FactoredGradient) == factors
        found.append({name: np.asarray(gradient) for name, gradient in done.gradients.items()})
        one.network.close()
    for name, gradient in found[1].items():
        np.testing.assert_allclose(found[0][name], gradient, rtol=0, atol=1e-6 * np.abs(gradient).max(), err_msg=name)


def test_factors_whose_product_overflows_are_not_finite():
    large = np.full((2, 3), 1e20, np.float32)
    with np.errstate(over="ignore"):
        assert numpy_engine._norm(FactoredGradient(large, large)) == math.inf
    assert numpy_engine._norm(FactoredGradient(large / np.float32(1e5), large)) == pytest.approx(6e35, rel=1e-5)


def test_factors_become_gradients_with_one_thread_of_blas(monkeypatch):
    """More of them round otherwise."""
    numpys = blas.libraries()  # a library that another test has loaded since, such as SciPy's, has no part in it
    threads = set()
    for real in (FactoredGradient.by_rows, FactoredGradient.square_sum):

        def counted(*given, real=real):
            threads.update(each["num_threads"] for each in numpys.info() if each["user_api"] == "blas")
            return real(*given)

        monkeypatch.setattr(FactoredGradient, real.__name__, counted)
    one, state, batch = a_step(True)
    with numpys.limit(limits=2, user_api="blas"):
        one.compute(state, [batch], 0.1).commit()
    assert threads == {1}
    one.network.close()
