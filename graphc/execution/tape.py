"""What a forward pass leaves behind, of one shard and of all: the values asked for, and the backward pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphc.lazy import np
from graphc.parallel.communicator import Shard
from graphc.types import Array, Gradient, Gradients
from graphc.workspace import Workspace

if TYPE_CHECKING:
    from graphc.execution.plan import ScheduledOperation

Backward = Callable[[Array], Gradients]
Ready = Callable[[str, Gradient], None]
"""Hears the full name of a variable, and its gradient [...], which is complete."""


class Tape:
    """One shard of one batch. It holds what the layers' backwards hold, until they have run."""

    def __init__(self, shard: Shard, trainable: frozenset[str], inputs: frozenset[str], workspace: Workspace) -> None:
        """`trainable`: full names of the variables, and `inputs` names of the graph's inputs, that have gradients."""
        self.values: dict[str, Array] = {}
        """The shard's values asked for, [examples, ...], by node name."""
        self.updates: dict[str, Array] = {}
        """New values of variables that back-propagation does not train, by full name."""
        self.input_gradients: dict[str, Array] = {}
        """Of the last way back, [examples, ...], by input name: of those inputs that a gradient has reached."""
        self._shard = shard
        self._trainable = trainable
        self._inputs = inputs
        self._workspace = workspace
        self._records: list[tuple[ScheduledOperation, Backward]] = []

    def record(self, operation: ScheduledOperation, backward: Backward) -> None:
        """One more to go back through, before those that are there."""
        self._records.append((operation, backward))

    def backward(
        self, given: Mapping[str, Array], retain: bool = False, ready: Ready | None = None
    ) -> dict[str, Gradient]:
        """Gradients of variables by full name, those that some gradient reaches, from gradients of values, [N, ...], of
        the whole batch by node name.

        Gradients add up where paths meet. Backwards are dropped on the way, and with them what they hold, unless they
        are retained for another time: else a second call finds nothing. The backward of a convolution fused with max
        pooling, which is there in training only, uses up what it holds, and cannot be retained. `ready` hears of each
        gradient as soon as it is complete; the array stays as it is.
        """
        gradients = self._shard.of(given)
        found: dict[str, Gradient] = {}
        records = self._records.copy() if retain else self._records
        left = Counter(name for operation, _ in records for name in operation.variables.values()) if ready else {}
        while records:
            operation, backward = records.pop()
            dy = gradients.pop(operation.output, None)
            if dy is None:
                self._tell(operation, left, found, ready)
                continue
            answer = backward(dy)
            del backward, dy
            for local, gradient in answer.params.items():
                name = operation.variables[local]
                if name in self._trainable:  # a sum is an array, also of two gradients that are factored
                    found[name] = np.add(found[name], gradient) if name in found else gradient
            for name, arrived, wanted in zip(
                operation.node.inputs, answer.inputs, operation.input_gradients, strict=True
            ):
                if arrived is not None and wanted:
                    gradients[name] = self._sum(gradients[name], arrived) if name in gradients else arrived
            del answer
            self._tell(operation, left, found, ready)
        self.input_gradients = {name: gradient for name, gradient in gradients.items() if name in self._inputs}
        return found

    def _tell(
        self, operation: ScheduledOperation, left: dict[str, int], found: Mapping[str, Gradient], ready: Ready | None
    ) -> None:
        """Of the variables of an operation those that no other one above it has; `left`: readers to come."""
        if ready is None:
            return
        for name in operation.variables.values():
            left[name] -= 1
            if left[name] == 0 and name in found:
                ready(name, found[name])

    def _sum(self, a: Array, b: Array) -> Array:
        """a + b in a new array: both may be seen by others."""
        total: Array = np.add(a, b, out=self._workspace.empty(a.shape, a.dtype))
        return total


@dataclass(frozen=True, slots=True)
class ShardedForward:
    """What a forward pass of all shards leaves behind, in threads or in processes; by rank."""

    values: Sequence[Mapping[str, Array]]
    """The values asked for, [examples of the shard, ...], by node name."""
    updates: Mapping[str, Array]
    """As of a tape; those of all ranks are the same."""
    backward: Callable[[Mapping[str, Array]], list[dict[str, Gradient]]]
    """Each shard's gradients of variables, from gradients of values, [N, ...], of the whole batch."""
