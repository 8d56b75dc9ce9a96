"""The graph's inputs as written: the batch, and one example's shape with its symbols."""

from __future__ import annotations

import re
from typing import Any

from graphc.dims import Dim, Formula, format_shape, is_image, whole
from graphc.errors import Place, SpecError, clipped
from graphc.graph import GraphInput
from graphc.spec.entry import check_name
from graphc.spec.expressions import substitute
from graphc.spec.model import ModelSpec
from graphc.spec.source import SpecList

_SIZE = re.compile(r"(?:(\d{1,9})\s*\*\s*)?([A-Za-z_]\w*)")
MAX_SIZE = 2**31 - 1
IMAGE_CHANNELS = (1, 2, 3, 4)
"""Of grey and color images, with alpha."""


def read_inputs(spec: ModelSpec) -> tuple[str | int, tuple[GraphInput, ...]]:
    """The batch, and every graph input with one example's shape."""
    batches: dict[str | int, Place] = {}
    inputs = []
    for name, written in spec.inputs.items():
        place = spec.inputs.places[name]
        check_name(name, spec.inputs.key_places[name])
        shape = substitute(written, spec.vars, place)
        if not isinstance(shape, SpecList) or len(shape) < 2:
            message = f"input {name} expects [batch, size, …], such as [N, 224, 224, 3], got {clipped(shape)}"
            raise SpecError("G119", message, place)
        batch, *sizes = (read_size(size, where) for size, where in zip(shape, shape.places, strict=True))
        batches.setdefault(batch if isinstance(batch, int) else str(batch), shape.places[0])
        inputs.append(GraphInput(name, tuple(sizes), place))
    if not inputs:
        raise SpecError("G119", "a spec needs at least one input", spec.place)
    if len(batches) > 1:
        first, second, *_ = batches
        raise SpecError("G119", f"all inputs share one batch, got {first} and {second}", batches[second])
    return next(iter(batches)), tuple(inputs)


def seems_channels_first(given: GraphInput, batch: str | int) -> str:
    """What is odd about an input with as few rows as an image has channels, and as many channels as columns; empty
    where it is as expected."""
    if not is_image(given.shape):
        return ""
    first, *others = given.shape
    if all(isinstance(size, int) for size in others):
        least = 8 if others[0] == others[1] else 32 if first in (3, 4) else MAX_SIZE
        large = all(isinstance(size, int) and size >= least for size in others)
    else:
        large = not any(isinstance(size, int) for size in others)
    if not large or first not in IMAGE_CHANNELS:
        return ""
    channels_last = ", ".join(map(str, (batch, *others, first)))
    shape = format_shape(given.shape)
    return f"{given.name}: {shape} is height×width×channels and looks like channels first: expected [{channels_last}]"


def read_size(written: Any, place: Place) -> Dim:
    written = whole(written)
    if isinstance(written, int) and not isinstance(written, bool) and 0 < written <= MAX_SIZE:
        return written
    if isinstance(written, str) and (match := _SIZE.fullmatch(written.strip())):
        factor, symbol = match.groups()
        if factor is None or int(factor) > 0:
            return Formula.symbol(symbol) * int(factor or 1)
    expected = f"a whole number from 1 to {MAX_SIZE}, a name, or a multiple such as 16*H"
    raise SpecError("G119", f"a size expects {expected}, got {clipped(written)}", place)
