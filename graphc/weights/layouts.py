"""How other libraries lay out a variable, as forms that can be read and written.

What a variable's axes are its layer says (`ParamSpec.axes`). A form is a reshape and a transposition, so that the same
table reads their files and writes them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from graphc.dims import is_spatial, is_static
from graphc.graph import Plan
from graphc.lazy import np
from graphc.types import Array
from graphc.variables import ParamSpec
from graphc.weights.file import Layout


@dataclass(frozen=True, slots=True)
class Wanted:
    """A variable that a network needs."""

    spec: ParamSpec
    flattened: tuple[int, ...] | None = None
    """Height, width and channels of the image that its layer's input was before it was flattened; of a volume or a
    sequence alike."""


@dataclass(frozen=True, slots=True)
class Form:
    """One way in which a library may hold a variable."""

    shape: tuple[int, ...]
    spread: tuple[int, ...]
    """Their array with its axes taken apart."""
    order: tuple[int, ...]
    """Which of those come where in ours."""

    def to_ours(self, array: Array, shape: tuple[int, ...]) -> Array:
        """Their array, of this form's shape, in our shape; C order."""
        return np.ascontiguousarray(array.reshape(self.spread).transpose(self.order)).reshape(shape)

    def to_theirs(self, array: Array) -> Array:
        """Our array, of the variable's shape, in this form's shape; C order."""
        spread = array.reshape([self.spread[axis] for axis in self.order]).transpose(np.argsort(self.order))
        return np.ascontiguousarray(spread).reshape(self.shape)


def wanted(plan: Plan) -> dict[str, Wanted]:
    """Every variable of a plan by its full name, with the image that was flattened before it, if one was."""
    flattened: dict[str, tuple[int, ...] | None] = {}
    found: dict[str, Wanted] = {}
    for planned in plan.nodes:
        node, inputs = planned.node, plan.input_shapes(planned.node)
        before = flattened.get(node.inputs[0])
        if node.layer.flattens(*inputs):
            shape = inputs[0]
            kept = is_spatial(shape) and is_static(shape)
            flattened[node.name] = shape if kept else None  # type: ignore[assignment]
        elif node.layer.elementwise:
            flattened[node.name] = before
        for local, spec in planned.params.items():
            found[plan.graph.variable(node, local)] = Wanted(spec, before)
    return found


def form_of(want: Wanted, layout: Layout, shape: tuple[int, ...]) -> Form | None:
    """The form in which an array of this shape is the variable; None where it can be none."""
    return next((form for form in forms(want, layout) if form.shape == shape), _channels(want, layout, shape))


def forms(want: Wanted, layout: Layout) -> Iterator[Form]:
    """Every form of a variable, the usual one first. No two have one shape and differ."""
    yield from (_as_oihw if layout == "OIHW" else _as_hwio)(want.spec.axes, want.spec.shape, want.flattened)


def _as_hwio(axes: str, shape: tuple[int, ...], flattened: tuple[int, ...] | None) -> Iterator[Form]:
    whole = tuple(range(len(shape)))
    yield Form(shape, shape, whole)
    *taps, i, o = shape if len(axes) > 1 else (1, 1)
    if axes == "IO":
        yield Form((1, 1, i, o), shape, whole)
        if flattened is not None:
            yield Form((*flattened, o), shape, whole)
    elif axes.endswith("IO"):
        yield Form((math.prod(taps) * i, o), shape, whole)  # a dense layer on a flattened image
        if i == 1:
            groups = (*taps, o, 1)
            yield Form(groups, groups, (*whole[:-2], whole[-1], whole[-2]))  # a depthwise one, as groups
    elif axes.endswith("CM"):
        yield Form((*taps, 1, i * o), shape, whole)  # a grouped one


def _as_oihw(axes: str, shape: tuple[int, ...], flattened: tuple[int, ...] | None) -> Iterator[Form]:
    *taps, first, last = shape if len(axes) > 1 else (1, 1)
    behind = tuple(range(2, len(shape)))
    if axes == "IO":
        if flattened is None:
            yield Form((last, first), (last, first), (1, 0))
            yield Form((last, first, 1, 1), (last, first), (1, 0))
        else:
            *places, c = flattened
            spread = (last, c, *places)
            order = (*range(2, len(spread)), 1, 0)
            yield Form((last, first), spread, order)
            yield Form(spread, spread, order)
    elif axes.endswith(("IO", "OI")):
        theirs = (last, first, *taps)
        yield Form(theirs, theirs, (*behind, 1, 0))
        if axes.endswith("IO"):  # a dense layer on a flattened image
            yield Form((last, first * math.prod(taps)), theirs, (*behind, 1, 0))
    elif axes.endswith("CM"):
        yield Form((first * last, 1, *taps), (first, last, *taps), (*behind, 0, 1))
    elif not axes and len(shape) == 1 and flattened is not None:
        *places, c = flattened
        yield Form(shape, (c, *places), (*range(1, len(flattened)), 0))
    else:
        yield Form(shape, shape, tuple(range(len(shape))))


def _channels(want: Wanted, layout: Layout, shape: tuple[int, ...]) -> Form | None:
    """Numbers for each channel with axes of size 1 beside: C×1×1, 1×C×1×1."""
    if not want.spec.axes and want.flattened is not None and layout == "OIHW":
        return None
    ours = want.spec.shape
    if want.spec.axes not in ("", "O") or len(ours) > 1 or math.prod(shape) != math.prod(ours):
        return None
    return Form(shape, ours, tuple(range(len(ours)))) if sum(size != 1 for size in shape) <= 1 else None
