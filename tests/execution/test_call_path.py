"""From the command to a convolution: whose code a step of training goes through, fewer than eight classes."""

from __future__ import annotations

import sys
from concurrent.futures import Future

import numpy as np
import pytest

from graphc.layers.conv import Conv2d
from graphc.train.commands import Options, train

SPEC = """\
graphc: 1
name: tiny
inputs: {image: [N, 6, 6, 1]}
layers: [{conv2d: {name: conv, filters: 4, kernel: 3}}, flatten, {fully_connected: {name: logits, units: 3}}]
outputs: {logits: logits}
"""

RECIPE = """\
recipe: 1
model: tiny.yaml
data: {train: {npz: {path: train.npz}}}
loss: softmax_cross_entropy
optimizer: sgd
learning_rate: 0.1
batch: 8
epochs: 1
"""


class AtOnce:
    """An executor whose threads are the caller's, so that the path is one stack."""

    def __init__(self, *_):
        pass

    def submit(self, work, *arguments):
        future = Future()
        future.set_result(work(*arguments))
        return future


@pytest.fixture
def paths(tmp_path, monkeypatch):
    """Classes on the way to every convolution of a training, from the outermost to the innermost."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "train.npz", x=rng.normal(size=(16, 6, 6, 1)).astype(np.float32), y=rng.integers(0, 3, 16))
    (tmp_path / "tiny.yaml").write_text(SPEC)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    found, forward = set(), Conv2d.forward

    def watched(self, context, params, *inputs):
        if context.training:
            frame, path = sys._getframe(), []
            while frame is not None:
                owner = frame.f_locals.get("self")
                if type(owner).__module__.startswith("graphc."):
                    path.append(type(owner).__name__)
                frame = frame.f_back
            found.add(tuple(dict.fromkeys(reversed(path))))
        return forward(self, context, params, *inputs)

    monkeypatch.setattr(Conv2d, "forward", watched)
    return found


def test_in_threads(paths, tmp_path, monkeypatch):
    monkeypatch.setattr("graphc.parallel.threads.ThreadPoolExecutor", AtOnce)
    monkeypatch.setattr("graphc.parallel.threads.wait", lambda futures, _: type("Done", (), {"not_done": ()}))
    train(tmp_path / "recipe.yaml", tmp_path / "run", ["shards=1"], options=Options(threads=1))
    assert paths == {("Trainer", "NumpyEngine", "Network", "ThreadWorld", "ExecutionPlan", "Conv2d")}


@pytest.mark.posix
def test_in_processes(paths, tmp_path):
    """Of the process that trains, rank 0's."""
    train(tmp_path / "recipe.yaml", tmp_path / "run", ["shards=2"], options=Options(threads=2))
    assert paths == {
        ("Trainer", "NumpyEngine", "Network", "RemoteExecution", "ProcessGroup", "ExecutionPlan", "Conv2d")
    }
