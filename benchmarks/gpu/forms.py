"""Ways to compute a convolution's weight gradient, each alone: of the training graph's own, and as one Conv."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.gpu.measured import a_second, table
from graphc.emit.training import TrainingGraph
from graphc.graph import LayerGraph, Plan
from graphc.runtime import DeviceSession
from graphc.training_graph.conv import WeightGradient, by_taps, side_by_side
from graphc.training_graph.tensor import Tensor
from graphc.window import Window

if TYPE_CHECKING:
    from benchmarks.gpu.run import Asked

PROBLEMS = ((64, 64, 32, 3, 1), (64, 128, 32, 3, 2), (16, 16, 32, 3, 1), (256, 256, 14, 3, 1), (3, 64, 112, 7, 2))
"""Channels, filters, pixels a side, taps a side, stride."""


def report(asked: Asked) -> Iterator[str]:
    batch = asked.batches[0]
    rows = []
    for problem in PROBLEMS[2:3] if asked.tiny else PROBLEMS:
        times = [
            f"{1e3 / a_second(work(form, problem, batch, asked), asked.seconds / 4):.3f}" for form in FORMS.values()
        ]
        channels, filters, pixels, taps, stride = problem
        rows.append([f"{channels} → {filters}, {pixels}², {taps}×{taps} / {stride}", *times])
    yield f"Milliseconds of one gradient, batch {batch}, inputs on the device."
    yield ""
    yield from table(["convolution", *FORMS], rows)


def as_convolution(asked: WeightGradient) -> Tensor:
    """Batch and channels exchanged: dy's pixels are the taps, its steps the dilation."""
    x = asked.x.pad([(0, 0), (0, 0), *(window.pads or (0, 0) for window in asked.windows)]).transpose(1, 0, 2, 3)
    dy = asked.dy.transpose(1, 0, 2, 3)
    attributes = {
        "kernel_shape": list(asked.outputs),
        "strides": [window.dilation for window in asked.windows],
        "dilations": [window.stride for window in asked.windows],
    }
    reach = zip(x.shape[2:], asked.outputs, asked.windows, strict=True)
    sizes = [(size - (count - 1) * w.stride - 1) // w.dilation + 1 for size, count, w in reach]
    found = x.graph.convolution(x, dy, None, attributes, (asked.channels, asked.filters, *sizes))
    return found.part((0, 0), asked.taps, (1, 1)).transpose(2, 3, 0, 1)


FORMS: dict[str, Callable[[WeightGradient], Tensor]] = {
    "a product a tap": by_taps,
    "a product an image": side_by_side,
    "Conv": as_convolution,
}


def work(
    form: Callable[[WeightGradient], Tensor], problem: tuple[int, ...], batch: int, asked: Asked
) -> Callable[[], object]:
    """One gradient on the device."""
    channels, filters, pixels, taps, stride = problem
    window = Window.over(pixels, taps, stride, "same")
    outputs = int(window.output)  # type: ignore[arg-type]
    graph = TrainingGraph(Plan(LayerGraph("form", "N", (), (), {}, {}), ()), batch)
    given = {"x": (batch, channels, pixels, pixels), "dy": (batch, filters, outputs, outputs)}
    x, dy = (graph.input(name, shape, "float32") for name, shape in given.items())
    graph.give("dw", form(WeightGradient(x, dy, (window, window), 1)))
    session = DeviceSession(graph.finish({}).serialize(), asked.exact)
    rng = np.random.default_rng(0)
    placed = {name: session.place(rng.normal(size=shape).astype(np.float32)) for name, shape in given.items()}
    result = session.place(np.zeros((taps, taps, channels, filters), np.float32))
    return lambda: session.advance(placed, {}, {"dw": result}, [])
