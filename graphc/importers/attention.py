"""Attention as exporters write it, in products, reshapes and transposes: recognized as multi_head_attention.

Which exporter wrote it, and how, is not asked. From a softmax the layers before and behind it are followed to the dense
layers on every side; the numbers of their outputs are put through the layers between, as indices, and say which column
is which number of which head.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from graphc.dims import is_image
from graphc.importers.flat import FlatLayer, FlatNet
from graphc.importers.float32 import short
from graphc.layers.crop import along
from graphc.types import Array

LARGEST = 6 * 2**20
"""Numbers of a value that is followed."""
FOLLOWED, AGAIN = 2**27, 64
"""Numbers of all values that are followed, through all layers, and as many times those of all variables."""
SHARES, PRODUCT, DENSE, FACTOR = "softmax", "matmul", "fully_connected", "scale"
"""What attention is made of, besides what moves numbers."""


def _sliced(values: Array, layer: FlatLayer) -> Array:
    axis = along(values.shape, layer.arguments.get("axis", "channels"), layer.kind)
    part = slice(layer.arguments.get("start", 0), layer.arguments.get("stop"))
    return values[(*(slice(None),) * axis, part)]


MOVES: Mapping[str, Callable[[Array, FlatLayer], Array]] = {
    "reshape": lambda values, layer: values.reshape(layer.shape),
    "flatten": lambda values, layer: values.reshape(layer.shape),
    "transpose": lambda values, layer: values.transpose(layer.arguments["axes"]),
    "slice": _sliced,
}
"""Kinds that move numbers, and what becomes of an array of one example's."""


@dataclass(frozen=True, slots=True)
class Followed:
    """Where the numbers of a value come from."""

    source: FlatLayer
    indices: Array
    """The value's shape: of each number its place in the source's output, counted through."""
    factor: float
    """What they are multiplied by on the way."""


@dataclass(frozen=True, slots=True)
class Heads:
    """A dense layer's output as heads, or the input of one."""

    layer: FlatLayer
    columns: Array
    """[heads, numbers of a head]: which column of the dense layer each is."""
    factor: float


def join_attention(net: FlatNet) -> None:
    """Every softmax of products between dense layers, with all of them, as one layer."""
    by_name = {layer.name: layer for layer in net.layers}
    readers = net.readers()
    left = [FOLLOWED + AGAIN * sum(array.size for layer in net.layers for array in layer.params.values())]
    instead = {}
    for layer in net.layers:
        if layer.kind == SHARES and is_image(layer.shape):
            found = _attention(layer, by_name, readers, left)
            if found is not None:
                instead[found.name] = found
    net.layers = [instead.get(layer.name, layer) for layer in net.layers]
    if instead:
        _drop_unread(net)


def _attention(
    softmax: FlatLayer, by_name: Mapping[str, FlatLayer], readers: Mapping[str, list[FlatLayer]], left: list[int]
) -> FlatLayer | None:
    """The layer that a softmax belongs to, in place of its last dense layer; None where one is not as it should be.
    `left`: how many numbers may still be followed."""
    scores, scale = _before(softmax, by_name)
    weighted = _only(softmax, readers)
    if scores is None or scores.kind != PRODUCT or weighted is None or weighted.kind != PRODUCT:
        return None
    if weighted.inputs[0] != softmax.name or softmax.arguments.get("axis", -1) not in (-1, 2, "channels"):
        return None
    turned = scores.arguments.get("transpose_a", False), not scores.arguments.get("transpose_b", False)
    query = _heads(scores.inputs[0], by_name, turned[0], left)
    key = _heads(scores.inputs[1], by_name, turned[1], left)
    value = _heads(weighted.inputs[1], by_name, bool(weighted.arguments.get("transpose_b", False)), left)
    output = _output(weighted, by_name, readers, left)
    if query is None or key is None or value is None or output is None:
        return None
    if key.layer.inputs != value.layer.inputs or len({each.columns.shape for each in (query, key, value, output)}) > 1:
        return None
    if (
        weighted.arguments.get("transpose_a", False)
        or value.factor != 1
        or output.layer.shape != (*query.layer.shape[:1], query.layer.params["weights"].shape[0])
    ):
        return None
    return _made(query, key, value, output, scale * query.factor * key.factor)


def _made(query: Heads, key: Heads, value: Heads, output: Heads, scale: float) -> FlatLayer:
    heads, size = query.columns.shape
    channels = output.layer.params["weights"].shape[1]
    more = scale * math.sqrt(size)
    more = 1.0 if math.isclose(more, 1, rel_tol=1e-6) else more
    parts = {"query": (query, more), "key": (key, 1.0), "value": (value, 1.0)}
    biased = any("biases" in each.layer.params for each in (query, key, value, output))
    params: dict[str, Array] = {}
    for name, (part, factor) in parts.items():
        order = part.columns.reshape(-1)
        params[f"{name}_weights"] = part.layer.params["weights"][:, order] * np.float32(factor)
        if biased:
            biases = part.layer.params.get("biases")
            params[f"{name}_biases"] = (np.zeros(len(order)) if biases is None else biases[order]) * np.float32(factor)
    params["output_weights"] = output.layer.params["weights"][output.columns.reshape(-1)]
    if biased:
        params["output_biases"] = output.layer.params.get("biases", np.zeros(channels, np.float32))
    same = query.layer.inputs == key.layer.inputs
    arguments = {"heads": heads, "bias": biased, **({} if heads * size == channels else {"key_size": size})}
    inputs = query.layer.inputs if same else (*query.layer.inputs, *key.layer.inputs)
    last = output.layer
    return FlatLayer(last.name, "multi_head_attention", arguments, inputs, params, last.shape, last.node)


def _only(layer: FlatLayer, readers: Mapping[str, list[FlatLayer]]) -> FlatLayer | None:
    """The one layer that reads this one."""
    found = readers.get(layer.name, [])
    return found[0] if len(found) == 1 else None


def _before(layer: FlatLayer, by_name: Mapping[str, FlatLayer]) -> tuple[FlatLayer | None, float]:
    """What a layer reads, behind factors, and their product."""
    found, factor = by_name.get(layer.inputs[0]), 1.0
    while found is not None and found.kind == FACTOR:
        factor *= found.arguments["factor"]
        found = by_name.get(found.inputs[0])
    return found, factor


def _heads(name: str, by_name: Mapping[str, FlatLayer], turned: bool, left: list[int]) -> Heads | None:
    """A value [heads, length, size] ([heads, size, length], if turned) as columns of the dense layer that it is of."""
    found = _followed(name, by_name, left, DENSE)
    if found is None or len(found.source.shape) != 2 or found.indices.ndim != 3:
        return None
    indices = found.indices.swapaxes(1, 2) if turned else found.indices
    columns = _columns(indices, int(found.source.shape[1]))
    return None if columns is None else Heads(found.source, columns, found.factor)


def _columns(indices: Array, width: int) -> Array | None:
    """[heads, size] of indices [heads, length, size] into an output length×width, where position is position."""
    positions, columns = np.divmod(indices, width)
    fits = (positions == np.arange(indices.shape[1])[:, None]).all() and (columns == columns[:, :1]).all()
    return columns[:, 0] if fits else None


def _output(
    weighted: FlatLayer, by_name: Mapping[str, FlatLayer], readers: Mapping[str, list[FlatLayer]], left: list[int]
) -> Heads | None:
    """The dense layer that reads the heads side by side, and of each number of a head the row of its weights."""
    last = _only(weighted, readers)
    while last is not None and last.kind in MOVES:
        last = _only(last, readers)
    found = None if last is None or last.kind != DENSE else _followed(last.inputs[0], by_name, left, PRODUCT)
    if last is None or found is None or found.source is not weighted or found.indices.ndim != 2 or found.factor != 1:
        return None
    heads, length, size = (int(each) for each in weighted.shape)
    head, rest = np.divmod(found.indices, length * size)
    position, number = np.divmod(rest, size)
    place = head * size + number
    fits = found.indices.shape == (length, heads * size) and (position == np.arange(length)[:, None]).all()
    if not fits or (place != place[:1]).any():
        return None
    return Heads(last, np.argsort(place[0]).reshape(heads, size), 1.0)


def _followed(name: str, by_name: Mapping[str, FlatLayer], left: list[int], kind: str) -> Followed | None:
    """A value of a layer of this kind, followed back through layers that move numbers, or multiply all by one number;
    None of another kind, or where it would be more numbers than are `left`."""
    chain: list[FlatLayer] = []
    factor = 1.0
    layer = by_name.get(name)
    while layer is not None and (layer.kind in MOVES or layer.kind == FACTOR):
        if layer.kind == FACTOR:
            factor *= layer.arguments["factor"]
        else:
            chain.append(layer)
        layer = by_name.get(layer.inputs[0])
    if layer is None or layer.kind != kind or (count := math.prod(map(int, layer.shape))) > LARGEST:
        return None
    left[0] -= count * (1 + len(chain))
    if left[0] < 0:
        return None
    indices = np.arange(count, dtype=np.int32).reshape(layer.shape)
    for moved in reversed(chain):
        indices = MOVES[moved.kind](indices, moved)
    return Followed(layer, indices, short(factor))


def _drop_unread(net: FlatNet) -> None:
    """Remove layers that nobody reads any more."""
    needed = set(net.outputs.values())
    kept = []
    for layer in reversed(net.layers):
        if layer.name in needed:
            needed.update(layer.inputs)
            kept.append(layer)
    net.layers = kept[::-1]
