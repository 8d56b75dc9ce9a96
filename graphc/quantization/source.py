"""Examples on which a model is calibrated, as the model reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graphc.data.given_files import given_files
from graphc.data.npz import read_npy
from graphc.errors import DataError, SpecError, counted
from graphc.files import shown
from graphc.graph import Plan
from graphc.inference import Reader, Scaling, given, join
from graphc.kernels.chunks import slices
from graphc.quantization.ranges import MOST_TOGETHER, Feeds
from graphc.runtime import Port, Session
from graphc.signature import InputSignature, Signature, read_signature
from graphc.train.model_metrics import RunData
from graphc.types import Array

ARRAYS = ".npy"
RECIPES = ".yaml", ".yml"


@dataclass(frozen=True, slots=True)
class Source:
    """Examples as a model reads them."""

    count: int
    batches: Callable[[int], Iterable[Feeds]]
    """Of so many examples, the last one with what is left."""
    metrics: Callable[[Session, Plan], Mapping[str, Any]] = lambda session, plan: {}


def source_of(data: Sequence[str], session: Session, count: int, say: Callable[[str], None]) -> Source:
    """At most `count` examples, taken evenly from all."""
    signature = read_signature(session.metadata, session.name)
    if len(data) == 1 and (Path(data[0]) / "run.json").exists():
        run = RunData.of(data[0], MOST_TOGETHER)
        rows = evenly(len(run.examples), count)
        return Source(
            len(rows),
            lambda together: (run.feeds(some, signature) for some in cut(rows, together)),
            lambda judged, plan: run.metrics(judged, plan, signature),
        )
    if any(path.lower().endswith(RECIPES) for path in data):
        raise SpecError("G351", "a recipe has learned nothing yet to prepare images with: give the folder of its run")
    return _of_files(data, session, signature, count, say)


def _of_files(
    data: Sequence[str], session: Session, signature: Signature, count: int, say: Callable[[str], None]
) -> Source:
    if len(session.inputs) != 1:
        names = ", ".join(port.name for port in session.inputs)
        raise SpecError("G351", f"files calibrate a model of one input, found {names}: give the folder of a run")
    (port,) = session.inputs
    if all(path.lower().endswith(ARRAYS) for path in data):
        return _of_arrays(data, port, signature.inputs.get(port.name), count)
    files, left_out = given_files(list(data))
    images = [str(each.path) for each in files if each.is_image]
    if port.name not in signature.inputs:
        message = "images calibrate a model that says how they are prepared (--with-preprocess)"
        raise SpecError("G351", f"{message}: give .npy files of what {port.name} reads, or the folder of a run")
    if left_out or len(images) < len(files):
        say(f"left out {counted(len(left_out) + len(files) - len(images), 'file')} that are no images")
    if not images:
        raise DataError("G403", f"calibration expects images, found none in {shown(data[0])}")
    chosen = evenly(len(images), count)
    reader = Reader(session, signature, Scaling(), say)

    def batches(together: int) -> Iterator[Feeds]:
        for some in cut(chosen, together):
            yield {port.name: reader.batch(port, [images[at] for at in some])[1]}

    return Source(len(chosen), batches)


def _of_arrays(paths: Sequence[str], port: Port, known: InputSignature | None, count: int) -> Source:
    arrays = [read_npy(Path(path)) for path in paths]
    arrays = [array[None] if array.ndim == len(port.shape) - 1 else array for array in arrays]
    examples = join(arrays, paths)
    chosen = evenly(len(examples), count)

    def batches(together: int) -> Iterator[Feeds]:
        for some in cut(chosen, together):
            yield {port.name: given(examples[some], port, known, paths[0])}

    return Source(len(chosen), batches)


def evenly(there: int, count: int) -> Array:
    """Indices [n] of at most `count` of so many."""
    return np.arange(there) if there <= count else np.arange(count) * there // count


def cut(rows: Array, together: int) -> Iterator[Array]:
    """The indices [n] in parts of at most so many."""
    return (rows[part] for part in slices(len(rows), together))
