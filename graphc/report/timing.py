"""How long each layer takes: one example forward through NumPy, one thread, the shortest of a few runs."""

from __future__ import annotations

import time
from typing import ClassVar

import numpy as np

from graphc import initializers
from graphc.execution.operation import Operation
from graphc.execution.plan import ExecutionPlan
from graphc.graph import Plan
from graphc.layers.base import static
from graphc.parallel.blas import single_threaded_blas
from graphc.parallel.communicator import whole_batch
from graphc.types import Array, Context, Params, Step

RUNS = 3


class Timed:
    """An operation with its times, in milliseconds."""

    donates_output: ClassVar[bool] = False

    def __init__(self, operation: Operation) -> None:
        self.times: list[float] = []
        self._operation = operation

    def forward(self, context: Context, params: Params, *inputs: Array) -> Step:
        start = time.perf_counter()
        done = self._operation.forward(context, params, *inputs)
        self.times.append(1000 * (time.perf_counter() - start))
        return done


def layer_times(plan: Plan) -> dict[str, float]:
    """Milliseconds by node name, on weights drawn from the spec's initializers. Each layer runs by itself."""
    timed: dict[str, Timed] = {}

    def instrument(name: str, operation: Operation) -> Operation:
        timed[name] = Timed(operation)
        return timed[name]

    rng = np.random.default_rng(0)
    inputs: dict[str, Array] = {
        given.name: rng.normal(size=(1, *static(given.shape, given.name))).astype(np.float32)
        for given in plan.graph.inputs
    }
    params = initializers.initial_values(plan.variables, 0)
    execution = ExecutionPlan(plan, instrument=instrument)
    with single_threaded_blas:
        for _ in range(RUNS):
            execution.run(frozenset(plan.by_name), whole_batch(), False, 0, params, inputs)
    return {name: min(timed[name].times) for name in plan.by_name}
