"""Compiled nets of the zoo: images a second by batch, beside PyTorch, and the latency of one image by CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.gpu.measured import a_second, in_turn, table
from benchmarks.gpu.training import NETS, SMALL, torch_model
from graphc.emit.model import emit
from graphc.graph import Plan
from graphc.initializers import initial_values
from graphc.passes.expand import expand
from graphc.passes.plan import plan
from graphc.runtime import DeviceSession, Session
from graphc.spec.model import read_spec

if TYPE_CHECKING:
    from benchmarks.gpu.run import Asked

OTHERS = ("vgg_16", "densenet121", "efficientnet_b0", "convnext_tiny")
"""Nets of the zoo besides."""


def report(asked: Asked) -> Iterator[str]:
    names = SMALL if asked.tiny else (*NETS, *OTHERS)
    rows = [row(asked, name, batch) for name in names for batch in (1, asked.batches[0])]
    yield "Images a second, TF32 off on both sides."
    yield ""
    yield from table(["net", "batch", "graphc", "graphc, CUDA graph", "torch"], rows)


def row(asked: Asked, name: str, batch: int) -> list[str]:
    planned = plan(expand(read_spec(NETS.get(name, name))))
    (given,) = planned.graph.inputs
    shape = (batch, *(int(size) for size in given.shape))  # type: ignore[arg-type]
    images = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    model = compiled(planned)
    session = Session(model, asked.exact)
    (port,) = session.inputs
    laid = images if port.layout == "nhwc" else np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    works: dict[str, Callable[[], object]] = {"graphc": lambda: session.run({port.name: laid})}
    if (theirs := torch_work(asked, name, images)) is not None:
        works["torch"] = theirs
    found = in_turn(works, asked.rounds, asked.seconds)
    captured = f"{batch * by_cuda_graph(model, laid, asked):.0f}" if asked.is_cuda else "–"
    torch = f"{batch * found['torch']:.0f}" if "torch" in found else "–"
    return [name, str(batch), f"{batch * found['graphc']:.0f}", captured, torch]


def compiled(planned: Plan) -> bytes:
    return emit(planned, initial_values(planned.variables, 0)).serialize()


def by_cuda_graph(model: bytes, images: np.ndarray, asked: Asked) -> float:
    """Runs a second of what the device has captured once, on inputs and outputs that stay where they are."""
    session: Any = DeviceSession(model, f"{asked.exact}:enable_cuda_graph=1")
    (port,), (output,) = session.inputs, session.outputs
    placed = session.place(images)
    shape = [len(images), *(int(size) for size in output.shape[1:])]
    result = session.place(np.zeros(shape, np.float32))
    return a_second(lambda: session.advance({port.name: placed}, {}, {output.name: result}, []), asked.seconds / 2)


def torch_work(asked: Asked, name: str, images: np.ndarray) -> Callable[[], object] | None:
    """One pass of PyTorch's net, its images copied to the device, its answer back."""
    model = torch_model(name)
    if model is None:
        return None
    import torch

    device = "cuda" if asked.is_cuda else "cpu"
    model = model.to(device=device, memory_format=torch.channels_last).eval()
    given = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)

    def work() -> object:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        with torch.inference_mode():
            return model(given.to(device)).cpu()

    return work
