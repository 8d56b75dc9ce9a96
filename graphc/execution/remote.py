"""An execution plan whose shards are run by a group of processes: what its workers are told, forward and backward.

Variables lie in shared memory already, where `Network.place` has put them. Others (their moving average at validation,
a new mean of batch norm within an accumulated step) go with the command. A worker keeps the tape of its shard from one
forward to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from graphc.execution.plan import ExecutionPlan
from graphc.execution.tape import ShardedForward, Tape
from graphc.parallel.communicator import Shard, shard_slices
from graphc.parallel.processes import Commands, ProcessGroup
from graphc.types import Array, Gradient


class RemoteExecution:
    """Rank 0 runs its shard here, the other ranks theirs in their processes."""

    def __init__(self, execution: ExecutionPlan, placed: Mapping[str, Array], num_shards: int) -> None:
        """`placed`: variables that lie in shared memory. Errors as of `ProcessGroup`."""
        self._execution = execution
        self._placed = placed
        self._num_shards = num_shards
        self._group = ProcessGroup(num_shards, partial(_commands, execution, placed))

    @property
    def alive(self) -> bool:
        """Until `close`, an error, or a worker's death."""
        return self._group.alive

    def close(self) -> None:
        """End the workers."""
        self._group.close()

    def forward(
        self,
        wanted: frozenset[str],
        params: Mapping[str, Array],
        inputs: Mapping[str, Array],
        training: bool,
        step: int,
    ) -> ShardedForward:
        """Every rank's way through the layers, from inputs [N, ...] of the whole batch. The other ranks' values last
        until the next forward or backward. The way back is that of the last batch that has gone forward."""
        count = len(next(iter(inputs.values())))
        unplaced = {name: array for name, array in params.items() if array is not self._placed.get(name)}

        def own() -> Tape:
            return self._execution.run(wanted, self._group.shard(count), training, step, params, inputs)

        arguments = (count, list(wanted), training, step, unplaced, dict(inputs))
        world_size = len(shard_slices(count, self._num_shards))
        tape, others = self._group.run("forward", arguments, own, world_size, spin=True)
        backward = partial(self._backward, tape, world_size)
        return ShardedForward([tape.values, *others], tape.updates, backward)

    def _backward(self, tape: Tape, world_size: int, gradients: Mapping[str, Array]) -> list[dict[str, Gradient]]:
        """Every rank's gradients of variables, from rank 0's tape and those that the workers keep. The other ranks'
        last until the next forward or backward."""
        own = partial(tape.backward, gradients)
        found, others = self._group.run("backward", (dict(gradients),), own, world_size)
        return [found, *others]


def _commands(execution: ExecutionPlan, placed: Mapping[str, Array], shard_of: Callable[[int], Shard]) -> Commands:
    rank = _RemoteRank(execution, placed, shard_of)
    return {"forward": rank.forward, "backward": rank.backward}


class _RemoteRank:
    """A rank in its process."""

    def __init__(self, execution: ExecutionPlan, placed: Mapping[str, Array], shard_of: Callable[[int], Shard]) -> None:
        self._execution = execution
        self._placed = placed
        self._shard_of = shard_of
        self._tape: Tape | None = None

    def forward(
        self,
        count: int,
        wanted: list[str],
        training: bool,
        step: int,
        unplaced: dict[str, Array],
        inputs: dict[str, Array],
    ) -> dict[str, Array]:
        """The shard's values asked for."""
        self._tape = None  # and its memory, before more is taken
        params = {**self._placed, **unplaced}
        self._tape = self._execution.run(frozenset(wanted), self._shard_of(count), training, step, params, inputs)
        return self._tape.values

    def backward(self, gradients: dict[str, Array]) -> dict[str, Gradient]:
        """The shard's gradients of variables."""
        tape, self._tape = self._tape, None
        assert tape is not None
        return tape.backward(gradients)
