"""An execution plan whose shards are run by a group of processes: what its workers are told, forward and backward.

Variables lie in shared memory already. A worker keeps the tape of its shard from one forward to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from graphc.execution.plan import ExecutionPlan
from graphc.execution.tape import Tape
from graphc.parallel.communicator import Shard, shard_slices
from graphc.parallel.processes import Commands, ProcessGroup
from graphc.types import Array, Gradient


@dataclass(frozen=True, slots=True)
class RemoteOutputs:
    """What came back from another rank's way forward."""

    values: dict[str, Array]
    """The shard's values asked for, [examples, ...], by node name; they last until the next forward or backward."""
    batch: int
    """How many batches had gone forward: a worker can go back with the last one only."""


class RemoteExecution:
    """Rank 0 runs its shard here, the other ranks theirs in their processes."""

    def __init__(self, plan: ExecutionPlan, placed: Mapping[str, Array], num_shards: int) -> None:
        """`placed`: variables that lie in shared memory. Errors as of `ProcessGroup`."""
        self._plan = plan
        self._placed = placed
        self._num_shards = num_shards
        self._group = ProcessGroup(num_shards, partial(_commands, plan, placed))
        self._batches = 0

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
    ) -> list[Tape | RemoteOutputs]:
        """Every rank's way through the layers, from inputs [N, ...] of the whole batch."""
        count = len(next(iter(inputs.values())))
        elsewhere = {name: array for name, array in params.items() if array is not self._placed.get(name)}

        def own() -> Tape:
            return self._plan.run(wanted, self._group.shard(count), training, step, params, inputs)

        self._batches += 1
        arguments = (count, list(wanted), training, step, elsewhere, dict(inputs))
        world_size = len(shard_slices(count, self._num_shards))
        tape, others = self._group.run("forward", arguments, own, world_size, spin=True)
        return [tape, *(RemoteOutputs(values, self._batches) for values in others)]

    def backward(
        self, tape: Tape, elsewhere: Sequence[RemoteOutputs], gradients: Mapping[str, Array]
    ) -> list[dict[str, Gradient]]:
        """Every rank's gradients of variables, from rank 0's tape and those that the workers keep, and gradients of
        values, [N, ...] of the whole batch. The other ranks' last until the next forward or backward."""
        if any(outputs.batch != self._batches for outputs in elsewhere):
            raise RuntimeError("another batch has gone forward since: only the last one can go back")
        own = partial(tape.backward, gradients)
        found, others = self._group.run("backward", (dict(gradients),), own, 1 + len(elsewhere))
        return [found, *others]


def _commands(plan: ExecutionPlan, placed: Mapping[str, Array], shard_of: Callable[[int], Shard]) -> Commands:
    rank = _RemoteRank(plan, placed, shard_of)
    return {"forward": rank.forward, "backward": rank.backward}


class _RemoteRank:
    """A rank in its process."""

    def __init__(self, plan: ExecutionPlan, placed: Mapping[str, Array], shard_of: Callable[[int], Shard]) -> None:
        self._plan = plan
        self._placed = placed
        self._shard_of = shard_of
        self._tape: Tape | None = None

    def forward(
        self,
        count: int,
        wanted: list[str],
        training: bool,
        step: int,
        elsewhere: dict[str, Array],
        inputs: dict[str, Array],
    ) -> dict[str, Array]:
        """The shard's values asked for."""
        self._tape = None  # and its memory, before more is taken
        params = {**self._placed, **elsewhere}
        self._tape = self._plan.run(frozenset(wanted), self._shard_of(count), training, step, params, inputs)
        return self._tape.values

    def backward(self, gradients: dict[str, Array]) -> dict[str, Gradient]:
        """The shard's gradients of variables."""
        tape, self._tape = self._tape, None
        assert tape is not None
        return tape.backward(gradients)
