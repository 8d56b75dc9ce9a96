"""Windows of ONNX nodes: kernel, stride, dilation and padding as arguments of layers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from graphc.errors import RuleError
from graphc.importers.flat import Value
from graphc.importers.onnx_graph import OnnxNode, RefusedError
from graphc.window import Window


@dataclass(frozen=True, slots=True)
class Pads:
    """Pixels around an image as a file has them, and the windows that read it; which word says so is decided when all
    are known."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    size: tuple[int, int]
    pixels: tuple[tuple[int, int], tuple[int, int]] | str
    """((top, bottom), (left, right)), or `same` where the file says so."""

    def is_said_by(self, word: str) -> bool:
        """Whether same, valid or same_fixed is this padding, for images of this size."""
        if isinstance(self.pixels, str):
            return word == self.pixels
        return all(self._along(word, axis) == self.pixels[axis] for axis in (0, 1))

    def is_free(self) -> bool:
        """Whether every word says it, for images of every size."""
        return self.kernel == (1, 1) and self.pixels in (((0, 0), (0, 0)), "same")

    def _along(self, word: str, axis: int) -> tuple[int, int] | None:
        size, kernel, stride = self.size[axis], self.kernel[axis], self.stride[axis]
        with suppress(RuleError):  # a window larger than the image without padding
            return Window.over(size, kernel, stride, word, self.dilation[axis]).pads
        return None

    def inside(self, border: Sequence[Sequence[int]]) -> Pads:
        """The same windows on an image before it got this border, [[top, bottom], [left, right]]."""
        assert not isinstance(self.pixels, str)
        rows, columns = ((own[0] + more[0], own[1] + more[1]) for own, more in zip(self.pixels, border, strict=True))
        size = self.size[0] - sum(border[0]), self.size[1] - sum(border[1])
        return replace(self, size=size, pixels=(rows, columns))

    def explicit(self) -> Any:
        """In pixels: one number, [vertical, horizontal] or [[top, bottom], [left, right]]."""
        assert not isinstance(self.pixels, str)
        (top, bottom), (left, right) = self.pixels
        if top == bottom and left == right:
            return top if top == left else [top, left]
        return [[top, bottom], [left, right]]


def pads_of(
    node: OnnxNode, x: Value, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]
) -> Pads:
    """The node's padding, automatic or not."""
    height, width, _ = x.shape
    assert isinstance(height, int)
    assert isinstance(width, int)
    auto = node.get("auto_pad", "NOTSET")
    words = {"SAME_UPPER": "same", "SAME_LOWER": "same"}
    pixels: Any = ((0, 0), (0, 0))
    if auto in words:
        sides = tuple(
            Window.over(size, kernel[axis], stride[axis], "same", dilation[axis]).pads
            for axis, size in enumerate((height, width))
        )
        pixels = "same" if auto == "SAME_UPPER" else tuple(pair[::-1] for pair in sides if pair is not None)
    elif auto == "NOTSET":
        top, left, bottom, right = node.get("pads") or (0, 0, 0, 0)
        pixels = ((top, bottom), (left, right))
    elif auto != "VALID":
        raise RefusedError(f"its auto_pad is {auto}")
    if not isinstance(pixels, str) and min(map(min, pixels)) < 0:
        raise RefusedError(f"its pads {node.get('pads')} cut pixels off")
    return Pads(kernel, stride, dilation, (height, width), pixels)


def pair(node: OnnxNode, attribute: str, default: int = 1) -> tuple[int, int]:
    """An attribute of two numbers, height and width."""
    found = tuple(node.get(attribute) or (default, default))
    if len(found) != 2:
        raise RefusedError(f"its {attribute} has {len(found)} sizes: expected an image's two")
    return found[0], found[1]


def written_pair(sizes: tuple[int, int]) -> Any:
    """One number where both are equal."""
    return sizes[0] if sizes[0] == sizes[1] else list(sizes)
