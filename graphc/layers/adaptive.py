"""Windows of an adaptive pooling along one axis, as PyTorch has them: so many, whatever the input's size."""

from __future__ import annotations

from dataclasses import dataclass

from graphc.lazy import np
from graphc.receptive_field import Reach, check_period
from graphc.types import Array


@dataclass(frozen=True, slots=True)
class AdaptiveWindows:
    """Window i of `count` over `size` pixels is floor(i*size/count) up to ceil((i + 1)*size/count)."""

    size: int
    count: int

    @property
    def starts(self) -> list[int]:
        return [i * self.size // self.count for i in range(self.count)]

    @property
    def ends(self) -> list[int]:
        return [-(-(i + 1) * self.size // self.count) for i in range(self.count)]

    @property
    def longest(self) -> int:
        """Pixels of the longest window."""
        return max(end - start for start, end in zip(self.starts, self.ends, strict=True))

    @property
    def pixels_read(self) -> int:
        """Of all windows together."""
        return sum(self.ends) - sum(self.starts)

    def as_ordinary(self) -> tuple[int, int] | None:
        """(kernel, stride) where all windows are equally long and equally far apart; else None."""
        starts, ends = self.starts, self.ends
        kernel = ends[0]
        stride = starts[1] if self.count > 1 else kernel
        equal = [i * stride for i in range(self.count)]
        ordinary = stride > 0 and starts == equal and ends == [start + kernel for start in equal]
        return (kernel, stride) if ordinary else None

    def reach(self) -> Reach:
        check_period(self.count)
        return Reach(self.count, self.size, tuple(self.starts), tuple(end - 1 for end in self.ends))

    def pixels(self) -> Array:
        """Which pixels the windows read, one window after the other, all `longest`: a shorter one reads its last pixel
        again. [count*longest] whole numbers."""
        taps = np.add.outer(np.asarray(self.starts), np.arange(self.longest))
        found: Array = np.minimum(taps, np.asarray(self.ends)[:, None] - 1).reshape(-1)
        return found

    def means(self) -> Array:
        """The matrix [count, size] that makes the windows' means of the pixels, in float64."""
        matrix = np.zeros((self.count, self.size))
        for row, start, end in zip(matrix, self.starts, self.ends, strict=True):
            row[start:end] = 1 / (end - start)
        return matrix
