"""A network whose shards are in several processes of a world has the bits of one process."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.compiler import plan_model
from graphc.execution.network import Network
from graphc.initializers import initial_values
from graphc.kernels.factored_gradient import FactoredGradient
from graphc.parallel.blas import single_threaded_blas
from graphc.parallel.world import LOCAL_WORLD
from graphc.spec.model import read_spec_text
from tests.parallel.threaded_world import run_world

SPEC = """\
graphc: 1
name: small
inputs: {image: [N, 8, 8, 3]}
layers:
  - conv2d: {name: conv, filters: 8, kernel: 3, padding: same, normalizer: batch_norm, activation: relu}
  - flatten
  - dropout: {rate: 0.5}
  - fully_connected: {name: wide, units: 512, activation: relu}
  - fully_connected: {name: logits, units: 3}
outputs: {logits: logits}
"""
"""With a matrix that ranks share (`graphc.kernels.dense`), and gradients of every way to be summed."""
BATCHES = (8, 3, 1, 8)
"""Examples: fewer than shards, too."""


def steps(world, plan, params, factored: bool) -> list:
    network = Network(plan, shards=4, threads=2, factored=["small/wide/weights"] if factored else [], world=world)
    found = []
    for step, count in enumerate(BATCHES):
        image = np.random.default_rng(step).normal(size=(count, 8, 8, 3)).astype(np.float32)
        run = network.forward(params, {"image": image}, True, step)
        gradients = run.backward({"logits": run.outputs["logits"] / 8})
        assert isinstance(gradients["small/wide/weights"], FactoredGradient) == factored
        found.append([run.outputs["logits"].copy()])
        found[-1] += [np.array(each) for _, each in sorted(run.updates.items())]
        found[-1] += [np.array(each) for each in gradients.values()]
    return found


@pytest.mark.parametrize("factored", [False, True])
@pytest.mark.parametrize("size", [2, 4])
def test_the_same_bits_in_every_rank(size: int, factored: bool) -> None:
    plan = plan_model(read_spec_text(SPEC, "small.yaml"))
    params = {name: value.astype(np.float32) for name, value in initial_values(plan.variables, 0).items()}
    with single_threaded_blas:  # one limit for all threads of this process, which stand for processes here
        expected = steps(LOCAL_WORLD, plan, params, factored)
        everyones = run_world(size, lambda world: steps(world, plan, params, factored))
    assert len(expected[0]) == 1 + 2 + len(params) - 2
    for found in everyones:
        for ours, theirs in zip(found, expected, strict=True):
            for one, other in zip(ours, theirs, strict=True):
                np.testing.assert_array_equal(one, other)
