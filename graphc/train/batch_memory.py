"""What batches take of memory, before any is made: `--max-memory` holds for all that are there at once."""

from __future__ import annotations

import math

import numpy as np

from graphc.data.augment.mix import Mix
from graphc.data.examples import Examples
from graphc.errors import DataError
from graphc.parallel.pool import AHEAD
from graphc.system import can_fork
from graphc.train.augment_memory import check_augment_memory
from graphc.train.inputs import fit_inputs
from graphc.train.task import Task


def check_batch_memory(task: Task, examples: Examples | None, limit: int, training: bool = False) -> None:
    """A DataError where the batches of a data set, those that are made ahead and what augmentation (`training`),
    resizing and preprocessing need meanwhile, are more than `limit` bytes."""
    if examples is None:
        return
    recipe, data = task.recipe, task.recipe.data
    with recipe.placing(("data", "preprocess")):
        examples = fit_inputs(examples, task.plan, data)
        found = [_of_input(data.preprocess_of(name).working(a.shape[1:]), a) for name, a in examples.inputs.items()]
        out = [data.preprocess_of(name).output_shape(a.shape[1:]) for name, a in examples.inputs.items()]
    augmenting = check_augment_memory(recipe, examples, limit, training)
    itemsize = np.dtype(recipe.dtype).itemsize
    count = min(recipe.batch, len(examples))
    workers = data.workers if can_fork() else 0
    slots = AHEAD * workers + 2 if workers else AHEAD + 3
    raw, values, once = (sum(each) for each in zip(*found, strict=True))
    mixed = any(isinstance(step, Mix) for step in data.augment)
    full = itemsize * sum(map(math.prod, out))
    full += sum(math.prod(array.shape[1:]) * array.dtype.itemsize for array in examples.targets.values())
    full += raw if recipe.teacher is not None else 0
    making = count * (raw * (3 if mixed else 2) + itemsize * values) + 8 * once + augmenting
    total = slots * count * full + max(workers, 1) * making
    if total > limit:
        with_workers = f" and {workers} workers" if workers else ""
        said = f"{slots} batches of {count:,} examples{with_workers} take {total:,} bytes with what makes them"
        with recipe.placing(("batch",)):
            raise DataError("G407", f"{said}, the limit is {limit:,} (--max-memory raises it)")


def _of_input(working: tuple[int, int], array: object) -> tuple[int, int, int]:
    """(bytes of an example, values on its way, values that are there once)."""
    shape, dtype = getattr(array, "shape"), getattr(array, "dtype")  # noqa: B009
    return math.prod(shape[1:]) * np.dtype(dtype).itemsize, *working
