"""Layers by the groups in their names: `conv3/conv3_2` stands in `conv3`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from graphc.graph import Plan, PlannedNode


@dataclass
class Group:
    """Layers whose names begin alike; a layer with layers below its name (`conv1/Relu`) is both."""

    name: str
    own: PlannedNode | None = None
    """The layer of this very name."""
    members: list[PlannedNode] = field(default_factory=list)
    """It and all below, in the order of the layers."""
    children: list[Group] = field(default_factory=list)


def tree(plan: Plan) -> list[Group]:
    """The outermost groups, in the order in which they first occur."""
    return below(plan.nodes, 1)


def below(members: Iterable[PlannedNode], depth: int) -> list[Group]:
    """Groups by the first `depth` parts of the names."""
    groups: dict[str, Group] = {}
    for each in members:
        parts = each.node.name.split("/")
        if len(parts) < depth:
            continue
        name = "/".join(parts[:depth])
        group = groups.setdefault(name, Group(name))
        group.members.append(each)
        if len(parts) == depth:
            group.own = each
    for group in groups.values():
        group.children = below(group.members, depth + 1)
    return list(groups.values())


def fold(plan: Plan, depth: int) -> list[Group]:
    """One group for all layers whose names agree in their first `depth` parts."""
    groups: dict[str, Group] = {}
    for each in plan.nodes:
        name = "/".join(each.node.name.split("/")[:depth])
        group = groups.setdefault(name, Group(name))
        group.members.append(each)
        if each.node.name == name:
            group.own = each
    return list(groups.values())


def kinds(group: Group) -> str:
    """`conv2d + batch_norm + relu` for what one entry of a spec became, else how many layers there are."""
    found = [member.node.layer.kind for member in group.members]
    one_entry = group.own is not None and len(found) <= 3
    return " + ".join(found) if one_entry or len(found) == 1 else f"{len(found)} layers"
