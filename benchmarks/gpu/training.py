"""Whole training steps: the training graph beside PyTorch, eager and compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.gpu.measured import in_turn, table
from graphc.data.batch import Batch
from graphc.spec.model import read_spec
from graphc.train.onnxruntime_engine import OnnxruntimeEngine
from graphc.train.recipe import read_recipe_text
from graphc.train.setup import new_state
from graphc.train.task import Task

if TYPE_CHECKING:
    from benchmarks.gpu.run import Asked

NETS = {
    "lenet": "lenet",
    "resnet20": str(Path(__file__).parents[1] / "nets" / "resnet20_cifar.yaml"),
    "resnet50": "resnet_v1_50",
    "mobilenet_v2": "mobilenet_v2",
}
"""Name -> its spec."""
SMALL = ("lenet", "resnet20")
RECIPE = """
recipe: 1
model: net
data: {train: digits}
loss: softmax_cross_entropy
optimizer: momentum
learning_rate: 0.01
steps: 1
"""
RATE = 0.01


def report(asked: Asked) -> Iterator[str]:
    head = ["net", "batch", "float32", "graph", "torch", "torch.compile", "torch bfloat16", "graph / better torch"]
    names, kinds = SMALL if asked.tiny else tuple(NETS), (False, True) if asked.is_cuda else (False,)
    rows = [row(asked, *each) for each in product(names, asked.batches, kinds)]
    yield "Images a second; a step is forward, loss, backward and momentum."
    yield ""
    yield from table(head, rows)


def row(asked: Asked, name: str, batch: int, tf32: bool) -> list[str]:
    shape, classes, ours = graph_step(
        name, batch, f"{asked.provider}:use_tf32={int(tf32)}" if asked.is_cuda else asked.provider
    )
    works: dict[str, Callable[[], object]] = {"graph": ours}
    works |= torch_steps(name, batch, shape, classes, tf32, asked)
    found = {key: batch * each for key, each in in_turn(works, asked.rounds, asked.seconds).items()}
    theirs = [found[key] for key in ("torch", "torch.compile") if key in found]
    ratio = f"{found['graph'] / max(theirs):.2f}" if theirs else "–"
    said = [f"{found[key]:.0f}" if key in found else "–" for key in ("graph", "torch", "torch.compile", "bfloat16")]
    return [name, str(batch), "TF32" if tf32 else "exact", *said, ratio]


def task_of(name: str) -> Task:
    return Task.of(read_recipe_text(RECIPE), read_spec(NETS[name]))


def data(shape: tuple[int, ...], classes: int, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Images [N, H, W, C] and labels [N]."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(batch, *shape)).astype(np.float32), rng.integers(0, classes, batch)


def graph_step(name: str, batch: int, provider: str) -> tuple[tuple[int, ...], int, Callable[[], object]]:
    """(shape of an image, classes, a step); without the spec's regularizers, which PyTorch has not either."""
    task = task_of(name)
    (given,), classes = task.plan.graph.inputs, task.heads.first.shape[-1]
    shape = tuple(int(size) for size in given.shape)  # type: ignore[arg-type]
    engine = OnnxruntimeEngine(task, provider=provider)
    engine.learning = replace(engine.learning, regularizers={})
    state = new_state(engine)
    images, labels = data(shape, classes, batch)
    made = Batch({given.name: images}, {"label": labels})
    return shape, classes, lambda: engine.compute(state, [made], RATE).commit()


def torch_model(name: str) -> Any:
    """The same net in PyTorch; None where torchvision, or PyTorch, is not installed."""
    try:
        if name in SMALL:
            from benchmarks.torch_twins import TWINS

            return TWINS["resnet20_cifar" if name == "resnet20" else name]()
        from torchvision import models

        return models.get_model(name, weights=None)
    except ModuleNotFoundError:
        return None


def torch_steps(
    name: str, batch: int, shape: tuple[int, ...], classes: int, tf32: bool, asked: Asked
) -> dict[str, Callable[[], object]]:
    """Steps of PyTorch: eager and, on a GPU, compiled; with bfloat16 where TF32 is allowed."""
    if torch_model(name) is None:
        return {}
    found = {"torch": torch_step(name, batch, shape, classes, tf32, asked, compiled=False, half=False)}
    if asked.is_cuda:
        found["torch.compile"] = torch_step(name, batch, shape, classes, tf32, asked, compiled=True, half=False)
        if tf32:
            found["bfloat16"] = torch_step(name, batch, shape, classes, tf32, asked, compiled=False, half=True)
    return found


def torch_step(
    name: str,
    batch: int,
    shape: tuple[int, ...],
    classes: int,
    tf32: bool,
    asked: Asked,
    *,
    compiled: bool,
    half: bool,
) -> Callable[[], object]:
    """One step, its batch copied to the device, its loss back."""
    import torch

    device = "cuda" if asked.is_cuda else "cpu"
    model = torch_model(name).to(device=device, memory_format=torch.channels_last).train()
    run = torch.compile(model) if compiled else model
    sgd = torch.optim.SGD(model.parameters(), RATE, momentum=0.9)
    nhwc, numbers = data(shape, classes, batch)
    images = torch.from_numpy(nhwc).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
    labels = torch.from_numpy(numbers)
    if device == "cuda":
        images, labels = images.pin_memory(), labels.pin_memory()

    def step() -> object:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
        x, y = images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
        sgd.zero_grad()
        with torch.autocast(device, torch.bfloat16) if half else nullcontext():
            loss = torch.nn.functional.cross_entropy(run(x), y)
        loss.backward()
        sgd.step()
        return loss.item()

    return step
