"""Heights and widths that a file leaves open, left open in the spec too, where one spec is right for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from graphc.importers.flat import FlatNet
from graphc.importers.onnx_graph import OnnxGraph, OnnxInput
from graphc.types import Array

MORE: Mapping[int, Mapping[str, int]] = {1: {"h": 37, "w": 51}, 32: {"h": 64, "w": 32}}
"""What an open size is tried as a multiple of -> pixels more than the usual size, for a second look. Of any size it is
an odd one, which windows that move by 2 pad otherwise than an even one where their padding is `same`."""


@dataclass(frozen=True, slots=True)
class Open:
    """The one image input whose height or width a file leaves open."""

    name: str
    sizes: Mapping[int, tuple[int, ...]]
    """By what they are multiples of: other sizes for a second look, all but the batch, in the file's order."""


def open_input(graph: OnnxGraph, axes: Mapping[str, str], given: Mapping[str, tuple[int, ...]]) -> Open | None:
    """The input whose height or width is open, where the file has just one and nobody gave its size."""
    if len(graph.inputs) != 1 or given:
        return None
    (only,) = graph.inputs
    order = axes.get(only.name, "")
    free = [letter for letter in "hw" if letter in order and not _is_fixed(only, order.index(letter))]
    if len(order) != 4 or not free:
        return None
    sizes = {}
    for multiple, pixels in MORE.items():
        more = {letter: pixels[letter] for letter in free}
        larger = tuple(size + more.get(letter, 0) for size, letter in zip(only.shape, order, strict=True))
        sizes[multiple] = larger[1:]
    return Open(only.name, sizes)


def _is_fixed(given: OnnxInput, axis: int) -> bool:
    return isinstance(given.written[axis], int)


def with_symbols(net: FlatNet, multiple: int, other: tuple[int, ...]) -> dict[str, tuple[int | str, ...]]:
    """The net's input with H and W, or multiples of them, where another size than its own is tried; `other`: those,
    height, width, channels."""
    factor = f"{multiple}*" if multiple > 1 else ""
    return {
        name: (
            batch,
            *(
                size if size == second else f"{factor}{letter}"
                for size, second, letter in zip(sizes, other, "HWC", strict=True)
            ),
        )
        for name, (batch, *sizes) in net.inputs.items()
    }


def same_layers(net: FlatNet, other: FlatNet) -> bool:
    """Whether both nets have the same layers, with arguments that are equal, in the same order."""
    mine, theirs = [_described(net) for net in (net, other)]
    return mine == theirs


def _described(net: FlatNet) -> list[object]:
    return [
        [
            (part.kind, part.name, part.arguments, part.inputs, {n: _brief(a) for n, a in part.params.items()})
            for part in layer.parts
        ]
        for layer in net.layers
    ]


def _brief(array: Array) -> object:
    return array.shape
