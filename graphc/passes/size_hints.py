"""Which `like` would give the inputs of a merge one size."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

from graphc.dims import Dim, Shape, bounds, growth, is_image
from graphc.errors import RuleError
from graphc.graph import Node

OTHERWISE = ("scale", "size", "cut")
"""What `like` takes the place of."""


def size_hint(node: Node, nodes: Mapping[str, Node], shapes: Mapping[str, Shape]) -> str | None:
    """A sentence for a layer that would read images of one size, and reads others; None where that is not it.

    `nodes` are the graph's by name, `shapes` those of all values above the layer.
    """
    images = {shapes[name][:2]: (name, shapes[name]) for name in reversed(node.inputs) if is_image(shapes[name])}
    for (one, a), (other, b) in combinations(list(images.values())[::-1], 2):
        if any(_differ(x, y) for x, y in zip(a[:2], b[:2], strict=True)):
            for name, kept in ((other, one), (one, other)):
                if name in nodes and _may_be_like(nodes[name], kept, shapes):
                    return f"like: {kept} on {name} gives it the size of {kept}"
            return _with_one_size(one, a, other, b)
    return None


def _may_be_like(node: Node, kept: str, shapes: Mapping[str, Shape]) -> bool:
    """Whether `like: kept` on the layer would give it that size."""
    fields = type(node.layer).model_fields
    if "like" not in fields:
        return False
    layer = node.layer.model_copy(update={"like": kept, **{name: None for name in OTHERWISE if name in fields}})
    try:
        return layer.infer_shape(shapes[node.inputs[0]], shapes[kept])[:2] == shapes[kept][:2]
    except RuleError:
        return False


def _differ(one: Dim, other: Dim) -> bool:
    return one != other and 1 not in (one, other)


def _with_one_size(one: str, a: Shape, other: str, b: Shape) -> str:
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
