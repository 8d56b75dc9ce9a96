"""ModelSpec -> Plan of the layers that are known, of a spec that has errors: for an editor.

A layer is known where neither it nor anything that it reads, directly or through others, has an error. What is said of
a known layer holds: nothing is guessed for the others, which are left out.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from graphc.errors import Errors, SpecError
from graphc.graph import LayerGraph, Node, Plan
from graphc.passes.expand import MAX_LAYERS, Expanded, unfold
from graphc.passes.infer_shapes import infer_shapes
from graphc.passes.plan import declare, plan
from graphc.passes.wire import UnresolvedNode
from graphc.passes.wiring import FAULTY, Names, topological_order
from graphc.spec.forms.frame import InputRef
from graphc.spec.model import ModelSpec


def known_part(spec: ModelSpec, *, max_layers: int = MAX_LAYERS) -> Plan | None:
    """The plan of the known layers, in topological order, without outputs and budgets; None where nothing is known."""
    try:
        return known_of(unfold(spec, max_layers=max_layers))
    except SpecError:
        return None


def known_of(found: Expanded) -> Plan | None:
    """The same of a spec that is expanded already."""
    if not found.is_bounded:
        return None
    spec, expansion = found.expansion.spec, found.expansion
    nodes = _wired(expansion.unresolved, expansion.names)
    graph = LayerGraph(spec.name, found.batch, found.inputs, nodes, {}, {}, scope=spec.scope)
    return _planned(graph)


def _wired(unresolved: list[UnresolvedNode], names: Names) -> tuple[Node, ...]:
    """The nodes of which all that they read is known, in topological order."""
    sources: list[list[int | InputRef] | None] = []
    for each in unresolved:
        read: list[int | InputRef] = [FAULTY]
        with suppress(SpecError):
            read = [names.resolve(ref) for ref in each.inputs]
        sources.append(None if FAULTY in read or each.layer.undoes is not None else read)
    try:
        order = topological_order(
            [[source for source in read or () if isinstance(source, int)] for read in sources], _CycleError
        )
    except _CycleError:
        return ()
    nodes: dict[int, Node] = {}
    for number in order:
        known, each = sources[number], unresolved[number]
        if known is None or any(isinstance(source, int) and source not in nodes for source in known):
            continue
        inputs = tuple(nodes[source].name if isinstance(source, int) else source.name for source in known)
        nodes[number] = Node(
            each.name, each.layer, inputs, each.place, each.variables, each.arguments, each.trail, each.followed_by
        )
    return tuple(nodes.values())


class _CycleError(Exception):
    """The layers form a cycle."""


def _planned(graph: LayerGraph) -> Plan:
    """The plan of the nodes that have a shape and whose variables can be declared."""
    errors = Errors()
    graph, shapes = infer_shapes(graph, errors)
    known = {each.name for each in graph.inputs}
    nodes = []
    for node in graph.nodes:
        with suppress(SpecError):
            declare(node, [shapes[name] for name in node.inputs])
            if known.issuperset(node.inputs):
                known.add(node.name)
                nodes.append(node)
    try:
        return plan(replace(graph, nodes=tuple(nodes)))
    except SpecError:  # too large, or variables that are shared by layers that need others
        return Plan(replace(graph, nodes=()), ())
