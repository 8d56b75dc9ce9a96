"""A page that trains: `graphc web --train`. It has the recipe's step and its evaluation as ONNX files, the state that
this begins with, some of its examples, and the losses that NumPy finds in the first steps, to which the page holds its
runtime.

    recipe ─first_step→ its step and state ─make_training_page→ a page ─write_training_site→ a folder
"""

from __future__ import annotations

import gzip
import io
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graphc import __version__
from graphc.data.batches import Batches
from graphc.data.examples import MEMORY_LIMIT
from graphc.dims import is_image
from graphc.emit.model import OnnxModel
from graphc.emit.training import UNIFORM
from graphc.emit.training_targets import Target
from graphc.errors import SpecError
from graphc.inference import Scaling
from graphc.kernels.conv.choose import forcing
from graphc.kernels.conv.unfolded import Unfolded
from graphc.parallel.communicator import shard_slices
from graphc.runtime import Port
from graphc.train.batching import make_batches, rows_of_epoch
from graphc.train.image_values import KEY, as_fact
from graphc.train.inputs import training_values
from graphc.train.loss_term import LossTerm
from graphc.train.loss_terms import keys_of
from graphc.train.numpy_engine import NumpyEngine
from graphc.train.schedules import ReduceOnPlateau, learning_rate
from graphc.train.signing import output_signature, signature_of
from graphc.train.step_counts import StepCounts
from graphc.train.step_file import FirstStep, first_step
from graphc.train.step_graph import AVERAGE, LOSS, NEXT, PARAMS, emit_judge, head_inputs
from graphc.train.task import Task
from graphc.types import Array
from graphc.web.build import filled, site_files, site_parts, static, write_folder
from graphc.web.describe import picture_of
from graphc.web.runtime_package import Runtime
from graphc.weights.safetensors_file import write_safetensors

KNOWN_STEPS = 10
"""First steps whose losses the page is held to."""
LEVELS = 256
"""Values that a channel of the stored images may have: one byte a pixel says which."""
MOST_BYTES = 8 << 20
"""Of the stored examples before compression, unless it is said how many there are to be."""
HELD_BATCHES = 8
"""Of examples to test: each test runs all of them."""
MOST_RATES = 100_000
"""Steps for which a page knows the learning rate; from there on it is the last one's."""
SCRIPTS = ("tensor.js", "pixels.js", "sources.js", "chart.js", "shell.js", "train_page.js")
"""Of the page, in the order in which they are loaded."""
OF_WORKER = ("runtime.js", "safetensors.js", "numpy_random.js", "train_worker.js")
"""What the worker loads besides."""


@dataclass(frozen=True, slots=True)
class TrainingPage:
    """All that such a page is made of."""

    facts: Mapping[str, Any]
    """What the scripts are told, but for where the files lie."""
    runtime: Runtime
    packed: Mapping[str, bytes]
    """The step, its evaluation, the state and the examples, compressed, by name."""
    said: tuple[str, ...]
    """What reading the data said."""


@dataclass(frozen=True, slots=True)
class _Stored:
    """Examples as the page has them."""

    codes: Array
    """[N, H, W, C], uint8: which of the levels each number is."""
    labels: Array
    """[N], int32."""


def make_training_page(
    recipe: Path | str,
    runtime: Runtime,
    overrides: Sequence[str] = (),
    *,
    examples: int | None = None,
    title: str | None = None,
    max_memory: int = MEMORY_LIMIT,
) -> TrainingPage:
    """Of a recipe: with so many of its training examples (default: what `MOST_BYTES` hold), in the order of its first
    epoch. A SpecError, with its place, where a page cannot train as the recipe says."""
    _check_recipe(first := first_step(recipe, overrides, max_memory))
    task, target = first.task, _target(runtime)
    batch, head = task.recipe.batch, task.heads.targets[0]
    label = head_inputs(head, first.forms)
    if label.dtype != "int32":
        with task.recipe.placing(keys_of(task.recipe, 0)):
            raise SpecError("G353", f"expected targets that are classes, {head.name} has others")
    step, judge = first.emit(batch, target), emit_judge(task, batch, target)
    length, run_facts = StepCounts.of(task.recipe, len(first.sets.train)), _facts(first)
    rows, held = _rows(first, length, examples), held_out(first)
    levels, train, test = _stored(first.batches, rows, held, head.target)
    arrays = first.arrays(step)
    kept = {name: array.copy() for name, array in arrays.items() if name.startswith(PARAMS)}
    rates = _rates(task, length)
    data = {"images": train.codes, "labels": train.labels, "levels": levels, "rates": rates}
    data |= {"test_images": test.codes, "test_labels": test.labels}
    facts = {
        "title": title or f"{task.plan.graph.name} learns",
        "name": task.plan.graph.name,
        "made_by": f"graphc {__version__}",
        "runtime": {"version": runtime.version, "providers": list(runtime.providers)},
        "input": _picture(first, run_facts),
        "head": {**_head(head, run_facts), "label": label.label},
        "batch": batch,
        "seed": task.recipe.seed,
        "optimizer": task.recipe.optimizer.kind,
        "examples": len(train.labels),
        "tests": len(test.labels),
        "weights": sum(array.size for array in kept.values()),
        "average": task.recipe.ema is not None,
        "outputs": _outputs(step, head),
        "uniform": _uniform(step, task.recipe.shards),
        "state": [_beginning(name, array) for name, array in arrays.items() if name not in kept],
        "losses": _losses(first, rows, rates),
    }
    packed = {
        "step.packed": gzip.compress(step.serialize(), 9, mtime=0),
        "judge.packed": gzip.compress(judge.serialize(), 9, mtime=0),
        "state.packed": _packed(kept),
        "examples.packed": _packed(data),
    }
    return TrainingPage(facts, runtime, packed, first.said)


def write_training_site(page: TrainingPage, folder: Path | str) -> None:
    """The page as a folder: for any static server, and behind the first visit without one."""
    build = page.runtime.build
    binary = f"runtime/{build.binary}.packed"
    files = {
        **{name.partition(".")[0]: name for name in page.packed},
        "script": f"runtime/{build.script}",
        "module": f"runtime/{build.module}",
        "binary": binary,
    }
    parts = site_parts(f"scripts/{name}" for name in SCRIPTS)
    written = {
        **site_files((*SCRIPTS, *OF_WORKER)),
        "service_worker.js": static("service_worker.js").encode(),
        **page.packed,
        **{f"runtime/{name}": page.runtime.files[name] for name in (build.script, build.module)},
        binary: gzip.compress(page.runtime.files[build.binary], 9, mtime=0),
        "index.html": filled("train.html", page.facts["title"], {**page.facts, "files": files}, parts).encode(),
    }
    write_folder(written, folder)


# what a page cannot do -------------------------------------------------------------------------------------------


def _check_recipe(first: FirstStep) -> None:
    """A SpecError where a page would train other than the recipe says."""
    task, recipe = first.task, first.task.recipe
    plateau = isinstance(recipe.schedule, ReduceOnPlateau)
    refused = (
        (bool(recipe.data.augment), ("data", "augment"), "augment: a page trains on the examples as they are"),
        (recipe.teacher is not None, ("teacher",), "teacher: a page has no teacher's network"),
        (recipe.accumulate > 1, ("accumulate",), "accumulate: a page takes one batch a step"),
        (plateau, ("schedule",), "schedule: a page does not wait for a plateau"),
        (any(head.example_weights for head in task.heads.targets), (), "example_weights: a page weighs no examples"),
        (len(task.heads.targets) > 1, (), f"expected one loss, found {len(task.heads.targets)}"),
    )
    for holds, keys, message in refused:
        if holds:
            with recipe.placing(keys):
                raise SpecError("G353", f"{message} (--set overrides keys of the recipe)")
    given = task.plan.graph.inputs
    if len(given) != 1 or not is_image(given[0].shape):
        names = ", ".join(each.name for each in given)
        raise SpecError("G353", f"expected a network of one picture, {task.plan.graph.name} takes {names}")


# examples --------------------------------------------------------------------------------------------------------


def _rows(first: FirstStep, length: StepCounts, examples: int | None) -> Array:
    """The first rows of the recipe's first epoch, whole batches of them, [n] indices."""
    recipe = first.task.recipe
    order = rows_of_epoch(recipe, 0, first.sets.train)[: length.rows]
    most = examples or MOST_BYTES // math.prod(_sizes(first))
    count = min(len(order), most) // recipe.batch * recipe.batch
    if not count:
        found = f"{min(len(order), most):,} examples, fewer than a batch of {recipe.batch:,}"
        raise SpecError("G353", f"expected at least one batch for the page, found {found}")
    return order[:count]


def held_out(first: FirstStep) -> Batches | None:
    """What the recipe validates on."""
    examples = first.sets.validation
    return None if examples is None else make_batches(first.task, examples)


def _stored(train: Batches, rows: Array, held: Batches | None, target: str) -> tuple[Array, _Stored, _Stored]:
    """(the numbers that the bytes stand for, [C, LEVELS]; examples to learn from; examples to test)."""
    parts = [_read(train, rows, target)]
    if held is not None:
        count = min(len(held.examples), HELD_BATCHES * held.size)
        picked = np.random.default_rng(0).permutation(len(held.examples))[:count]
        parts.append(_read(held, np.sort(picked), target))
    channels = parts[0][0].shape[-1]
    values = [np.unique(np.concatenate([np.unique(part[0][..., c]) for part in parts])) for c in range(channels)]
    if max(map(len, values)) > LEVELS:
        found = f"a channel with {max(map(len, values)):,} different numbers"
        raise SpecError("G353", f"expected images of bytes, of at most {LEVELS} different numbers, found {found}")
    levels = np.zeros((channels, LEVELS), np.float32)
    for channel, known in enumerate(values):
        levels[channel, : len(known)] = known
    stored = [
        _Stored(np.stack([np.searchsorted(v, x[..., c]) for c, v in enumerate(values)], -1).astype(np.uint8), labels)
        for x, labels in parts
    ]
    nothing = _Stored(np.zeros((0, *stored[0].codes.shape[1:]), np.uint8), np.zeros(0, np.int32))
    return levels, stored[0], stored[1] if held is not None else nothing


def _read(batches: Batches, rows: Array, target: str) -> tuple[Array, Array]:
    """(inputs [n, H, W, C] as the network takes them, labels [n])."""
    images, labels = [], []
    for some in batches.batch_rows(rows):
        made = batches.make(some)
        (x,) = made.inputs.values()
        images.append(np.array(x, np.float32))
        labels.append(made.targets[target].astype(np.int32))
    return np.concatenate(images), np.concatenate(labels)


def _sizes(first: FirstStep) -> tuple[int, ...]:
    """Height, width and channels of an image."""
    (given,) = first.task.plan.graph.inputs
    return tuple(int(size) for size in given.shape)  # type: ignore[arg-type]


# facts -----------------------------------------------------------------------------------------------------------


def _picture(first: FirstStep, facts: Mapping[str, Any]) -> dict[str, Any]:
    """How anybody's picture becomes the input."""
    (given,) = first.task.plan.graph.inputs
    known = signature_of(first.task, facts, first.task.plan).inputs[given.name]
    shape = (1, *_sizes(first))
    name = first.task.recipe.model.spec
    return asdict(picture_of(name, Port(given.name, "float32", shape, "nhwc"), shape, known, Scaling()))


def _facts(first: FirstStep) -> dict[str, Any]:
    """What a run would keep of its data."""
    train, task = first.sets.train, first.task
    return {"classes": list(train.classes), KEY: as_fact(training_values(train, task.plan, task.recipe.data))}


def _head(head: LossTerm, facts: Mapping[str, Any]) -> dict[str, Any]:
    said = output_signature(head, facts)
    classes = said.classes or tuple(map(str, range(head.shape[-1])))
    return {"name": head.name, "classes": classes, "says": said.says or "value", "activation": said.activation}


def _outputs(step: OnnxModel, head: LossTerm) -> list[str]:
    """Those that the page reads."""
    names = [each.name for each in step.body.graph.output]
    return [name for name in names if name in (LOSS, head.name) or name.startswith(NEXT)]


def _uniform(step: OnnxModel, shards: int) -> list[dict[str, Any]]:
    """The inputs of random numbers, each with what NumPy's generators begin with (see `graphc.execution`)."""
    found = []
    for each in step.body.graph.input:
        if each.name.endswith(UNIFORM):
            shape = [size.dim_value for size in each.type.tensor_type.shape.dim]
            slices = [[rows.start, rows.stop] for rows in shard_slices(shape[0], shards)]
            key = zlib.crc32(each.name.removesuffix(UNIFORM).encode())
            found.append({"name": each.name, "shape": shape, "key": key, "shards": slices})
    return found


def _beginning(name: str, array: Array) -> dict[str, Any]:
    """How a state begins that is not stored: all of it one number, or the variable that it follows."""
    like = f"{PARAMS}{name.removeprefix(AVERAGE)}" if name.startswith(AVERAGE) else None
    value = float(array.flat[0]) if array.size else 0.0
    assert like is not None or (array == value).all(), f"{name} begins with several numbers"
    return {"name": name, "shape": list(array.shape), "value": value, "like": like}


def _rates(task: Task, length: StepCounts) -> Array:
    """The learning rate of each step, float32; of one alone where they are all the same."""
    recipe = task.recipe
    rates = np.array(
        [
            learning_rate(recipe.learning_rate, recipe.schedule, recipe.warm_up, step, length.steps, length.epoch_steps)
            for step in range(max(min(length.steps, MOST_RATES), 1))
        ],
        np.float32,
    )
    return rates[:1] if (rates == rates[0]).all() else rates


def _losses(first: FirstStep, rows: Array, rates: Array) -> list[float]:
    """Of the first steps, by NumPy; the state is not the first one behind it.

    By plain sums, whose rounding is nearer to the runtime's than that of faster algorithms.
    """
    found = []
    with forcing(Unfolded.name):
        engine = NumpyEngine(first.task, 1)
        for step, some in enumerate(first.batches.batch_rows(rows[: KNOWN_STEPS * first.task.recipe.batch])):
            rate = float(rates[min(step, len(rates) - 1)])
            computed = engine.compute(first.state, [first.batches.make(some, 0)], rate)
            computed.commit()
            found.append(computed.loss)
        engine.close()
    return found


def _packed(arrays: Mapping[str, Array]) -> bytes:
    """Arrays as safetensors, compressed, without a date: the same page has the same bytes."""
    file = io.BytesIO()
    write_safetensors(file, arrays)
    return gzip.compress(file.getvalue(), 6, mtime=0)


def _target(runtime: Runtime) -> Target:
    """Which operators the step may have: those of the least of the page's providers."""
    return "webgpu" if "webgpu" in runtime.providers else "cpu"
