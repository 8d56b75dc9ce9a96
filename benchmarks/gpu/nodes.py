"""The slowest nodes of a training step, by onnxruntime's own profile."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.gpu.measured import table
from benchmarks.gpu.training import SMALL, data, task_of
from graphc.providers import read_providers
from graphc.train.onnxruntime_engine import TARGETS
from graphc.train.param_groups import ParamGroups
from graphc.train.step_graph import emit_step, forms_of

if TYPE_CHECKING:
    from benchmarks.gpu.run import Asked

STEPS, MOST = 5, 12


def report(asked: Asked) -> Iterator[str]:
    name, batch = (SMALL[1] if asked.tiny else "resnet50"), asked.batches[0]
    kinds, times = profile(name, batch, asked)
    whole = sum(kinds.values()) or 1
    yield f"{name}, batch {batch}: shares of the time of all nodes, by operator and by node."
    yield ""
    rows = [[kind, f"{100 * time / whole:.1f} %"] for kind, time in kinds.most_common(MOST)]
    yield from table(["operator", "share"], rows)
    yield ""
    rows = [[node, f"{100 * time / whole:.1f} %"] for node, time in times.most_common(MOST)]
    yield from table(["node", "share"], rows)


def profile(name: str, batch: int, asked: Asked) -> tuple[Counter[str], Counter[str]]:
    """(microseconds by operator, by node) of a few steps."""
    import onnxruntime

    task = task_of(name)
    (given,), classes = task.plan.graph.inputs, task.heads.first.shape[-1]
    shape = tuple(int(size) for size in given.shape)  # type: ignore[arg-type]
    images, labels = data(shape, classes, batch)
    learning = ParamGroups.of(task.plan.variables, task.recipe)
    target = TARGETS.get(asked.kind, "cpu")
    model = emit_step(task, learning, batch, forms_of({"label": labels}), target)
    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(Path(tempfile.mkdtemp()) / "step")
    chosen = [(each.name, each.options) for each in read_providers(onnxruntime, asked.provider)]
    session = onnxruntime.InferenceSession(model.serialize(), options, providers=chosen)
    rng = np.random.default_rng(0)
    feeds = {given.name: images, "label/logits": labels.astype(np.int32)}
    for port in session.get_inputs():
        if port.name not in feeds:
            feeds[port.name] = np.asarray(rng.random(port.shape) * 0.01, np.float32)
    for _ in range(STEPS):
        session.run(None, feeds)
    kinds, times = Counter[str](), Counter[str]()
    for event in json.loads(Path(session.end_profiling()).read_text()):
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            kinds[event["args"]["op_name"]] += event["dur"]
            times[event["name"].removesuffix("_kernel_time")] += event["dur"]
    return kinds, times
