"""Windows of ONNX nodes: kernel, stride, dilation and padding as arguments of layers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from graphc.errors import RuleError
from graphc.importers.flat import LETTERS, Value
from graphc.importers.onnx_graph import OnnxNode, RefusedError
from graphc.importers.operators.handler import Build
from graphc.window import Window


@dataclass(frozen=True, slots=True)
class Pads:
    """Pixels around an image as a file has them, and the windows that read it; which word says so is decided when all
    are known."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    size: tuple[int, ...]
    pixels: tuple[tuple[int, int], ...] | str
    """Of each axis (before, after), of an image ((top, bottom), (left, right)); or `same` where the file says so."""

    def is_said_by(self, word: str) -> bool:
        """Whether same, valid or same_fixed is this padding, for images of this size."""
        if isinstance(self.pixels, str):
            return word == self.pixels
        return all(self._along(word, axis) == pair for axis, pair in enumerate(self.pixels))

    def is_free(self) -> bool:
        """Whether every word says it, for images of every size."""
        return set(self.kernel) == {1} and (self.pixels == "same" or not self.has_pixels())

    def has_pixels(self) -> bool:
        """Whether there is any padding, or may be."""
        return isinstance(self.pixels, str) or any(map(any, self.pixels))

    def _along(self, word: str, axis: int) -> tuple[int, int] | None:
        size, kernel, stride = self.size[axis], self.kernel[axis], self.stride[axis]
        with suppress(RuleError):  # a window larger than the image without padding
            return Window.over(size, kernel, stride, word, self.dilation[axis]).pads
        return None

    def inside(self, border: Sequence[Sequence[int]]) -> Pads:
        """The same windows on an image before it got this border, [[top, bottom], [left, right]]."""
        assert not isinstance(self.pixels, str)
        pixels = tuple((own[0] + more[0], own[1] + more[1]) for own, more in zip(self.pixels, border, strict=True))
        size = tuple(whole - sum(more) for whole, more in zip(self.size, border, strict=True))
        return replace(self, size=size, pixels=pixels)

    def explicit(self) -> Any:
        """In pixels: one number, one an axis, or [before, after] of each; of a sequence [before, after]."""
        assert not isinstance(self.pixels, str)
        if any(before != after for before, after in self.pixels):
            found = [list(sides) for sides in self.pixels]
            return found if len(found) > 1 else found[0]
        return written([before for before, _ in self.pixels])

    def sides(self) -> Any:
        """The same as a layer takes it for inputs of any rank."""
        return self.pixels if isinstance(self.pixels, str) else [list(sides) for sides in self.pixels]


def pads_of(
    node: OnnxNode, x: Value, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> Pads:
    """The node's padding, automatic or not."""
    sizes = tuple(size for size in x.shape[:-1] if isinstance(size, int))
    auto = node.get("auto_pad", "NOTSET")
    pixels: Any = ((0, 0),) * len(sizes)
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        sides = tuple(
            Window.over(size, kernel[axis], stride[axis], "same", dilation[axis]).pads
            for axis, size in enumerate(sizes)
        )
        pixels = "same" if auto == "SAME_UPPER" else tuple(pair[::-1] for pair in sides if pair is not None)
    elif auto == "NOTSET":
        pads = node.get("pads") or [0] * (2 * len(sizes))
        if len(pads) != 2 * len(sizes):
            raise RefusedError(f"its pads {pads} do not fit an input of {len(sizes)} axes")
        pixels = tuple(zip(pads[: len(sizes)], pads[len(sizes) :], strict=True))
    elif auto != "VALID":
        raise RefusedError(f"its auto_pad is {auto}")
    if not isinstance(pixels, str) and min(map(min, pixels)) < 0:
        raise RefusedError(f"its pads {node.get('pads')} cut pixels off")
    return Pads(kernel, stride, dilation, sizes, pixels)


def sizes_of(node: OnnxNode, attribute: str, rank: int, default: int = 1) -> tuple[int, ...]:
    """An attribute of one number an axis: of an image height and width."""
    found = tuple(node.get(attribute) or (default,) * rank)
    if len(found) != rank:
        raise RefusedError(f"its {attribute} has {len(found)} sizes: expected {rank}")
    return found


def written(sizes: Sequence[int]) -> Any:
    """One number where all are equal."""
    return sizes[0] if len(set(sizes)) == 1 else list(sizes)


def of_rank(build: Build) -> Value:
    """The node's input with its channels behind the batch: a sequence, an image or a volume."""
    count = len(build.viewed().axes)
    if count == 4:
        return build.image()
    if count not in (3, 5):
        raise RefusedError(f"it reads a tensor of rank {count}: expected a sequence, an image or a volume")
    return build.ordered(f"nc{LETTERS[count - 1][:-1]}")
