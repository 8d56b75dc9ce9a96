"""Batches in an order that only the seed and the epoch decide, made ready ahead of time by a thread or by processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from graphc.data.annotated_image import annotated_image
from graphc.data.augment.base import Augmentation, augment, finished, generator
from graphc.data.augment.mix import Mix, mix_batch
from graphc.data.batch import Batch, Field
from graphc.data.examples import IMAGE, LABEL, Examples
from graphc.data.feeder import Feeder, Layout
from graphc.data.masks import MaskRule
from graphc.data.own_rows import OwnRows
from graphc.data.preprocess import FittedPreprocess, Preprocess
from graphc.data.resizing import STRETCH, Resizing
from graphc.data.sample import ANNOTATIONS, BOXES, MASK, POINTS, VALID, Sample, sample_of
from graphc.data.stored import STORED
from graphc.errors import DataError, GraphcError, Place
from graphc.parallel.pool import AHEAD
from graphc.parallel.prefetch import prefetched
from graphc.system import can_fork
from graphc.types import Array

TOGETHER = 64
"""Examples that are read before the first of them is changed: 0.26 ms an image in place of 0.46 one by one, since the
code of each stays in the caches (docs/performance.md says measured on what)."""
BALANCED = 0xBA1
"""Keeps the random numbers of a balanced order apart."""


def balanced_order(seed: int, epoch: int, labels: Array) -> Array:
    """As many rows as there are labels [N], every class as often as any other, int64 [N]: rows of small classes come
    several times.

    Each class is gone through in a shuffled order, and shuffled again when it is used up.
    """
    rng = np.random.default_rng([seed, epoch, BALANCED])
    classes = [np.flatnonzero(labels == value) for value in np.unique(labels)]
    each = np.full(len(classes), len(labels) // len(classes))
    each[rng.permutation(len(classes))[: len(labels) % len(classes)]] += 1
    drawn = [_again_and_again(rng, rows, count) for rows, count in zip(classes, each.tolist(), strict=True)]
    return rng.permutation(np.concatenate(drawn))


def _again_and_again(rng: np.random.Generator, rows: Array, count: int) -> Array:
    rounds = [rng.permutation(rows) for _ in range(-(-count // len(rows)))]
    return np.concatenate(rounds)[:count] if rounds else rows[:0]


@dataclass(frozen=True, slots=True)
class Augmenting:
    """What happens to examples in training only."""

    seed: int
    steps: tuple[Augmentation, ...] = ()
    mixes: tuple[Mix, ...] = ()
    classes: int = 0
    """How many, for labels that become distributions."""
    min_visibility: float = 0.25
    """Part of a box that must remain in the picture."""
    mirrored: tuple[int, ...] = ()
    """For each key point the one that stands in its place in a mirror."""


class Batches:
    """Examples as batches for a network: decoded, augmented, cast, preprocessed, in buffers that are used again.

    A batch stays as it is until the next but one is asked for, whether a thread or processes make them.
    """

    def __init__(
        self,
        examples: Examples,
        size: int,
        shapes: Mapping[str, tuple[int, ...]],
        dtype: Any,
        preprocess: Mapping[str, FittedPreprocess],
        augmenting: Augmenting | None = None,
        workers: int = 0,
        relative: bool = True,
        keep_raw: bool = False,
        mask_rule: MaskRule | None = None,
        resizing: Resizing = STRETCH,
        own_rows: OwnRows | None = None,
    ) -> None:
        """`shapes`: one example's shape by input name; `preprocess`: by input name too; `workers`: processes, 0 for
        a thread; `relative`: boxes and points as shares of the image's width and height, not in pixels; `keep_raw`:
        images before preprocessing go into the batch too; `mask_rule`: which values masks may have; `resizing`: how
        images get their size; `own_rows`: those that this process makes, by default all."""
        self.examples = examples
        self.size = size
        self.workers = workers
        self.at = np.zeros(1, np.int64)
        """The row that is being worked on, for whoever wants to know where a worker died."""
        self._preprocess = {
            name: each.with_sources(examples.range_of(name)) if each.settings.lacks_source else each
            for name, each in preprocess.items()
        }
        self._augmenting = augmenting
        self._relative = relative
        self._keep_raw = keep_raw
        self._mask_rule = mask_rule
        self._resizing = resizing
        self._own_rows = own_rows
        self._shapes = {name: (shape, np.dtype(dtype)) for name, shape in shapes.items()}
        self._annotations = [name for name in ANNOTATIONS if name in examples.targets]
        self._pictured = next((name for name, array in examples.inputs.items() if array.ndim == 4), None)
        self._moving = self._steps_that_move()
        filled = augmenting is not None or (self._pictured and isinstance(examples.inputs[self._pictured], STORED))
        self._range = examples.range_of(self._pictured) if self._pictured and filled else None
        self._units = {name: examples.unit_of(name) for name in shapes if preprocess[name].settings.takes_unit}
        self._rings: list[dict[str, Array]] = []
        self._made = 0
        self._feeder: Feeder | None = None

    def make(self, rows: Array, epoch: int | None = None) -> Batch:
        """The batch of these rows, [n] indices; augmented as the epoch says, where there is one."""
        if not self._rings:
            count = min(self.size, len(self.examples))
            self._rings = [
                {name: np.empty((count, *shape), dtype) for name, (shape, dtype) in self._shapes.items()}
                for _ in range(AHEAD + 3)  # two that are held, those in the queue, one in the making
            ]
        buffers = self._rings[self._made % len(self._rings)]
        self._made += 1
        return self._made_in({name: buffer[: len(rows)] for name, buffer in buffers.items()}, rows, epoch)

    def _made_in(self, inputs: Mapping[str, Array], rows: Array, epoch: int | None) -> Batch:
        """The batch of these rows, whose inputs are written into these arrays; of others' rows nothing is there."""
        if self._own_rows is None:
            return self._all_made_in(inputs, rows, epoch)
        own = self._own_rows.of(len(rows))
        if own.start == own.stop:
            return Batch(inputs, {})
        made = self._all_made_in({name: array[own] for name, array in inputs.items()}, rows[own], epoch)
        targets = {name: np.zeros((len(rows), *array.shape[1:]), array.dtype) for name, array in made.targets.items()}
        for name, array in made.targets.items():
            targets[name][own] = array
        return Batch(inputs, targets)

    def _all_made_in(self, inputs: Mapping[str, Array], rows: Array, epoch: int | None) -> Batch:
        arrays = self.examples.inputs
        targets: dict[str, Array] = {}
        raw: Array | None = None
        for name, out in inputs.items():
            if name == self._pictured and self._one_by_one(epoch):
                images, targets = self._pictures(rows, epoch)
            else:
                images = arrays[name][rows]
            if self._keep_raw and name == self._pictured:
                raw = images
            wanted = images.shape if self._preprocess[name].settings.steps else out.shape
            self._preprocess[name].apply(images.reshape(wanted), out, self._units.get(name, 1.0))
        rest = {name: array[rows] for name, array in self.examples.targets.items() if name not in targets}
        return Batch(inputs, {**rest, **targets}, raw)

    def batch_rows(self, order: Array, start: int = 0) -> Iterator[Array]:
        """The rows of each batch of an order [N], from batch number `start` on: views [size], the last batch's may be
        shorter."""
        return (order[at : at + self.size] for at in range(start * self.size, len(order), self.size))

    @contextmanager
    def ahead(self, rows: Iterator[Array], epoch: int | None = None) -> Iterator[Iterator[Batch]]:
        """The batches of these rows ([n] indices each), made ahead of time by a thread or by worker processes."""
        with self._made_ahead(rows, epoch) as made:
            yield made if self._own_rows is None else map(self._own_rows.completed, made)

    @contextmanager
    def _made_ahead(self, rows: Iterator[Array], epoch: int | None) -> Iterator[Iterator[Batch]]:
        if not self.workers or not can_fork():
            with prefetched(partial(self.make, epoch=epoch), rows) as made:
                yield made
            return
        if self._feeder is None or not self._feeder.alive:
            self._feeder = Feeder(self, self._layout(epoch), min(self.size, len(self.examples)), self.workers)
        with self._feeder.batches(rows, epoch) as filled:
            yield (batch.with_own_targets() for batch in filled)  # they are kept to the end of a step

    def fill(self, rows: Array, epoch: int | None, slot: Batch) -> None:
        """Write the batch of these rows, [n] indices, into the arrays of the slot."""
        arrays = dict(slot.fields())
        for field, values in self._made_in(slot.inputs, rows, epoch).fields():
            if field.part != "inputs":
                arrays[field][...] = values

    def name(self, row: int) -> str:
        """What messages call an example."""
        return self.examples.name(row)

    def close(self) -> None:
        """End the worker processes."""
        if self._feeder is not None:
            self._feeder.close()
            self._feeder = None

    def _layout(self, epoch: int | None) -> Layout:
        """Shape and type of one example's arrays."""
        found = {name: (array.shape[1:], array.dtype) for name, array in self.examples.targets.items()}
        if self._one_by_one(epoch):
            for name in self._annotations:
                found[name] = (found[name][0], np.dtype(np.int64 if name == MASK else np.float32))
            if MASK in self._annotations and self._moving is not None:
                found[MASK] = (self._shapes[self._pictured or IMAGE][0][:2], found[MASK][1])
            for name in {BOXES, POINTS}.intersection(self._annotations):
                found[VALID[name]] = (found[name][0][:-1], np.dtype(np.float32))
        if epoch is not None and self._augmenting is not None and self._augmenting.mixes:
            found[LABEL] = ((self._augmenting.classes,), np.dtype(np.float32))
        inputs = {Field("inputs", name): each for name, each in self._shapes.items()}
        targets = {Field("targets", name): each for name, each in found.items()}
        if not self._keep_raw or self._pictured is None:
            return {**inputs, **targets}
        images = self.examples.inputs[self._pictured]
        return {**inputs, **targets, Field("raw"): (images.shape[1:], images.dtype)}

    def _one_by_one(self, epoch: int | None) -> bool:
        """Whether examples have to be made singly: files, annotations with coordinates, augmentation."""
        stored = any(isinstance(array, STORED) for array in (*self.examples.inputs.values(), *self._annotated()))
        moving = epoch is not None and self._augmenting is not None
        moving |= self._moving is not None
        return stored or moving or any(name in self._annotations for name in (BOXES, POINTS))

    def _steps_that_move(self) -> Preprocess | None:
        """The preprocessing of images, where it moves what the annotations are of."""
        settings = None if self._pictured is None else self._preprocess[self._pictured].settings
        return settings if settings is not None and settings.moves and self._annotations else None

    def _annotated(self) -> list[Any]:
        return [self.examples.targets[name] for name in self._annotations]

    def _pictures(self, rows: Array, epoch: int | None) -> tuple[Array, dict[str, Array]]:
        """(images, annotations and whatever else changes with them) of these rows."""
        samples = self._samples(rows.tolist(), epoch)
        images = np.stack([sample.image for sample in samples])
        if self._moving is not None:
            samples = [self._moving.moved(sample) for sample in samples]
        targets = self._moved_targets(samples)
        how = self._augmenting
        if epoch is None or how is None or not how.mixes:
            return images, targets
        labels = self.examples.targets[LABEL][rows]
        mixed, shares = mix_batch(
            images, labels, how.classes, how.mixes, lambda at: generator(how.seed, epoch, int(rows[at]), stream=1)
        )
        return mixed, {**targets, LABEL: shares}

    def _samples(self, rows: list[int], epoch: int | None) -> list[Sample]:
        """Finished examples; some are read, then changed, before the next ones are: each code stays in the caches."""
        how, size = self._augmenting, tuple(self.examples.inputs[self._pictured or IMAGE].shape[1:3])
        stored = isinstance(self.examples.inputs[self._pictured or IMAGE], STORED)
        if epoch is None or how is None:
            return [
                self._named(row, lambda row: finished(self._read(row), size, self._resizing, stored)) for row in rows
            ]
        found: list[Sample] = []
        for start in range(0, len(rows), TOGETHER):
            some = rows[start : start + TOGETHER]
            read = {row: self._named(row, self._read) for row in some}

            def change(row: int, read: dict[int, Sample] = read) -> Sample:
                rng = generator(how.seed, epoch, row)
                return augment(read[row], how.steps, rng, size, how.min_visibility, self._resizing, stored)

            found += [self._named(row, change) for row in some]
        return found

    def _read(self, row: int) -> Sample:
        """An example as it is stored."""
        image, annotations = annotated_image(self.examples, self._pictured or IMAGE, row)
        if MASK in annotations and self._mask_rule is not None:
            masks = self.examples.targets[MASK]
            name = masks.name(row) if isinstance(masks, STORED) else self.examples.name(row)
            self._mask_rule.check(annotations[MASK], name)
        fill = 0 if self._mask_rule is None else self._mask_rule.fill
        mirrored = () if self._augmenting is None else self._augmenting.mirrored
        return sample_of(image, annotations, self._range, fill, mirrored)

    def _named(self, row: int, work: Callable[[int], Sample]) -> Sample:
        """The result of some work on an example, whose name is in every error."""
        self.at[0] = row
        try:
            return work(row)
        except DataError as error:
            error.place = error.place or Place(self.name(row))
            raise
        except (GraphcError, MemoryError):
            raise
        except Exception as error:
            message = f"{self.examples.name(row)}: {type(error).__name__}: {error}"
            raise DataError("G410", message, Place(self.examples.source)) from error

    def _moved_targets(self, samples: list[Sample]) -> dict[str, Array]:
        """Annotations as arrays: class indices a pixel; coordinates in float32, 0 where there is nothing."""
        found: dict[str, Array] = {}
        for name in self._annotations:
            values = [getattr(sample, name) for sample in samples]
            if name == MASK:
                found[name] = np.stack(values).astype(np.int64)
            elif name in (BOXES, POINTS):
                there = np.stack([getattr(sample, VALID[name]) for sample in samples])
                units = np.array([samples[0].size[1], samples[0].size[0]] * (2 if name == BOXES else 1))
                shares = np.where(there[..., None], np.stack(values) / (units if self._relative else 1), 0)
                shape = (len(samples), *self.examples.targets[name].shape[1:])
                found[name] = shares.reshape(shape).astype(np.float32)
                found[VALID[name]] = there.reshape(shape[:-1]).astype(np.float32)
        return found
