"""Steps that make other values of an image's own: its size stays."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import model_validator

from graphc.data.augment.color import GRAY
from graphc.data.steps.base import LARGEST, Arrays, Chunks, Number, PositiveNumber, Step
from graphc.data.value_range import AnyRange, UnknownRange, ValueRange
from graphc.emit.operations import Affine, CenterEach, DeviateEach, MixAll, MixChannels, Operation
from graphc.errors import DataError
from graphc.lazy import np
from graphc.settings import LIST
from graphc.types import Array

Per: TypeAlias = Literal["channel", "pixel", "image"]

LARGEST_WHITENING = 4096
"""Values an image may have for a matrix over all of them: the eigenvectors take minutes, and the memory of n²."""


class _Affine(Step):
    """x*scale + offset."""

    def affine(self, arrays: Arrays) -> tuple[Array, Array]:
        """(scale, offset), each [1], [C], or [H, W, C] for every pixel, in float64."""
        raise NotImplementedError(self.kind)

    def apply(self, x: Array, arrays: Arrays) -> Array:
        scale, offset = (each.astype(x.dtype) for each in self.affine(arrays))
        x *= scale
        x += offset
        return x

    def operations(self, arrays: Arrays, shape: tuple[int, ...]) -> list[Operation]:
        return [Affine(*self.affine(arrays))]


class Rescale(_Affine):
    """From one range of values to another."""

    kind: ClassVar[str] = "rescale"

    source: Annotated[tuple[Number, Number], LIST] | None = None
    """[lowest, highest] value that comes in; default: the range of the images, [0, 255] for bytes."""
    target: Annotated[tuple[Number, Number], LIST] = (0.0, 1.0)
    """What they become."""

    @model_validator(mode="after")
    def _fits(self) -> Rescale:
        if self.source is not None and self.source[0] >= self.source[1]:
            raise ValueError(f"source: expected [lowest, highest], found {list(self.source)}")
        if self.source is not None and max(map(abs, self._factors(self.source))) > LARGEST:
            raise ValueError(f"expected ranges whose quotient float32 holds, found {list(self.source)} as source")
        return self

    def with_source(self, values: AnyRange | None) -> Rescale:
        if self.source is not None:
            return self
        if not isinstance(values, ValueRange):
            raise (values or UnknownRange("floats in files")).error(
                "rescale", "`source: [lowest, highest]` of the step says which values come in"
            )
        return self.model_copy(update={"source": (values.low, values.high)})

    def range_behind(self, values: AnyRange | None) -> AnyRange | None:
        return ValueRange(*self.target)

    def affine(self, arrays: Arrays) -> tuple[Array, Array]:
        assert self.source is not None, "with_source() comes first"
        scale, offset = self._factors(self.source)
        return np.array([scale]), np.array([offset])

    def _factors(self, source: tuple[float, float]) -> tuple[float, float]:
        """Scale and offset."""
        (a, b), (c, d) = source, self.target
        scale = (d - c) / (b - a)
        return scale, c - a * scale


class Center(Step):
    """The mean subtracted: each channel's, each pixel's, or each image's own."""

    kind: ClassVar[str] = "center"

    per: Per = "channel"
    """channel and pixel: means over the training set."""

    @property
    def learns(self) -> bool:
        return self.per != "image"

    def fit(self, chunks: Chunks) -> dict[str, Array]:
        return {} if self.per == "image" else {"mean": moments(chunks, self.per)[0]}

    def learned(self, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        return _each(self.per, shape, "mean")

    def apply(self, x: Array, arrays: Arrays) -> Array:
        x -= x.mean(axis=_axes(x), keepdims=True) if self.per == "image" else arrays["mean"].astype(x.dtype)
        return x

    def operations(self, arrays: Arrays, shape: tuple[int, ...]) -> list[Operation]:
        if self.per == "image":
            return [CenterEach()]
        return [Affine(np.array([1.0]), -arrays["mean"])]


class Standardize(Step):
    """The mean subtracted, then divided by the deviation."""

    kind: ClassVar[str] = "standardize"

    per: Per = "channel"
    """channel and pixel: over the training set; image: each image's own."""
    epsilon: PositiveNumber = 1e-8
    """Added to the variance."""

    @property
    def learns(self) -> bool:
        return self.per != "image"

    def fit(self, chunks: Chunks) -> dict[str, Array]:
        if self.per == "image":
            return {}
        mean, variance = moments(chunks, self.per)
        return {"mean": mean, "deviation": np.sqrt(variance + self.epsilon)}

    def learned(self, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        return _each(self.per, shape, "mean", "deviation")

    def apply(self, x: Array, arrays: Arrays) -> Array:
        if self.per == "image":
            x -= x.mean(axis=_axes(x), keepdims=True)
            x /= np.sqrt((x * x).mean(axis=_axes(x), keepdims=True) + x.dtype.type(self.epsilon))
            return x
        x -= arrays["mean"].astype(x.dtype)
        x /= arrays["deviation"].astype(x.dtype)
        return x

    def operations(self, arrays: Arrays, shape: tuple[int, ...]) -> list[Operation]:
        if self.per == "image":
            return [CenterEach(), DeviateEach(self.epsilon)]
        return [Affine(1 / arrays["deviation"], -arrays["mean"] / arrays["deviation"])]


class MinMaxScale(_Affine):
    """The training set's lowest and highest value, of each channel or pixel, taken to a range."""

    kind: ClassVar[str] = "min_max_scale"

    per: Literal["channel", "pixel"] = "channel"
    """Whose extremes."""
    target: Annotated[tuple[Number, Number], LIST] = (-1.0, 1.0)
    """Where they go."""

    def range_behind(self, values: AnyRange | None) -> AnyRange | None:
        return ValueRange(*self.target)

    @property
    def learns(self) -> bool:
        return True

    def fit(self, chunks: Chunks) -> dict[str, Array]:
        axes = _over(self.per)
        lows, highs = zip(*((part.min(axis=axes(part)), part.max(axis=axes(part))) for part in chunks()), strict=True)
        return {"low": np.min(lows, axis=0), "high": np.max(highs, axis=0)}

    def learned(self, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        return _each(self.per, shape, "low", "high")

    def affine(self, arrays: Arrays) -> tuple[Array, Array]:
        low, high = arrays["low"], arrays["high"]
        scale = (self.target[1] - self.target[0]) / np.where(high > low, high - low, 1)
        return scale, self.target[0] - low * scale


class Whiten(Step):
    """Decorrelated values of mean 0 and variance 1.

    Two correlated signals A and B become their sum and their difference, each brought to variance 1 (pca); zca turns
    the result back, so that it looks like the image again.
    """

    kind: ClassVar[str] = "whiten"

    method: Literal["pca", "zca"] = "zca"
    """Left along the principal axes, largest first, or turned back."""
    over: Literal["channels", "pixels"] = "channels"
    """Which values are decorrelated: a pixel's channels, or all values of an image."""
    epsilon: PositiveNumber = 1e-5
    """Added to variances: what hardly varies is not blown up."""

    @property
    def learns(self) -> bool:
        return True

    def fit(self, chunks: Chunks) -> dict[str, Array]:
        """The mean [n] and the matrix [n, n] that turns n values, those of a pixel or of an image, into n others."""
        first = next(chunks())
        size = self._size(first.shape[1:])
        if size > LARGEST_WHITENING:
            found = f"{size:,} values in an image, the limit is {LARGEST_WHITENING:,}"
            raise DataError("G404", f"whiten over pixels expects small images, found {found}; resize first")
        mean, covariance = covariances(chunks, size)
        variances, axes = np.linalg.eigh(covariance)
        order = np.argsort(-variances, kind="stable")
        variances, axes = np.maximum(variances[order], 0), axes[:, order]
        axes *= np.where(axes[np.abs(axes).argmax(axis=0), np.arange(size)] < 0, -1.0, 1.0)  # one sign for all machines
        matrix = axes / np.sqrt(variances + self.epsilon)
        return {"mean": mean, "matrix": matrix @ axes.T if self.method == "zca" else matrix}

    def learned(self, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        size = self._size(shape)
        return {"mean": (size,), "matrix": (size, size)}

    def _size(self, shape: tuple[int, ...]) -> int:
        """Values that are decorrelated."""
        return shape[-1] if self.over == "channels" else math.prod(shape)

    def apply(self, x: Array, arrays: Arrays) -> Array:
        values = x.reshape(-1, len(arrays["mean"]))
        values -= arrays["mean"].astype(x.dtype)
        turned: Array = values @ arrays["matrix"].astype(x.dtype)
        return turned.reshape(x.shape)

    def operations(self, arrays: Arrays, shape: tuple[int, ...]) -> list[Operation]:
        mean, matrix = -arrays["mean"], arrays["matrix"]
        if self.over == "channels":
            return [Affine(np.array([1.0]), mean), MixChannels(matrix)]
        return [Affine(np.array([1.0]), mean.reshape(shape)), MixAll(matrix)]


class Channels(Step):
    """Colors in another order, or as gray."""

    kind: ClassVar[str] = "channels"

    to: Literal["bgr", "gray"]
    """bgr: red and blue exchanged; gray: one channel, 0.299 red + 0.587 green + 0.114 blue."""

    def range_behind(self, values: AnyRange | None) -> AnyRange | None:
        return values

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if shape[-1:] != (3,):
            found = f"{shape[-1]} channels" if shape else "numbers"
            raise DataError("G404", f"channels expects images in red, green and blue, found {found}")
        return (*shape[:-1], 1) if self.to == "gray" else shape

    def apply(self, x: Array, arrays: Arrays) -> Array:
        mixed: Array = x @ self._matrix().astype(x.dtype)
        return mixed

    def operations(self, arrays: Arrays, shape: tuple[int, ...]) -> list[Operation]:
        return [MixChannels(self._matrix())]

    def _matrix(self) -> Array:
        return np.array([GRAY]).T if self.to == "gray" else np.eye(3)[::-1]


def _axes(x: Array) -> tuple[int, ...]:
    return tuple(range(1, x.ndim))


def _each(per: Per, shape: tuple[int, ...], *names: str) -> dict[str, tuple[int, ...]]:
    """Of each name the shape of a number a channel or a pixel; nothing of an image's own."""
    return {} if per == "image" else dict.fromkeys(names, shape if per == "pixel" else shape[-1:])


def _over(per: Per) -> Callable[[Array], tuple[int, ...]]:
    return lambda x: (0,) if per == "pixel" else tuple(range(x.ndim - 1))


def moments(chunks: Chunks, per: Per) -> tuple[Array, Array]:
    """Mean and variance over all images, in float64, in two passes: each [C], or [H, W, C] of every pixel."""
    axes = _over(per)
    count, total, square = 0, np.zeros(()), np.zeros(())
    for part in chunks():
        count += part.size // part.sum(axis=axes(part)).size
        total = total + part.sum(axis=axes(part), dtype=np.float64)
    mean = total / count
    for part in chunks():
        square = square + ((part.astype(np.float64) - mean) ** 2).sum(axis=axes(part))
    return mean, square / count


def covariances(chunks: Chunks, size: int) -> tuple[Array, Array]:
    """Mean [size] and covariance [size, size] of the values along the last axes of all images, in float64."""
    count, total, products = 0, np.zeros(size), np.zeros((size, size))
    for part in chunks():
        values = part.reshape(-1, size).astype(np.float64)
        count += len(values)
        total += values.sum(axis=0)
    mean = total / count
    for part in chunks():
        values = part.reshape(-1, size).astype(np.float64) - mean
        products += values.T @ values
    return mean, products / count
