"""Distillation: a student learns from the labels and from what a larger network thinks of each image.

loss = (1 - weight) * hard + weight * temperature**2 * KL(softmax(teacher/temperature), softmax(student/temperature))

(Hinton, Vinyals, Dean 2015.) The teacher is any classifier as an ONNX file; it sees the augmented images. Images
without a label (label -1) have the second part only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydantic import Field, model_validator

from graphc.data.annotated import in_memory
from graphc.data.batch import Batch
from graphc.data.examples import IMAGE, LABEL, Examples
from graphc.data.preprocess import FittedPreprocess, Preprocess
from graphc.data.stored import StoredImages
from graphc.data.value_range import BYTES, ImageValues, brought
from graphc.errors import DataError, Place, SpecError, did_you_mean
from graphc.files import shown
from graphc.runtime import Session
from graphc.settings import Settings
from graphc.train.losses import Loss, Mean
from graphc.training_graph.tensor import Tensor
from graphc.types import Array


class Teacher(Settings):
    """A network to learn from."""

    path: str
    """The ONNX file: one image input, N H W C or N C H W, in bytes or float32. Where it carries the names of its
    classes, as files written by graphc do, the training set's are found by name and others are left out; else both
    count alike."""
    temperature: float = Field(default=4.0, gt=0, le=1000)
    """Divides logits: the higher, the more is said of the less likely classes."""
    weight: float = Field(default=0.9, ge=0, le=1)
    """The teacher's share of the loss."""
    output: str | None = None
    """Which output holds the logits; default: the first."""
    preprocess: Preprocess | None = None
    """What the teacher's images go through; default: what the student's do. A teacher that reads bytes gets them."""

    @model_validator(mode="after")
    def _fits(self) -> Teacher:
        if self.preprocess is not None and self.preprocess.learns:
            raise ValueError(
                f"preprocess: expected numbers, as the teacher was trained with, found {self.preprocess.learns}"
            )
        return self


class TeacherModel:
    """A teacher at work."""

    def __init__(
        self,
        settings: Teacher,
        base: Path,
        classes: int,
        names: Sequence[str] = (),
        threads: int | None = None,
        values: ImageValues = BYTES,
    ) -> None:
        """`classes`: how many the student has; `names`: theirs, where they are known; `values`: of its images."""
        self.settings = settings
        self._values = values
        said = settings.preprocess
        self._preprocess = None if said is None else FittedPreprocess(said.with_sources(values.range))
        self._session = Session(base / settings.path, threads=threads)
        self._columns = _columns(settings.path, named_classes(self._session.metadata), list(names))
        if len(self._session.inputs) != 1:
            raise SpecError("G613", f"a teacher has one input, {shown(settings.path)} has {len(self._session.inputs)}")
        self._input = self._session.inputs[0]
        self._classes = classes

    def with_answers(self, batch: Batch) -> Batch:
        """The batch with the teacher's logits."""
        assert batch.raw is not None, "batches that are trained on keep their raw images where there is a teacher"
        images = self._images(batch.raw, next(iter(batch.inputs.values())))
        outputs = [self.settings.output] if self.settings.output else None
        logits = next(iter(self._session.run({self._input.name: images}, outputs).values()))
        if self._columns is not None and logits.ndim == 2 and logits.shape[1] > max(self._columns):
            logits = logits[:, self._columns]
        if logits.shape != (len(batch), self._classes):
            found = "×".join(map(str, logits.shape))
            raise DataError("G404", f"expected the teacher's logits for {self._classes} classes, found {found}")
        return batch.with_answers(logits)

    def _images(self, raw: Array, preprocessed: Array) -> Array:
        """What the teacher reads, in its order of axes."""
        if self._input.dtype == "uint8":
            images = brought(raw, np.uint8, BYTES.range, self._values.range)
        elif self._preprocess is None:
            images = preprocessed
        else:
            shape = self._preprocess.settings.output_shape(raw.shape[1:])
            images = np.empty((len(raw), *shape), np.float32)
            self._preprocess.apply(raw, images, self._values.unit)
        if self._channels_first(images.shape[-1]):
            images = images.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(images, self._input.dtype)

    def _channels_first(self, channels: int) -> bool:
        shape = self._input.shape
        return self._input.layout != "nhwc" and len(shape) == 4 and shape[1] == channels


def named_classes(metadata: Mapping[str, str]) -> list[str]:
    """The names of its classes that a file written by graphc carries; empty where it carries none."""
    try:
        found = json.loads(metadata.get("graphc.classes", "[]"))
    except (ValueError, RecursionError):
        return []
    return found if isinstance(found, list) and all(isinstance(name, str) for name in found) else []


def _columns(path: str, theirs: list[str], ours: list[str]) -> list[int] | None:
    """Where each of our classes stands among the teacher's, by name; None where either has no names."""
    if not theirs or not ours:
        return None
    places = {name: place for place, name in enumerate(theirs)}
    if missing := [name for name in ours if name not in places]:
        found = f"{shown(path)} knows {', '.join(map(shown, theirs[:10]))}{' …' if len(theirs) > 10 else ''}"
        raise SpecError(
            "G613", f"expected a teacher of the class {shown(missing[0])!r}{did_you_mean(missing[0], theirs)}, {found}"
        )
    return [places[name] for name in ours]


def distilled(loss: Loss, settings: Teacher, prediction: Array, known: Array, teacher: Array) -> tuple[Mean, Mean]:
    """The loss of the labels that are known (none: -1), and that of what the teacher says: its logits [N, K],
    as the prediction; `known` [N]."""
    labels = np.where(known < 0, 0, known) if known.ndim == 1 else known
    hard = loss.mean(prediction, labels, weights_of(known).astype(prediction.dtype))
    value, gradient = softened(prediction, teacher, settings.temperature)
    return hard, Mean(value, len(prediction), gradient)


def weights_of(known: Array) -> Array:
    """[N]: whether an example has a label, of labels [N], or distributions [N, K], which all have one."""
    return known >= 0 if known.ndim == 1 else np.ones(len(known), bool)


def softened(prediction: Array, teacher: Array, temperature: float) -> tuple[float, Array]:
    """temperature² * KL(teacher, student) of logits [N, K] at this temperature, a mean over the batch, and its gradient
    [N, K]."""
    p, q = _log_softmax(prediction / temperature), _log_softmax(teacher.astype(prediction.dtype) / temperature)
    loss = float((np.exp(q) * (q - p)).sum(dtype=np.float64)) * temperature**2 / len(prediction)
    gradient = (np.exp(p) - np.exp(q)) * (temperature / len(prediction))
    return loss, gradient.astype(prediction.dtype)


def emit_softened(prediction: Tensor, teacher: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """`softened` in nodes."""
    p, q = ((logits / temperature).log_softmax(1) for logits in (prediction, teacher))
    count = prediction.shape[0]
    loss = (q.exp() * (q - p)).sum() * (temperature**2 / count)
    return loss, (p.exp() - q.exp()) * (temperature / count)


def _log_softmax(logits: Array) -> Array:
    shifted: Array = logits - logits.max(axis=-1, keepdims=True)
    sums: Array = np.exp(shifted).sum(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(sums))


def with_unlabeled(labeled: Examples, unlabeled: Examples, limit: int) -> Examples:
    """Both together, the second with the label -1; those of files stay there where both are read alike."""
    both, images = [labeled, unlabeled], [labeled.inputs[IMAGE], unlabeled.inputs[IMAGE]]
    in_files = all(isinstance(each, StoredImages) for each in images) and images[0].is_read_as(images[1])
    if not in_files:
        both = [in_memory(each, limit) if isinstance(each.inputs[IMAGE], StoredImages) else each for each in both]
        images = [each.inputs[IMAGE] for each in both]
    if images[0].shape[1:] != images[1].shape[1:] or images[0].dtype != images[1].dtype:
        found = " and ".join(f"{'×'.join(map(str, each.shape[1:]))} {each.dtype}" for each in images)
        raise DataError("G404", f"expected unlabeled images like the labeled, found {found}", Place(unlabeled.source))
    labels = [both[0].targets[LABEL], np.full(len(both[1]), -1, np.int64)]
    return replace(
        labeled,
        inputs={IMAGE: images[0].and_then(images[1]) if in_files else np.concatenate(images)},
        targets={LABEL: np.concatenate(labels)},
        skipped=labeled.skipped + unlabeled.skipped,
        notes=labeled.notes + unlabeled.notes,
    )
