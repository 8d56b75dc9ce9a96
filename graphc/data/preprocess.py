"""What happens to every example on its way into the network: in training, evaluation, prediction, and on request in
the ONNX file.

The short form scales, centers and divides by a deviation; the long form is a list of steps. What is learned from the
training set is learned once: numbers a channel are kept in the run's recipe, larger arrays in a file beside it.
`Preprocess` is what a recipe says, `FittedPreprocess` that with what was learned.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from pydantic import Field, ValidationError, model_validator

from graphc.data.sample import Sample
from graphc.data.steps import STEPS
from graphc.data.steps.base import LARGEST, POSITIVE, Arrays, Number, PositiveNumber, Step
from graphc.data.steps.values import Rescale
from graphc.data.value_range import AnyRange, ValueRange
from graphc.dims import format_shape
from graphc.emit.operations import Affine, Operation
from graphc.errors import DataError, Place
from graphc.files import shown
from graphc.settings import LIST, OneOf, Settings
from graphc.types import Array

CHUNK_BYTES = 2**26
"""Of images that are looked at together while steps are fitted."""

AnyStep: TypeAlias = Annotated[Step, OneOf(STEPS)]
MOST_STEPS = 100
CONSTANT = 1e-6
"""Deviation over mean up to which a channel counts as constant: sums of squares do not tell less."""
RAW = "raw"
"""Under this name the fitted arrays hold the shape that images come in."""


class Preprocess(Settings):
    """(x*scale - mean) / std, in the network's dtype; or a list of steps."""

    scale: PositiveNumber | None = None
    """Default: the largest value of the images' range becomes 1, so 1/255 for bytes and 1/65535 for uint16; floats
    whose range is not said stay as they are, and so does what is no image, but for bytes."""
    mean: Annotated[tuple[Number, ...] | Literal["fit"], LIST] = ()
    """One number, one a channel, or `fit`: each channel's mean over the training set."""
    std: Annotated[tuple[PositiveNumber, ...] | Literal["fit"], LIST] = ()
    """The same for the deviation."""
    steps: Annotated[tuple[AnyStep, ...], LIST, Field(max_length=MOST_STEPS)] = ()
    """Instead: what is done, in order. Values come as they are: bytes as numbers from 0 to 255."""

    @model_validator(mode="after")
    def _fits(self) -> Preprocess:
        if self.steps and (self.scale is not None or self.mean or self.std):
            raise ValueError("expected either `steps`, or `scale`, `mean` and `std`")
        if not isinstance(self.std, str) and self.std:
            numbers = (self.scale or 1.0, *(() if isinstance(self.mean, str) else self.mean))
            if max(map(abs, numbers)) / min(self.std) > LARGEST:
                raise ValueError(f"std: expected numbers by which float32 can be divided, found {min(self.std):g}")
        return self

    @property
    def learns(self) -> str | None:
        """What is to be learned from the training set, as the recipe calls it; None: nothing."""
        if self.is_open:
            return "`fit`"
        return next((f"the step {step.kind}, which learns" for step in self.steps if step.learns), None)

    @property
    def is_open(self) -> bool:
        """Whether numbers are still to be fitted."""
        return "fit" in (self.mean, self.std)

    @property
    def takes_unit(self) -> bool:
        """Whether applying it has to be told what images are multiplied with."""
        return not self.steps and self.scale is None

    def fitted(self, images: Array, unit: float = 1.0, values: AnyRange | None = None) -> FittedPreprocess:
        """These settings, with everything learned that is to be learned from the training set's images [N, …, C];
        `unit`: the default scale; `values`: which values of the images are black and white. A DataError where
        the steps cannot take images of this shape."""
        if self.steps:
            settings = self.with_sources(values)
            return FittedPreprocess(settings, learned(settings, images))
        if self.mean != "fit" and self.std != "fit":
            return FittedPreprocess(self)
        mean, std = channel_statistics(images)
        scale = self.scale if self.scale is not None else unit
        try:
            settings = Preprocess(
                scale=self.scale,
                mean=tuple(float(m * scale) for m in mean) if self.mean == "fit" else self.mean,
                std=tuple(_dividing(mean, std, scale).tolist()) if self.std == "fit" else self.std,
            )
        except ValidationError as error:
            what = ".".join(map(str, error.errors()[0]["loc"][:1])) or "mean and std"
            raise DataError("G404", f"expected images whose {what} float32 holds, found other values") from None
        return FittedPreprocess(settings)

    @property
    def lacks_source(self) -> bool:
        """Whether a step has to be told the range of values that comes to it."""
        return any(isinstance(step, Rescale) and step.source is None for step in self.steps)

    def with_sources(self, values: AnyRange | None) -> Preprocess:
        """These settings, every step told the range of values that comes to it."""
        found: list[Step] = []
        for step in self.steps:
            found.append(step.with_source(values))
            values = found[-1].range_behind(values)
        return self.model_copy(update={"steps": tuple(found)})

    @property
    def moves(self) -> bool:
        """Whether things are elsewhere in the picture behind the steps."""
        return any(step.moves for step in self.steps)

    def moved(self, sample: Sample) -> Sample:
        """An example's annotations where they are behind all steps; its image is only as large as there."""
        sample = replace(sample, image=np.zeros((*sample.size, 1), np.uint8), value_range=None)
        for step in self.steps:
            sample = step.move(sample)
        return sample

    def working(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """(values that are there at most for each example of this shape on its way, values that are there once)."""
        each, once = 2 * math.prod(shape), 0
        for step in self.steps:
            own, matrices = step.working(shape)
            each, once, shape = max(each, own), max(once, matrices), step.shape(shape)
        return each, once

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of an example behind all steps."""
        for step in self.steps:
            if step.moves and len(shape) != 3:
                found = format_shape(shape)
                raise DataError("G404", f"{step.kind} expects images of height, width and channels, found {found}")
            shape = step.shape(shape)
        return shape


@dataclass(frozen=True, slots=True, eq=False)
class FittedPreprocess:
    """Preprocessing that can be applied: its settings, and what its steps have learned."""

    settings: Preprocess
    """Without `fit`: every number is there."""
    arrays: Mapping[str, Array] = field(default_factory=dict)
    """What the steps have learned, by `number/name`; empty for the short form."""

    def check(self, place: Place | None = None) -> None:
        """A DataError where the arrays, which a file has given, are not what the steps learn of images of one shape."""
        steps = self.settings.steps
        if not self.arrays and self.settings.learns is None:
            return
        raw = self.arrays.get(RAW)
        wanted: dict[str, tuple[int, ...]] = {}
        if steps:
            if raw is None or raw.ndim != 1 or raw.dtype.kind != "i" or not raw.size or raw.min() < 1:
                raise DataError("G404", f"expected the shape of images as the array {RAW}, found another", place)
            shape = tuple(raw.tolist())
            wanted[RAW] = raw.shape
            for number, step in enumerate(steps):
                with _fitting(step, shape):
                    wanted |= {f"{number}/{name}": each for name, each in step.learned(shape).items()}
                    shape = step.shape(shape)
        for name in (*wanted, *self.arrays):
            found = self.arrays.get(name)
            said = "" if found is None or name not in wanted else _wrong(name, found, wanted[name])
            if found is None or name not in wanted or said:
                expected = f"the array {name}{said}" if name in wanted else f"no array {shown(name[:100])}"
                raise DataError("G404", f"expected what preprocessing has learned: {expected}, found another", place)

    def with_sources(self, values: AnyRange | None) -> FittedPreprocess:
        """The same, every step told the range of values that comes to it."""
        return replace(self, settings=self.settings.with_sources(values))

    def check_numbers(self, shape: tuple[int, ...], values: AnyRange | None, unit: float, dtype: Any) -> None:
        """A DataError where what was learned is none that a run keeps, or where images of this shape that are black, or
        white, become something that is not finite in this type; `unit`: the default scale."""
        self.check()
        if not isinstance(values, ValueRange) or len(shape) != 3:
            return
        images = np.empty((2, *shape), dtype)
        images[0], images[1] = values.low, values.high
        self.with_sources(values).apply(images, np.empty((2, *self.settings.output_shape(shape)), dtype), unit)

    def apply(self, images: Array, out: Array, unit: float = 1.0) -> None:
        """Images [N, H, W, C] of any dtype, preprocessed, written into `out` [N, H', W', C'], in its dtype; `unit`: the
        default scale. A DataError where there are numbers for images of another shape, or such that what they make is
        not finite."""
        with _finite():
            self._apply(images, out, unit)

    def _apply(self, images: Array, out: Array, unit: float) -> None:
        settings = self.settings
        if settings.steps:
            values = images.astype(out.dtype)
            for number, step in enumerate(settings.steps):
                with _fitting(step, images.shape[1:]):
                    values = step.apply(values, _of(self.arrays, number))
            np.copyto(out, values)
            return
        scale = settings.scale if settings.scale is not None else unit
        np.multiply(images, out.dtype.type(scale), out=out, casting="same_kind")
        if settings.mean:
            out -= _per_channel(settings.mean, out)
        if settings.std:
            out /= _per_channel(settings.std, out)

    def input_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape that examples come in, where the network reads `shape`."""
        return tuple(self.arrays[RAW].tolist()) if RAW in self.arrays else shape

    def operations(self, shape: tuple[int, ...], unit: float) -> list[Operation]:
        """What an ONNX file does to images of this raw shape; `unit`: the default scale. A DataError as of `apply`."""
        with _finite():
            found = self._operations(shape, unit)
            for each in found:
                if isinstance(each, Affine):
                    each.scale.astype(np.float32), each.offset.astype(np.float32)
        return found

    def _operations(self, shape: tuple[int, ...], unit: float) -> list[Operation]:
        settings = self.settings
        if not settings.steps:
            factor = settings.scale if settings.scale is not None else unit
            numbers = ((settings.mean, 0), (settings.std, 1))
            mean, std = (np.array(each or [default], np.float64) for each, default in numbers)
            return [Affine(factor / std, -mean / std)]
        found: list[Operation] = []
        for number, step in enumerate(settings.steps):
            with _fitting(step, shape):
                found += step.operations(_of(self.arrays, number), shape)
            shape = step.shape(shape)
        return found


def learned(settings: Preprocess, images: Array) -> dict[str, Array]:
    """What every step learns from the training set's images [N, H, W, C] as the steps before it leave them: float32
    arrays of any shape by `number/name`, and under `RAW` the shape of an image, int64."""
    settings.output_shape(images.shape[1:])
    found: dict[str, Array] = {RAW: np.array(images.shape[1:], np.int64)}
    for number, step in enumerate(settings.steps):
        fit = step.fit(partial(_chunks, images, settings.steps[:number], dict(found)))
        found |= {f"{number}/{name}": np.asarray(array, np.float32) for name, array in fit.items()}
    return found


def _chunks(images: Array, steps: Sequence[Step], arrays: Mapping[str, Array]) -> Iterator[Array]:
    """All images behind these steps, in float32, some at a time."""
    largest, _ = Preprocess(steps=tuple(steps)).working(images.shape[1:])
    rows = max(1, CHUNK_BYTES // max(2 * largest, 1))
    for start in range(0, len(images), rows):
        values = images[start : start + rows].astype(np.float32)
        for number, step in enumerate(steps):
            values = step.apply(values, _of(arrays, number))
        yield values


@contextmanager
def _finite() -> Iterator[None]:
    """A DataError where images become numbers that are not finite."""
    try:
        with np.errstate(over="raise", divide="raise", invalid="raise"):
            yield
    except FloatingPointError as error:
        raise DataError("G404", f"expected numbers to preprocess with whose results are finite: {error}") from None


@contextmanager
def _fitting(step: Step, shape: tuple[int, ...]) -> Iterator[None]:
    """A DataError where arrays that a file brought are not those of this step and of images of this shape."""
    try:
        yield
    except (IndexError, KeyError, TypeError, ValueError) as error:
        where = f"expected what {step.kind} learns of images of {'×'.join(map(str, shape))}"
        raise DataError("G404", f"{where}, found other arrays: {error}") from None


def _wrong(name: str, array: Array, shape: tuple[int, ...]) -> str:
    """What is expected of a step's array [...] that it is not; nothing where it is as expected."""
    if array.shape != shape:
        return f" of {format_shape(shape)}"
    if not np.isfinite(array).all():
        return " of finite numbers"
    return " of numbers above 0" if name.rpartition("/")[2] in POSITIVE and array.min() <= 0 else ""


def _per_channel(numbers: tuple[float, ...] | str, out: Array) -> Array:
    assert not isinstance(numbers, str), "fitted() comes first"
    if len(numbers) not in (1, out.shape[-1]):
        raise DataError("G404", f"expected 1 or {out.shape[-1]} numbers to preprocess with, got {len(numbers)}")
    return np.asarray(numbers, out.dtype)


def _of(arrays: Mapping[str, Array], number: int) -> Arrays:
    """One step's arrays."""
    start = f"{number}/"
    return {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}


def _dividing(mean: Array, std: Array, scale: float) -> Array:
    """Scaled deviations to divide by: a channel that is the same everywhere, but for rounding, is only centered."""
    return np.where(std > CONSTANT * np.abs(mean), std * scale, 1.0)


def channel_statistics(images: Array) -> tuple[Array, Array]:
    """Mean [C] and deviation [C] of each channel of images [N, …, C], in float64, some images at a time."""
    channels = images.shape[-1] if images.ndim > 1 else 1
    rows = max(1, CHUNK_BYTES // max(8 * int(np.prod(images.shape[1:])), 1))
    count, total, square = 0, np.zeros(channels), np.zeros(channels)
    for start in range(0, len(images), rows):
        part = images[start : start + rows].reshape(-1, channels).astype(np.float64)
        count += len(part)
        total += part.sum(axis=0)
        square += (part * part).sum(axis=0)
    mean = total / count
    return mean, np.sqrt(np.maximum(square / count - mean * mean, 0))
