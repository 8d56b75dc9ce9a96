"""Which `like` would give the inputs of a merge one size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from graphc.dims import Dim, Shape, bounds, growth, is_image
from graphc.graph import Node
from graphc.layers.base import Layer


def size_hint(node: Node, inputs: Sequence[Shape], layers: Mapping[str, Layer]) -> str | None:
    """A sentence for a layer that would read images of one size, and reads others; None where that is not it."""
    images = [(name, shape) for name, shape in zip(node.inputs, inputs, strict=True) if is_image(shape)]
    for (one, a), (other, b) in combinations(images, 2):
        if any(_differ(x, y) for x, y in zip(a[:2], b[:2], strict=True)):
            return _with_one_size(one, a, other, b, layers)
    return None


def _differ(one: Dim, other: Dim) -> bool:
    return one != other and 1 not in (one, other)


def _with_one_size(one: str, a: Shape, other: str, b: Shape, layers: Mapping[str, Layer]) -> str:
    for name, kept in ((other, one), (one, other)):
        if name in layers and "like" in type(layers[name]).model_fields:
            return f"like: {kept} on {name} gives it the size of {kept}"
    more = [bounds(y - x) for x, y in zip(a[:2], b[:2], strict=True)]
    if all(map(_of_one_scale, a[:2], b[:2])):
        if all(least >= 0 for least, _ in more):
            return f"crop: {{inputs: {other}, like: {one}}} cuts it to the size of {one}"
        if all(most <= 0 for _, most in more):
            return f"crop: {{inputs: {one}, like: {other}}} cuts it to the size of {other}"
    return f"resize: {{inputs: {other}, like: {one}}} gives it the size of {one}"


def _of_one_scale(one: Dim, other: Dim) -> bool:
    """Whether they differ by some pixels, not by a factor."""
    if isinstance(one, int) and isinstance(other, int):
        return max(one, other) < 2 * min(one, other)
    return growth(one) == growth(other)
