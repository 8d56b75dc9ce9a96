"""How long each layer takes: one example forward through NumPy, one thread, the shortest of a few runs."""

from __future__ import annotations

import time

import numpy as np
from threadpoolctl import ThreadpoolController

from graphc import initializers
from graphc.graph import Plan
from graphc.kernels.context import RunContext
from graphc.layers.base import static
from graphc.types import Array

RUNS = 3


def layer_times(plan: Plan) -> dict[str, float]:
    """Milliseconds by node name, on weights drawn from the spec's initializers."""
    params = initializers.initial_values(plan.variables, 0)
    with ThreadpoolController().limit(limits=1, user_api="blas"):
        runs = [one_run(plan, params) for _ in range(RUNS)]
    return {name: min(run[name] for run in runs) for name in runs[0]}


def one_run(plan: Plan, params: dict[str, Array]) -> dict[str, float]:
    rng = np.random.default_rng(0)
    values: dict[str, Array] = {
        given.name: rng.normal(size=(1, *static(given.shape, given.name))).astype(np.float32)
        for given in plan.graph.inputs
    }
    found = {}
    for each in plan.nodes:
        node = each.node
        own = plan.params_of(node, params)
        inputs = [values[source] for source in node.inputs]
        start = time.perf_counter()
        values[node.name] = node.layer.forward(RunContext(training=False), own, *inputs).output
        found[node.name] = 1000 * (time.perf_counter() - start)
    return found
