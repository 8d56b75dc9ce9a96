"""An execution plan whose shards are run by the processes of a world, all of which run the same program.

Every process has the same variables and makes the same calls. It runs its own shards of the inputs, of which it needs
no other rows; values asked for, and sums of gradients, are the same in all processes afterwards.

Gradients of many numbers are on their way while the backward pass goes on: a variable's begins to be added when all
shards of this process have it. The rest goes as one array in the end. Which variables' gradients each shard has, ranks
tell each other in the first step: that of a large dense layer is the first shard's alone (`graphc.kernels.dense`).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from graphc.execution.plan import ExecutionPlan
from graphc.execution.tape import ShardedForward, Tape
from graphc.kernels.factored_gradient import FactoredGradient
from graphc.lazy import np
from graphc.parallel.communicator import Shard, shard_slices
from graphc.parallel.distributed import WorldCommunicator
from graphc.parallel.ordered_sums import OrderedSums
from graphc.parallel.threads import ThreadGroup, ThreadWorld
from graphc.parallel.world import World, from_first, joined, shards_of
from graphc.types import Array, Gradient

STREAMED_FROM = 1 << 14
"""Numbers of a gradient that is sent by itself, during the backward pass."""


@dataclass(frozen=True)
class _Known:
    """Which gradients there are, of a batch with so many shards."""

    streamed: tuple[str, ...]
    packed: tuple[str, ...]
    """All shards have them."""
    alone: tuple[str, ...]
    """The first shard has them, of all examples."""
    shapes: Mapping[str, tuple[int, ...]]
    dtype: str


class DistributedExecution:
    """This process's part of a network."""

    def __init__(self, execution: ExecutionPlan, threads: ThreadGroup, world: World) -> None:
        self._execution = execution
        self._threads = threads
        self._world = world
        self._known: dict[int, _Known] = {}
        """By the number of shards of a batch."""

    def forward(
        self,
        wanted: frozenset[str],
        params: Mapping[str, Array],
        inputs: Mapping[str, Array],
        training: bool,
        step: int,
    ) -> ShardedForward:
        """Every shard's way through the layers, from inputs [N, …] of which this process's rows are looked at alone."""
        self._execution.schedule(wanted)
        world, num_shards = self._world, self._threads.num_shards
        examples = shard_slices(len(next(iter(inputs.values()))), num_shards)
        everyones = [shards_of(rank, world.size, num_shards, len(examples)) for rank in range(world.size)]
        working = [shards for shards in everyones if shards]
        own = everyones[world.rank]
        tapes: list[Tape] = []
        local = self._threads.world_of(examples[own.start : own.stop]) if own else None
        if local is not None:
            tapes = local.run(
                lambda shard: self._execution.run(
                    wanted,
                    Shard(WorldCommunicator(shard.communicator, world, working), shard.examples),
                    training,
                    step,
                    params,
                    inputs,
                )
            )
        idle = len(working) < world.size
        updates = tapes[0].updates if tapes and (world.rank == 0 or not idle) else {}
        given = [[tape.values for tape in tapes], updates if idle and world.rank == 0 else None]
        found = world.exchange(given)
        backward = partial(self._backward, local, tapes, everyones)
        return ShardedForward(joined([values for values, _ in found]), found[0][1] if idle else updates, backward)

    def _backward(
        self,
        local: ThreadWorld | None,
        tapes: Sequence[Tape],
        shards: list[range],
        gradients: Mapping[str, Array],
    ) -> list[dict[str, Gradient]]:
        """One sum of all shards' gradients of variables."""
        known = self._known.get(sum(map(len, shards)))
        sums = OrderedSums(self._world, shards)
        ready = _Ready(sums, known, len(tapes))
        found: list[dict[str, Gradient]] = []
        if local is not None:
            found = local.run(
                lambda shard: tapes[shard.rank].backward(gradients, ready=partial(ready.take, shard.rank))
            )
        if known is None:
            known = self._known[sum(map(len, shards))] = self._told(found)
        for number, name in enumerate(known.streamed):
            if number not in ready.started:
                sums.start(number, [np.asarray(each[name]) for each in found], known.shapes[name], known.dtype)
        shape = (sum(int(np.prod(known.shapes[name])) for name in known.packed),)
        flat = [_flat([each[name] for name in known.packed], known.dtype) for each in found]
        sums.start(len(known.streamed), flat, shape, known.dtype)
        own = {name: _encoded(found[0][name]) for name in known.alone} if self._world.rank == 0 else {}
        alone = _decoded(from_first(self._world, own)) if known.alone else {}
        totals = sums.finish()
        total: dict[str, Gradient] = {}
        for number, name in enumerate(known.streamed):
            total[name] = totals[number].reshape(known.shapes[name])
        start = 0
        for name in known.packed:
            size = int(np.prod(known.shapes[name]))
            total[name] = totals[len(known.streamed)][start : start + size].reshape(known.shapes[name])
            start += size
        # the order of one process: that in which the backward pass finds them
        return [{name: alone[name] if name in alone else total[name] for name in known.shapes}]

    def _told(self, found: Sequence[Mapping[str, Gradient]]) -> _Known:
        """Which gradients all shards have, and which the first one alone."""
        own = [[[name, list(each.shape), np.dtype(each.dtype).str] for name, each in one.items()] for one in found]
        first, *others = joined(self._world.exchange(own))
        shapes = {name: tuple(shape) for name, shape, _ in first}
        theirs = {each[0] for each in others[0]} if others else set()
        common = [name for name in shapes if name in theirs]
        large = [name for name in common if int(np.prod(shapes[name])) >= STREAMED_FROM]
        return _Known(
            tuple(large),
            tuple(name for name in common if name not in large),
            tuple(name for name in shapes if name not in common),
            shapes,
            first[0][2] if first else "<f4",
        )


class _Ready:
    """Hears of gradients as the backward passes of this process's shards find them."""

    def __init__(self, sums: OrderedSums, known: _Known | None, count: int) -> None:
        self.started: set[int] = set()
        """Numbers of those that are being added."""
        self._sums, self._known, self._count = sums, known, count
        self._numbers = {} if known is None else {name: number for number, name in enumerate(known.streamed)}
        self._found: dict[str, dict[int, Gradient]] = {}
        self._lock = threading.Lock()

    def take(self, shard: int, name: str, gradient: Gradient) -> None:
        """Gradient [...] of a variable, in a shard of this process."""
        if self._known is None or name not in self._numbers:
            return
        with self._lock:
            of_name = self._found.setdefault(name, {})
            of_name[shard] = gradient
            complete = len(of_name) == self._count
        if complete:
            own = [np.asarray(of_name[each]) for each in range(self._count)]
            self._sums.start(self._numbers[name], own, self._known.shapes[name], self._known.dtype)
            self.started.add(self._numbers[name])
        else:
            self._sums.progress()


def _flat(gradients: Sequence[Gradient], dtype: str) -> Array:
    """Gradients [...] one after the other, [numbers]."""
    return np.concatenate([np.empty(0, dtype), *(np.asarray(each).reshape(-1) for each in gradients)])


def _encoded(gradient: Gradient) -> dict[str, Any]:
    """For other ranks; which of the factors' axes is the inner one is part of it, as products depend on it."""
    if not isinstance(gradient, FactoredGradient):
        return {"whole": gradient}
    transposed = not gradient.inputs.flags.c_contiguous
    inputs = gradient.inputs.T if transposed else gradient.inputs
    return {
        "inputs": inputs,
        "transposed": transposed,
        "output_gradients": gradient.output_gradients,
        "factor": gradient.factor,
    }


def _decoded(given: Mapping[str, Mapping[str, Any]]) -> dict[str, Gradient]:
    found: dict[str, Gradient] = {}
    for name, each in given.items():
        if "whole" in each:
            found[name] = np.array(each["whole"])
        else:
            inputs = each["inputs"].T if each["transposed"] else each["inputs"]
            found[name] = FactoredGradient(inputs, each["output_gradients"], each["factor"])
    return found
