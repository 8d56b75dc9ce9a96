"""Which layers run as one operation: a table, and the pass that looks for its patterns.

    batch_norm bn -> relu act -> max_pool2d pool        becomes        batch_norm bn -> MaxPoolRelu pool

A group of layers can run as one where each but the last has one reader, the next, which reads nothing else, and nobody
has asked for the values in between. What runs for the group has the last layer's name, since that is the value it
gives, and the first one's place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass

from graphc.execution.fused import AddRelu, BatchNormRelu, ConvMaxPool, MaxPoolRelu
from graphc.execution.operation import Operation
from graphc.graph import Node, readers_of


@dataclass(frozen=True, slots=True)
class Fusion:
    """A pattern of layers, and what runs in their place."""

    kinds: tuple[str, ...]
    """Of the layers, in order."""
    fused: Callable[..., Operation]
    """The operation, from the layers."""
    reason: str


BLOCKS = "where the algorithm makes blocks, in training, each is pooled while the cache has it"
FEWER_NUMBERS = "the ReLU behind the pooling has fewer numbers and the same result"
ONE_PASS = "one pass over memory in place of two, there and back"

FUSIONS: tuple[Fusion, ...] = (
    Fusion(("conv2d", "relu", "max_pool2d"), lambda conv, _, pool: MaxPoolRelu(ConvMaxPool(conv, pool)), BLOCKS),
    Fusion(("conv2d", "max_pool2d"), ConvMaxPool, BLOCKS),
    Fusion(("relu", "max_pool2d"), lambda _, pool: MaxPoolRelu(pool), FEWER_NUMBERS),
    Fusion(("batch_norm", "relu"), lambda norm, _: BatchNormRelu(norm), ONE_PASS),
    Fusion(("add", "relu"), lambda add, _: AddRelu(add), ONE_PASS),
)
"""Patterns are looked for from the last layer to the first, and in this order: the longer before the shorter that they
end with."""


@dataclass(frozen=True, slots=True)
class FusedGroup:
    """Layers that run as one operation; mostly a single one, as it is."""

    nodes: tuple[Node, ...]
    operation: Operation
    reason: str = ""
    """Why they run as one, where they are several."""

    @property
    def first(self) -> Node:
        """Whose inputs and variables the operation reads."""
        return self.nodes[0]

    @property
    def output(self) -> str:
        """Name of the value that the operation gives."""
        return self.nodes[-1].name


def fuse(nodes: Sequence[Node], wanted: Set[str]) -> list[FusedGroup]:
    """The nodes in groups, each where its first layer stands. `wanted`: nodes whose values somebody asks for."""
    chains = _Chains(nodes, wanted)
    groups: dict[str, FusedGroup] = {}
    taken: set[str] = set()
    for node in reversed(nodes):
        if node.name not in taken:
            group = _group_ending_with(node, chains)
            groups[group.first.name] = group
            taken.update(each.name for each in group.nodes)
    return [groups[node.name] for node in nodes if node.name in groups]


def _group_ending_with(node: Node, chains: _Chains) -> FusedGroup:
    for fusion in FUSIONS:
        nodes = chains.ending_with(node, len(fusion.kinds))
        if tuple(each.layer.kind for each in nodes) == fusion.kinds:
            return FusedGroup(nodes, fusion.fused(*(each.layer for each in nodes)), fusion.reason)
    return FusedGroup((node,), node.layer)


class _Chains:
    """Layers that only the next one reads."""

    def __init__(self, nodes: Sequence[Node], wanted: Set[str]) -> None:
        self._nodes = {node.name: node for node in nodes}
        self._readers = readers_of(nodes)
        self._wanted = wanted

    def ending_with(self, node: Node, length: int) -> tuple[Node, ...]:
        """The chain up to this node, the last so many of it."""
        chain = [node]
        while len(chain) < length:
            before = self._before(chain[0])
            if before is None:
                break
            chain.insert(0, before)
        return tuple(chain)

    def _before(self, node: Node) -> Node | None:
        """What a node reads, where it reads nothing else, nobody else reads that and nobody asks for it."""
        if len(node.inputs) != 1:
            return None
        (name,) = node.inputs
        alone = len(self._readers[name]) == 1 and name not in self._wanted
        return self._nodes.get(name) if alone else None
