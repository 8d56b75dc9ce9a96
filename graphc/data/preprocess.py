"""What happens to every example on its way into the network: scale, then centre, then divide by a deviation."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from graphc.errors import DataError
from graphc.settings import LIST, Settings
from graphc.types import Array

CHUNK = 4096


class Preprocess(Settings):
    """(x*scale - mean) / std, in the network's dtype."""

    scale: float | None = Field(default=None, gt=0)
    """Default: 1/255 for bytes, 1 for everything else."""
    mean: Annotated[tuple[float, ...] | Literal["fit"], LIST] = ()
    """One number, one a channel, or `fit`: each channel's mean over the training set."""
    std: Annotated[tuple[float, ...] | Literal["fit"], LIST] = ()
    """The same for the deviation."""

    def fitted(self, images: Array) -> Preprocess:
        """These settings as numbers: `fit` answered by the training set."""
        if self.mean != "fit" and self.std != "fit":
            return self
        mean, std = channel_statistics(images)
        scale = self._scale(images)
        return Preprocess(
            scale=self.scale,
            mean=tuple(float(m * scale) for m in mean) if self.mean == "fit" else self.mean,
            std=tuple(float(max(s * scale, 1e-12)) for s in std) if self.std == "fit" else self.std,
        )

    def apply(self, images: Array, out: Array) -> None:
        """Preprocessed images, in `out`."""
        np.multiply(images, out.dtype.type(self._scale(images)), out=out, casting="same_kind")
        if self.mean:
            out -= self._per_channel(self.mean, out)
        if self.std:
            out /= self._per_channel(self.std, out)

    def _scale(self, images: Array) -> float:
        return self.scale if self.scale is not None else 1 / 255 if images.dtype == np.uint8 else 1.0

    def _per_channel(self, numbers: tuple[float, ...] | str, out: Array) -> Array:
        assert not isinstance(numbers, str), "fitted() comes first"
        if len(numbers) not in (1, out.shape[-1]):
            raise DataError("G404", f"expected 1 or {out.shape[-1]} numbers to preprocess with, got {len(numbers)}")
        return np.asarray(numbers, out.dtype)


def channel_statistics(images: Array) -> tuple[Array, Array]:
    """Mean and deviation of each channel (last axis), in float64, a few thousand images at a time."""
    channels = images.shape[-1] if images.ndim > 1 else 1
    count, total, square = 0, np.zeros(channels), np.zeros(channels)
    for start in range(0, len(images), CHUNK):
        part = images[start : start + CHUNK].reshape(-1, channels).astype(np.float64)
        count += len(part)
        total += part.sum(axis=0)
        square += (part * part).sum(axis=0)
    mean = total / count
    return mean, np.sqrt(np.maximum(square / count - mean * mean, 0))
