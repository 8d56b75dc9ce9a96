"""One layer as a training graph in onnxruntime, beside the layer itself in NumPy."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from graphc.emit.training import TrainingGraph
from graphc.emit.training_targets import Target
from graphc.kernels.context import RunContext
from graphc.training_graph.tensor import between_layers, channels_last
from tests.layers.cases import Case
from tests.layers.one_layer import one_layer_plan

BATCH = 3


@dataclass
class Found:
    """The output of one step, and gradients of its inputs and variables for one dy; all with the channels last."""

    y: np.ndarray
    inputs: list[np.ndarray | None]
    params: dict[str, np.ndarray]
    updates: dict[str, np.ndarray] = field(default_factory=dict)

    def named(self):
        yield "y", self.y
        yield from ((f"dx{i}", dx) for i, dx in enumerate(self.inputs) if dx is not None)
        yield from ((f"d {name}", dw) for name, dw in sorted(self.params.items()))
        yield from ((f"new {name}", value) for name, value in sorted(self.updates.items()))


def in_numpy(case: Case, params, inputs, dy) -> Found:
    step = case.layer.forward(RunContext(training=True, step=4), params, *[x.copy() for x in inputs])
    output = step.output.copy()  # a fused backward may write over it
    found = step.backward(dy.copy())
    return Found(output, list(found.inputs), {k: np.asarray(v) for k, v in found.params.items()}, dict(step.updates))


def emitted(case: Case, batch: int = BATCH, target: Target = "cpu", block: int = 0):
    """The model: inputs x0 …, dy and variables in; y, their gradients and updates out."""
    plan = one_layer_plan(case)
    graph = TrainingGraph(plan, batch, target, block=block)
    specs = plan.variables
    graph.variables = {name: graph.input(name, spec.shape, "float32") for name, spec in specs.items()}
    y = graph.forward(["layer"])["layer"]
    dy = between_layers(graph.input("dy", (batch, *y.example), "float32"))
    (record,) = graph._records
    answer = record.step.backward(dy)
    graph.give("y", channels_last(y))
    for index, dx in enumerate(answer.inputs):
        if dx is not None:
            assert dx.shape == record.inputs[index].shape
            graph.give(f"dx{index}", channels_last(dx))
    for name, dw in answer.params.items():
        assert dw.shape == specs[f"net/layer/{name}"].shape
        graph.give(f"d {name}", dw)
    for name, new in graph.updates.items():
        graph.give(f"new {name.rpartition('/')[2]}", new)
    return graph.finish({})


def in_onnxruntime(case: Case, params, inputs, dy, target: Target = "cpu", block: int = 0) -> Found:
    ort = pytest.importorskip("onnxruntime")
    model = emitted(case, len(dy), target, block)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(model.serialize(), options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]
    wanted = {each.name: each.shape for each in session.get_inputs()}
    return run_by(lambda feeds: dict(zip(names, session.run(names, feeds), strict=True)), wanted, params, inputs, dy)


def run_by(run, wanted, params, inputs, dy) -> Found:
    """What `run` finds, of a model as `emitted` makes it whose inputs are `wanted`, shapes by name."""
    feeds = {f"net/layer/{name}": value for name, value in params.items()}
    feeds |= {f"x{i}": x for i, x in enumerate(inputs)} | {"dy": dy, "step": np.asarray(4, np.float32)}
    if uniform := wanted.get("layer/uniform"):
        feeds["layer/uniform"] = RunContext().random().random(uniform, np.float32)
    values = run({name: array for name, array in feeds.items() if name in wanted})
    return Found(
        values["y"],
        [values.get(f"dx{i}") for i in range(len(inputs))],
        {name[2:]: value for name, value in values.items() if name.startswith("d ")},
        {name[4:]: value for name, value in values.items() if name.startswith("new ")},
    )
