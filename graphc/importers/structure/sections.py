"""A flat net as a series of layers, residuals and branches.

A layer is a cut where no value passes by it. Between two cuts, what hangs together is one branch, and the later cut has
to be a merge that reads each branch once; what is otherwise stays as it is, read by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from graphc.importers.flat import FlatLayer, FlatNet
from graphc.importers.structure.items import Branches, Item, Leaf, Residual


@dataclass(slots=True)
class _Prefix:
    """What concats begin with: names in a row, a step each."""

    longer: dict[str, _Prefix] = field(default_factory=dict)
    """By one more name."""
    joined: str = ""
    """The concat of just these."""


def nest_concats(net: FlatNet) -> None:
    """A concat of what an earlier one joins, and more, reads the earlier one: DenseNet's."""
    known = _Prefix()
    for layer in net.layers:
        if layer.kind not in JOINS or layer.arguments.get("axis") is not None:
            continue
        whole, place = layer.inputs, known
        joined, length = "", 0
        for number, name in enumerate(whole, 1):
            place = place.longer.setdefault(name, _Prefix())
            if place.joined and 1 < number < len(whole):
                joined, length = place.joined, number
        if joined:
            layer.inputs = (joined, *whole[length:])
        if layer.activation is None:
            place.joined = layer.name


JOINS = frozenset({"concat"})
BOTH_WAYS = frozenset({"add", "multiply"})
"""Merges of which the order of two inputs does not matter."""


MOST_LEVELS = 16
"""Of residuals and branches within each other; what is deeper is read by name."""


def series(layers: Sequence[FlatLayer], start: str, outputs: frozenset[str], level: int = 0) -> tuple[Item, ...]:
    """The layers, in order, that lead from the value `start` to the last one; `outputs` of the net stay in no branch,
    where nobody could name them."""
    last_read = {start: -1}
    for number, layer in enumerate(layers):
        last_read.update(dict.fromkeys((name for name in layer.inputs if name in last_read), number))
        last_read[layer.name] = number
    items: list[Item] = []
    before, first = start, 0
    latest = last_read[start]
    for number, layer in enumerate(layers):
        if latest <= number:
            items += _section(layers[first:number], layer, before, outputs, level)
            before, first = layer.name, number + 1
            latest = last_read[layer.name]
        else:
            latest = max(latest, last_read[layer.name])
    rest = layers[first:]
    return (*items, *_by_name(rest, before))


def _section(
    inner: Sequence[FlatLayer], merge: FlatLayer, start: str, outputs: frozenset[str], level: int
) -> list[Item]:
    """What stands between two cuts, with the second."""
    if not inner and merge.inputs == (start,):
        return [Leaf(merge)]
    merges = merge.layer_class.inputs_at_most is None and not any(layer.name in outputs for layer in inner)
    found = _merged(inner, merge, start, outputs, level + 1) if merges and level < MOST_LEVELS else None
    return [found] if found is not None else _by_name([*inner, merge], start)


def _merged(
    inner: Sequence[FlatLayer], merge: FlatLayer, start: str, outputs: frozenset[str], level: int
) -> Item | None:
    """The section as a residual or branches; None where it is neither."""
    groups = _connected(inner)
    group_of = {each.name: group for group in groups for each in group}
    ends = {name: group_of[name] for name in merge.inputs if name in group_of}
    used = [name for name in merge.inputs if name != start]
    if len(set(used)) != len(used) or len(ends) != len(used) or len(groups) != len(used):
        return None
    if len({id(group) for group in ends.values()}) != len(groups):
        return None
    paths = []
    for name in merge.inputs:
        group = ends.get(name, [])
        if group and group[-1].name != name:
            return None
        paths.append(series(group, start, outputs, level))
    if any(not _reads(path, start) for path in paths):
        return None
    if len(paths) == 2 and merge.kind in BOTH_WAYS:
        short, long = sorted(paths, key=_weight)
        if long:
            return Residual(long, short, merge)
    return Branches(tuple(paths), merge) if len(set(merge.inputs)) == len(merge.inputs) else None


def _reads(path: Sequence[Item], start: str) -> bool:
    """Whether the first item of a path reads what stands before it."""
    return not path or not isinstance(path[0], Leaf) or path[0].inputs in (None, (start,))


def _weight(path: Sequence[Item]) -> tuple[int, int]:
    return len(path), sum(isinstance(item, (Residual, Branches)) for item in path)


def _connected(layers: Sequence[FlatLayer]) -> list[list[FlatLayer]]:
    """The layers in groups that read nothing of each other, in order; the groups in the order of their last layers."""
    number_of = {layer.name: number for number, layer in enumerate(layers)}
    root = list(range(len(layers)))

    def found(number: int) -> int:
        while root[number] != number:
            root[number] = number = root[root[number]]
        return number

    for number, layer in enumerate(layers):
        for name in layer.inputs:
            if name in number_of:
                root[found(number_of[name])] = number
    groups: dict[int, list[FlatLayer]] = {}
    for number, layer in enumerate(layers):
        groups.setdefault(found(number), []).append(layer)
    return [groups[number] for number in sorted(groups)]


def _by_name(layers: Sequence[FlatLayer], start: str) -> list[Item]:
    """Layers as they are; one that reads another value than the one before says so."""
    items: list[Item] = []
    before = start
    for layer in layers:
        items.append(Leaf(layer, None if layer.inputs == (before,) else layer.inputs))
        before = layer.name
    return items


def structured(net: FlatNet) -> tuple[Item, ...]:
    """The whole net."""
    if len(net.inputs) != 1:
        return tuple(_by_name(net.layers, ""))
    return series(net.layers, next(iter(net.inputs)), frozenset(net.outputs.values()))
