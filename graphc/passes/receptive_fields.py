"""LayerGraph, shapes -> which part of the graph's inputs every value can see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphc.dims import Shape, is_spatial, spatial_axes
from graphc.errors import RuleError, SpecError, Warn
from graphc.graph import LayerGraph, Node
from graphc.passes.infer_shapes import at_node
from graphc.receptive_field import HERE, Reach, ReceptiveField

Seen = dict[str, ReceptiveField | None]
"""Graph input name -> what is seen of it; None where all of it is."""
MOST_SEEN = 500_000
"""Fields of single inputs, counted over all layers that change or join them: 50,000 layers may see ten inputs each."""


def receptive_fields(graph: LayerGraph, shapes: Mapping[str, Shape]) -> tuple[dict[str, Seen], list[Warn]]:
    """What every value sees, by node name, and a warning for each merge of paths that are not aligned."""
    seen: dict[str, Seen] = {each.name: {each.name: _itself(each.shape)} for each in graph.inputs}
    warnings: list[Warn] = []
    counted = 0
    windows = 0
    for node in graph.nodes:
        sources = node.inputs[: node.layer.reaches] if node.layer.follows is None else node.inputs[:-1]
        counted += sum(len(seen[source]) for source in sources)
        if counted > MOST_SEEN:
            many = f"{len(graph.inputs):,} inputs are too many for so many layers"
            message = f"{node.name}: there are more than {MOST_SEEN:,} receptive fields up to here: {many}"
            raise SpecError("G209", message, node.place)
        if node.layer.sees_nothing:
            seen[node.name] = {}
            continue
        read = [shapes[source] for source in node.inputs]
        fields = [
            dict.fromkeys(seen[source]) if everything else seen[source]
            for source, everything in zip(sources, node.layer.sees_all(*read), strict=False)
        ]
        try:
            seen[node.name] = _seen_through(node, read, fields)
        except RuleError as error:
            raise at_node(node, error, read) from None
        if len(fields) > 1:
            warnings.extend(_misaligned(node, fields))
        windows += sum(axis.period - 1 for field in seen[node.name].values() if field for axis in field.axes)
        if windows > MOST_SEEN:
            message = f"{node.name}: layers up to here see inputs in more than {MOST_SEEN:,} different ways"
            raise SpecError("G209", message, node.place)
    return seen, warnings


def _seen_through(node: Node, read: Sequence[Shape], fields: Sequence[Seen]) -> Seen:
    """What a layer sees that reads these shapes, through which these fields are seen."""
    reaches = node.layer.reach(*read)
    merged: Seen = {}
    for each in fields:
        for name, field in each.items():
            merged[name] = _join(merged[name], field) if name in merged else field
    return {name: _through(field, reaches) for name, field in merged.items()}


def _itself(shape: Shape) -> ReceptiveField | None:
    """What an input sees of itself; None where it has no positions."""
    return ReceptiveField((HERE,) * (len(shape) - 1)) if is_spatial(shape) else None


def _through(field: ReceptiveField | None, reaches: tuple[Reach, ...]) -> ReceptiveField | None:
    """The field of a layer's output; None where its positions are no longer those of the input."""
    if field is None or len(field.axes) != len(reaches):
        return None
    if all(reach is HERE for reach in reaches):
        return field
    return ReceptiveField(tuple([axis.then(reach) for axis, reach in zip(field.axes, reaches, strict=True)]))


def _join(one: ReceptiveField | None, other: ReceptiveField | None) -> ReceptiveField | None:
    if one is None or other is None or len(one.axes) != len(other.axes):
        return None
    if one == other:
        return one
    return ReceptiveField(tuple(a.join(b) for a, b in zip(one.axes, other.axes, strict=True)))


def _misaligned(node: Node, fields: Sequence[Seen]) -> list[Warn]:
    """A warning where two of the node's inputs, which see `fields`, look at one graph input with other strides or
    centres."""
    first, *others = node.inputs[: len(fields)]
    for source, field in zip(others, fields[1:], strict=True):
        for name in fields[0].keys() & field.keys():
            one, other = fields[0][name], field[name]
            if one is None or other is None or len(one.axes) != len(other.axes):
                continue
            for axis, a, b in zip(axis_names(one), one.axes, other.axes, strict=True):
                if not a.is_aligned_with(b):
                    told = f"stride {a.stride}, centre {_show(a)} and stride {b.stride}, centre {_show(b)}"
                    message = f"{node.name}: the paths through {first} and {source} are not aligned in {axis}: {told}"
                    return [Warn("G231", message, node.place)]
    return []


def axis_names(field: ReceptiveField) -> tuple[str, ...]:
    """`height` and `width` of an image's field."""
    return spatial_axes((*field.axes, "channels"))


def _show(reach: Reach) -> str:
    return "unknown" if reach.centre is None else f"{float(reach.centre):g}"


def first_seen(graph: LayerGraph, seen: Seen) -> ReceptiveField | None:
    """What is seen of the first graph input that is seen at all; None where none is."""
    return next((seen[each.name] for each in graph.inputs if each.name in seen), None)
