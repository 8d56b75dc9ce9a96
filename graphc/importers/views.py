"""Tensors of a file whose axes are not a layer's axes: reshaped and transposed, with no layer made of that yet.

The numbers of a layer are cut into factors, and every axis of the tensor is a product of some of them: what einops
writes as `l (h d) -> h l d`. A Reshape joins and cuts factors, a Transpose exchanges axes; both change nothing but the
`View`. Layers are made when an operator needs the numbers in an order of its own (`lay_out`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from graphc.importers.flat import LETTERS, Value
from graphc.importers.onnx_graph import RefusedError

if TYPE_CHECKING:
    from graphc.importers.operators.handler import Build

BATCH = 0
"""The factor that is the number of examples."""
MOST_AXES = 6
"""Of an example, as the layers reshape and transpose have them."""


@dataclass(frozen=True, slots=True)
class View:
    """Which numbers of a layer lie along which axis of a tensor."""

    ours: tuple[int, ...]
    """The factors of one example's numbers, in the layer's order."""
    axes: tuple[tuple[int, ...], ...]
    """Of each axis of the tensor its factors, in their order; none of an axis of size 1."""
    sizes: Mapping[int, int]
    """Of each factor; but for the batch larger than 1."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's."""
        return tuple(math.prod(self.sizes[factor] for factor in axis) for axis in self.axes)

    def transposed(self, perm: Sequence[int]) -> View:
        return replace(self, axes=tuple(self.axes[axis] for axis in perm))

    def normal(self) -> View:
        """With as few factors as can be, numbered in the layer's order: equal views are equal objects."""
        behind = {one: other for axis in self.axes for one, other in pairwise(axis)}
        joined: dict[int, int] = {}
        sizes = {BATCH: self.sizes[BATCH]}
        before = -1
        for factor in self.ours:
            if before in joined and behind.get(before) == factor:
                joined[factor] = joined[before]
            else:
                joined[factor] = len(sizes)
            sizes[joined[factor]] = sizes.get(joined[factor], 1) * self.sizes[factor]
            before = factor
        joined[BATCH] = BATCH
        axes = tuple(tuple(dict.fromkeys(joined[factor] for factor in axis)) for axis in self.axes)
        return View(tuple(number for number in sizes if number != BATCH), axes, sizes)

    def reshaped(self, shape: Sequence[int]) -> View | None:
        """The same numbers as a tensor of this shape; None where that cuts no factors."""
        batch = self.sizes[BATCH]
        row = [factor for axis in self.axes for factor in axis]
        alone = (BATCH,) in self.axes
        place = row.index(BATCH)
        moving = [factor for factor in row if factor != BATCH] if batch == 1 else row
        found = _regrouped(moving, self.sizes, shape)
        if found is None:
            return None
        groups, pieces, sizes = found
        ours = tuple(piece for factor in self.ours for piece in pieces.get(factor, (factor,)))
        if batch == 1:
            before = sum(len(pieces.get(factor, (factor,))) for factor in row[:place])
            groups = _with_batch(groups, before, alone)
        return View(ours, tuple(groups), sizes)


def _regrouped(
    row: Sequence[int], known: Mapping[int, int], shape: Sequence[int]
) -> tuple[list[tuple[int, ...]], dict[int, tuple[int, ...]], dict[int, int]] | None:
    """Factors in a row as axes of these sizes; of each that was cut its pieces; and the sizes of all."""
    sizes, waiting = dict(known), list(row)
    pieces: dict[int, tuple[int, ...]] = {}
    groups: list[tuple[int, ...]] = []
    for whole in shape:
        size, group = whole, list[int]()
        while size > 1:
            if not waiting:
                return None
            factor = waiting.pop(0)
            if sizes[factor] > size:
                if sizes[factor] % size or factor == BATCH:
                    return None
                first, rest = max(sizes) + 1, max(sizes) + 2
                sizes[first], sizes[rest] = size, sizes[factor] // size
                _cut(pieces, factor, (first, rest))
                waiting.insert(0, rest)
                factor = first
            if size % sizes[factor]:
                return None
            group.append(factor)
            size //= sizes[factor]
        groups.append(tuple(group))
    return (groups, pieces, sizes) if not waiting and 0 not in shape else None


def _cut(pieces: dict[int, tuple[int, ...]], factor: int, two: tuple[int, int]) -> None:
    """Note that a factor, or a piece of one, became two."""
    for whole, parts in pieces.items():
        if factor in parts:
            at = parts.index(factor)
            pieces[whole] = (*parts[:at], *two, *parts[at + 1 :])
            return
    pieces[factor] = two


def _with_batch(groups: Sequence[tuple[int, ...]], before: int, alone: bool) -> list[tuple[int, ...]]:
    """The groups with a batch of one example behind so many factors: on an axis of its own, if one is there, else in
    front of the axis that begins there, or behind the first of two."""
    found = list(groups)
    starts = [sum(map(len, groups[:index])) for index in range(len(groups))]
    free = [index for index, group in enumerate(groups) if not group]
    fitting = [index for index in free if starts[index] == before and alone]
    if fitting or free:
        found[(fitting or free)[0]] = (BATCH,)
        return found
    inside = [i for i, group in enumerate(groups) if starts[i] < before < starts[i] + len(group)]
    ends = [i for i, group in enumerate(groups) if starts[i] + len(group) == before]
    begins = [i for i in range(len(groups)) if starts[i] == before]
    index = (inside or (ends if len(groups) == 2 else []) or begins or ends or [0])[0]
    at = before - starts[index]
    found[index] = (*groups[index][:at], BATCH, *groups[index][at:])
    return found


def view_of(value: Value, batch: int) -> View:
    """The view that a value has, or that its axes are."""
    if value.view is not None:
        return value.view
    sizes = {BATCH: batch}
    by_letter: dict[str, tuple[int, ...]] = {"n": (BATCH,)}
    shape = value.flat or value.shape
    for letter, size in zip(LETTERS[len(shape)], shape, strict=True):
        assert isinstance(size, int)
        if size > 1:
            sizes[len(sizes)] = size
        by_letter[letter] = (len(sizes) - 1,) if size > 1 else ()
    ours = tuple(number for number in sizes if number != BATCH)
    axes = [by_letter[letter] for letter in value.axes]
    if value.flat:
        axes = [(BATCH,), tuple(number for letter in _first(len(shape)) for number in by_letter[letter])]
    return View(ours, tuple(axes), sizes)


def _first(rank: int) -> str:
    """The letters of an example of this rank, its channels first."""
    return f"c{LETTERS[rank][:-1]}"


def as_plain(value: Value) -> Value | None:
    """The value by letters alone, where every axis of the tensor is one of the layer's; else None."""
    if value.view is None:
        return value
    view = value.view.normal()
    letters = _letters(view, value.shape)
    return None if letters is None else Value(value.source, value.shape, letters)


def _letters(view: View, shape: Sequence[object]) -> str | None:
    if (BATCH,) not in view.axes or len(view.axes) != len(shape) + 1:
        return None
    of_factor, units, waiting = {BATCH: "n"}, [], list(view.ours)
    for letter, size in zip(LETTERS[len(shape)], shape, strict=True):
        if size == 1:
            units.append(letter)
        elif not waiting or view.sizes[waiting[0]] != size:
            return None
        else:
            of_factor[waiting.pop(0)] = letter
    found = ""
    for axis in view.axes:
        if len(axis) > 1 or (not axis and not units):
            return None
        found += of_factor[axis[0]] if axis else units.pop(0)
    return found


def named(view: View, shape: Sequence[object]) -> str:
    """A letter for each axis of a tensor: n and c where it is the batch, or the layer's channels; else a dot."""
    channels = shape[-1]
    last: list[int] = []
    for factor in reversed(view.ours):
        if math.prod(view.sizes[each] for each in last) == channels:
            break
        last.insert(0, factor)
    return "".join("n" if axis == (BATCH,) else "c" if axis and list(axis) == last else "." for axis in view.axes)


def turned(build: Build, value: Value, perm: Sequence[int]) -> Value:
    """The tensor with its axes in another order."""
    if value.view is None and value.flat is None:
        return replace(value, axes="".join(value.axes[axis] for axis in perm))
    return renamed(replace(value, flat=None, view=view_of(value, build.batch).transposed(perm)))


def folded(build: Build, value: Value, shape: Sequence[int]) -> Value | None:
    """The tensor in another shape, laid out before where its factors are not that shape's; None where it is no view."""
    view = view_of(value, build.batch).reshaped(shape)
    if view is None:
        value = lay_out_rows(build, value)
        view = view_of(value, build.batch).reshaped(shape)
    return None if view is None else renamed(replace(value, flat=None, view=view))


def renamed(value: Value) -> Value:
    """A value with the letters that its view has."""
    if value.view is None:
        return value
    return as_plain(value) or replace(value, axes=named(value.view, value.shape))


def lay_out(build: Build, value: Value, order: Sequence[int] | None = None) -> Value:
    """The value as a layer's, whose axes are the tensor's in this order, the batch left out (none: as they stand), with
    the layers that this takes."""
    view = view_of(value, build.batch).normal()
    if (BATCH,) not in view.axes:
        raise RefusedError("it reads examples joined with other axes")
    at = view.axes.index((BATCH,))
    order = [axis for axis in range(len(view.axes)) if axis != at] if order is None else order
    letters = dict(zip(order, LETTERS[len(order)], strict=True))
    axes = "".join("n" if axis == at else letters[axis] for axis in range(len(view.axes)))
    made = _laid(build, value, view, [view.axes[axis] for axis in order])
    return Value(made.source, made.shape, axes)


def lay_out_rows(build: Build, value: Value) -> Value:
    """The value as a layer's whose axes are the tensor's as they stand, of which one may be joined with the batch."""
    view = view_of(value, build.batch).normal()
    if (BATCH,) in view.axes:
        return lay_out(build, value)
    rows = [tuple(factor for factor in axis if factor != BATCH) for axis in view.axes]
    made = _laid(build, value, view, rows)
    found = View(tuple(factor for axis in rows for factor in axis), view.axes, view.sizes)
    return renamed(Value(made.source, made.shape, "." * len(rows), view=found))


def _laid(build: Build, value: Value, view: View, axes: Sequence[tuple[int, ...]]) -> Value:
    """A layer's value whose axes are made of these factors."""
    shape = [math.prod(view.sizes[factor] for factor in axis) for axis in axes]
    made = Value(value.source, value.shape, "n" + LETTERS[len(value.shape)])
    for kind, arguments in _moves(view, made.shape, [factor for axis in axes for factor in axis], shape):
        made = build.layer(kind, [made], arguments)
    return made


def _moves(
    view: View, shape: Sequence[object], wanted: Sequence[int], new: Sequence[int]
) -> Iterator[tuple[str, dict[str, list[int]]]]:
    """The layers that put factors in another order, and make axes of them."""
    now = list(shape)
    if list(view.ours) != list(wanted):
        apart = [view.sizes[factor] for factor in view.ours]
        if len(apart) > MOST_AXES:
            raise RefusedError(f"it takes numbers apart in {len(apart)} axes: expected at most {MOST_AXES}")
        if apart != now:
            yield "reshape", {"shape": apart}
        perm = [view.ours.index(factor) for factor in wanted]
        yield "transpose", {"axes": perm}
        now = [apart[axis] for axis in perm]
    if now != list(new):
        yield ("flatten", {}) if len(new) == 1 else ("reshape", {"shape": list(new)})
