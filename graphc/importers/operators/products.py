"""Matrix products of two values, or of one with a constant on either side."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from graphc.importers.flat import LETTERS, Value
from graphc.importers.onnx_graph import OnnxNode, RefusedError
from graphc.importers.operators.dense import multiplied
from graphc.importers.operators.handler import Build
from graphc.importers.views import BATCH, folded, lay_out, renamed, turned, view_of
from graphc.types import Array

EQUATION = re.compile(r"([A-Za-z]+),([A-Za-z]+)->([A-Za-z]+)")


def matmul(build: Build, node: OnnxNode) -> None:
    """A layer that multiplies channels, where one factor is constant; else the product of two tensors."""
    if build.is_constant(1):
        weights = _matrix(build, 1)
        build.give(multiplied(build, build.viewed(), {"weights": weights}))
    elif build.is_constant(0):
        weights, x = _matrix(build, 0), build.viewed(1)
        swap = [*range(len(x.axes) - 2), len(x.axes) - 1, len(x.axes) - 2]
        build.give(turned(build, multiplied(build, turned(build, x, swap), {"weights": weights.T}), swap))
    else:
        build.give(_of_values(build))


def _of_values(build: Build) -> Value:
    """Of two tensors; examples that are joined with another axis, as PyTorch's heads are, are an axis of their own for
    it."""
    one, other = build.viewed(0), build.viewed(1)
    joined = [_joined(build, value) for value in (one, other)]
    if joined[0] is None or joined[0] != joined[1] or joined[0] >= len(one.axes) - 2:
        return _product(build, build.value(0), build.value(1))
    at = joined[0]
    made = _product(build, *(lay_out(build, _apart(build, value, at)) for value in (one, other)))
    view = view_of(made, build.batch)
    _, *axes = view.axes
    axes[at] = (BATCH, *axes[at])
    return renamed(replace(made, view=replace(view, axes=tuple(axes))))


def _joined(build: Build, value: Value) -> int | None:
    """The axis that holds the examples and something else."""
    axes = view_of(value, build.batch).axes
    return next((at for at, axis in enumerate(axes) if BATCH in axis and axis != (BATCH,)), None)


def _apart(build: Build, value: Value, at: int) -> Value:
    """The value with its examples first, and the others of their axis where they were."""
    view = view_of(value, build.batch)
    if build.batch > 1 and view.axes[at][0] != BATCH:
        raise RefusedError("its examples are joined with other axes, and do not come first")
    rest = tuple(factor for factor in view.axes[at] if factor != BATCH)
    axes = ((BATCH,), *view.axes[:at], rest, *view.axes[at + 1 :])
    return replace(value, flat=None, view=replace(view, axes=axes))


def _matrix(build: Build, index: int) -> Array:
    weights = build.constant(index, "weights")
    rank = len(build.viewed(1 - index).axes)
    if weights.ndim < 2 or weights.ndim > rank or math.prod(weights.shape[:-2]) != 1:
        raise RefusedError(f"its weights have the shape {list(weights.shape)}: expected a matrix")
    return weights.reshape(weights.shape[-2:])


def _product(build: Build, one: Value, other: Value) -> Value:
    """Of two tensors with the batch first and as many axes."""
    if len(one.axes) != len(other.axes):
        raise RefusedError("it multiplies tensors of several ranks")
    (one, turned_one), (other, turned_other) = _as_matrices(build, one), _as_matrices(build, other)
    arguments = {"transpose_a": turned_one or None, "transpose_b": turned_other or None}
    return build.layer("matmul", [one, other], arguments, axes=f"n{LETTERS[len(one.shape)]}")


def _as_matrices(build: Build, x: Value) -> tuple[Value, bool]:
    """A tensor as it stands in the file, and whether its last two axes are to be exchanged for that."""
    own = f"n{LETTERS[len(x.shape)]}"
    if x.flat is None and x.axes == own[:-2] + own[:-3:-1] and len(own) > 2:
        return x, True
    if x.flat is not None or x.axes != own:
        x = lay_out(build, x)
    if x.axes != own or len(own) < 3:
        raise RefusedError("it multiplies along examples")
    return x, False


def einsum(build: Build, node: OnnxNode) -> None:
    """Of two factors, as a product of matrices between others that change the order of axes."""
    text = node.get("equation", "").replace(" ", "")
    found = EQUATION.fullmatch(text)
    if found is None or any(len(set(part)) < len(part) for part in found.groups()):
        raise RefusedError(f"its equation is {text}: expected two factors, each with every letter once, and a result")
    one, other, result = found.groups()
    if set(result) - set(one) - set(other) or (set(one) ^ set(other)) - set(result):
        raise RefusedError(f"its equation is {text}: expected no sums of one factor alone")
    if build.is_constant(0) and not build.is_constant(1):
        value = _with_constant(build, 1, other, one, result)
    elif build.is_constant(1):
        value = _with_constant(build, 0, one, other, result)
    else:
        value = _of_two(build, one, other, result)
    build.give(value)


def _with_constant(build: Build, index: int, theirs: str, constant: str, result: str) -> Value:
    x, weights = build.viewed(index), build.constant(1 - index, "factors")
    summed = [letter for letter in theirs if letter in constant]
    free = [letter for letter in theirs if letter not in constant]
    new = [letter for letter in constant if letter not in theirs]
    if set(summed) & set(result) or not summed or len(theirs) != len(x.axes) or len(constant) != weights.ndim:
        raise RefusedError("its constant is multiplied number by number along an axis")
    sizes = _sizes({theirs: view_of(x, build.batch).shape, constant: weights.shape})
    matrix = weights.transpose([constant.index(letter) for letter in (*summed, *new)])
    matrix = matrix.reshape(math.prod(sizes[letter] for letter in summed), -1)
    x = turned(build, x, [theirs.index(letter) for letter in (*free, *summed)])
    x = _folded(build, x, [*(sizes[letter] for letter in free), matrix.shape[0]])
    x = multiplied(build, x, {"weights": matrix})
    x = _folded(build, x, [sizes[letter] for letter in (*free, *new)])
    order = [*free, *new]
    return turned(build, x, [order.index(letter) for letter in result])


def _of_two(build: Build, one: str, other: str, result: str) -> Value:
    first, second = build.viewed(0), build.viewed(1)
    if (len(one), len(other)) != (len(first.axes), len(second.axes)):
        raise RefusedError("its equation does not fit its factors")
    sizes = _sizes({one: view_of(first, build.batch).shape, other: view_of(second, build.batch).shape})
    both = [letter for letter in one if letter in other and letter in result]
    both.sort(key=lambda letter: first.axes[one.index(letter)] != "n")
    summed = [letter for letter in one if letter in other and letter not in result]
    rows, columns = [x for x in one if x not in other], [x for x in other if x not in one]
    lead = [sizes[letter] for letter in both]
    counts = [math.prod(sizes[letter] for letter in letters) for letters in (rows, summed, columns)]
    first = turned(build, first, [one.index(letter) for letter in (*both, *rows, *summed)])
    second = turned(build, second, [other.index(letter) for letter in (*both, *summed, *columns)])
    first, second = _folded(build, first, [*lead, *counts[:2]]), _folded(build, second, [*lead, *counts[1:]])
    made = _product(build, *(each if each.view is None else lay_out(build, each) for each in (first, second)))
    order = [*both, *rows, *columns]
    made = _folded(build, made, [sizes[letter] for letter in order])
    return turned(build, made, [order.index(letter) for letter in result])


def _sizes(shapes: Mapping[str, Sequence[int]]) -> dict[str, int]:
    return {letter: size for letters, shape in shapes.items() for letter, size in zip(letters, shape, strict=True)}


def _folded(build: Build, x: Value, shape: Sequence[int]) -> Value:
    found = folded(build, x, shape)
    if found is None:
        raise RefusedError(f"its factor would be {list(shape)}")
    return found
