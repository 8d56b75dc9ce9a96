"""When each tensor of a network is alive, and where it lies in one block of memory: what a microcontroller needs.

Layers run one after the other. A tensor is alive from the layer that writes it to the last one that reads it, an input
from the beginning, an output to the end. What changes each number for itself (activations, batch norm) writes over what
it alone reads; flattening and what does nothing in inference write nothing. Scratch memory of kernels is not counted.

    live   = the most bytes that are alive at once: no arrangement needs less
    arena  = the bytes of the arrangement that is found: one tensor after the other, by size or another of `ORDERS`,
             each at the lowest place that is free as long as it is alive (Pisarchyk and Lee, "Efficient Memory
             Management for Deep Neural Net Inference", 2020), and what reaches highest is placed first the next time
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from graphc.dims import format_shape, is_static
from graphc.errors import SpecError
from graphc.graph import Node, Plan
from graphc.layers.base import elements, static

MAX_TENSORS = 5_000
"""That are arranged: the time grows with the square."""
MAX_REPAIRED = 1_000
"""That are arranged more than once an order."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A piece of memory of one example."""

    name: str
    """The layer or input whose value it is first."""
    bytes: int
    first: int
    """The layer that writes it, counted from 0; -1: it is there before."""
    last: int
    """The last layer that reads it; one beyond the last layer: it stays."""
    offset: int = 0

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.offset + self.bytes

    def meets(self, other: Tensor) -> bool:
        """Whether both are alive at the same time."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True, slots=True)
class Arena:
    """All tensors with their places."""

    tensors: tuple[Tensor, ...]
    live: int
    """The most bytes that are alive at once."""

    @property
    def size(self) -> int:
        """Bytes of the block."""
        return height(self.tensors)


def arena(plan: Plan, itemsize: int = 4) -> Arena:
    """The arrangement for one example, numbers having so many bytes each; a SpecError where a size is a symbol."""
    for each in plan.graph.inputs:
        if not is_static(each.shape):
            raise SpecError(
                "G205",
                f"memory needs fixed sizes: {each.name} is {format_shape(each.shape)}; set the resolution",
                each.place,
            )
    found = lifetimes(plan, itemsize)
    if len(found) > MAX_TENSORS:
        message = f"memory is arranged for at most {MAX_TENSORS:,} tensors, the network has {len(found):,}"
        raise SpecError("G161", message, plan.graph.inputs[0].place)
    live = live_bytes(found)
    return Arena(tuple(placed(found, live)), live)


def lifetimes(plan: Plan, itemsize: int = 4) -> list[Tensor]:
    """The tensors in the order in which they are written, without places."""
    owner = owners(plan)
    last: dict[str, int] = {}
    for step, planned in enumerate(plan.nodes):
        for name in (*planned.node.inputs, planned.node.name):
            last[owner[name]] = step
    last.update(dict.fromkeys((owner[name] for name in plan.graph.outputs.values()), len(plan.nodes)))
    first = {given.name: -1 for given in plan.graph.inputs}
    first.update({planned.node.name: step for step, planned in enumerate(plan.nodes)})
    return [
        Tensor(name, itemsize * elements(static(plan.shapes[name], name)), first[name], last.get(name, -1))
        for name in plan.shapes
        if owner[name] == name
    ]


def owners(plan: Plan) -> Mapping[str, str]:
    """The tensor that each input's and layer's value lies in, by the name of the value that was first there."""
    found = {given.name: given.name for given in plan.graph.inputs}
    outputs = set(plan.graph.outputs.values())
    shared = set(found)
    """Tensors that may not be written over: inputs, outputs, what has several readers."""
    for planned in plan.nodes:
        node = planned.node
        source = found[node.inputs[0]] if node.inputs else node.name
        is_view = bool(node.inputs) and (node.layer.view or node.layer.does_nothing(*plan.input_shapes(node)))
        own = not (is_view or (_in_place(plan, node) and source not in shared))
        found[node.name] = node.name if own else source
        if node.name in outputs or len(plan.readers.get(node.name, ())) > 1:
            shared.add(found[node.name])
    return found


def _in_place(plan: Plan, node: Node) -> bool:
    """Whether a layer can write over what it reads."""
    return node.layer.elementwise and len(node.inputs) == 1 and plan.shapes[node.inputs[0]] == plan.shapes[node.name]


def live_bytes(tensors: Sequence[Tensor]) -> int:
    """The most that are alive at once."""
    changes: dict[int, int] = {}
    for each in tensors:
        changes[each.first] = changes.get(each.first, 0) + each.bytes
        changes[each.last + 1] = changes.get(each.last + 1, 0) - each.bytes
    most = now = 0
    for step in sorted(changes):
        now += changes[step]
        most = max(most, now)
    return most


ORDERS: Mapping[str, Callable[[Tensor], tuple[int, ...]]] = {
    "size": lambda each: (-each.bytes, each.first),
    "area": lambda each: (-each.bytes * (each.last - each.first + 1), each.first),
    "length": lambda each: (each.first - each.last, -each.bytes),
}
"""In which tensors are placed; the best of the arrangements is taken."""
REPAIRS = 40
"""How often the tensor that reaches highest is placed before all others, for each order."""


def placed(tensors: Sequence[Tensor], least: int) -> list[Tensor]:
    """Each with its place, in the given order; no arrangement needs less than `least`."""
    best: dict[str, Tensor] = {}
    for order in ORDERS.values():
        queue = sorted(tensors, key=order)
        for _ in range(REPAIRS if len(tensors) <= MAX_REPAIRED else 1):
            found = _lowest(queue)
            if not best or height(found.values()) < height(best.values()):
                best = found
            if height(best.values()) == least:
                return [best[each.name] for each in tensors]
            top = max(found.values(), key=lambda each: each.end).name
            queue.sort(key=lambda each: each.name != top)
    return [best[each.name] for each in tensors]


def height(tensors: Iterable[Tensor]) -> int:
    """Bytes of a block that holds them where they lie."""
    return max((each.end for each in tensors), default=0)


def _lowest(queue: Sequence[Tensor]) -> dict[str, Tensor]:
    """One after the other at the lowest place that is free."""
    done: list[Tensor] = []
    for each in queue:
        offset = 0
        for other in done:
            if not other.meets(each):
                continue
            if offset + each.bytes <= other.offset:
                break
            offset = max(offset, other.end)
        insort(done, Tensor(each.name, each.bytes, each.first, each.last, offset), key=lambda tensor: tensor.offset)
    return {each.name: each for each in done}
