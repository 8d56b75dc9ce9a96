"""How a plan runs on arrays: which operations in which order, and what becomes of every value.

An `ExecutionPlan` is made once. Its schedules say for every set of values that somebody asks for which operations run
(layers, or several of them fused), which variables each reads, after which a value is not needed any more, and which
may write over what they read. `run` takes one shard of a batch through a schedule and gives a `Tape` to go back with.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from graphc.errors import RuleError
from graphc.execution.fusion import FusedGroup, fuse
from graphc.execution.operation import Operation
from graphc.execution.tape import Tape
from graphc.graph import Node, Plan
from graphc.kernels.context import RunContext
from graphc.parallel.communicator import Shard
from graphc.passes.infer_shapes import at_node
from graphc.types import Array
from graphc.workspace import Workspace

Instrument = Callable[[str, Operation], Operation]
"""(name of the output, operation) -> what runs in its place, and measures it."""


@dataclass(frozen=True, slots=True)
class ScheduledOperation:
    """An operation in its place among the others, and what is the same for it in every batch."""

    node: Node
    """The first of its layers: whose inputs it reads, and where errors are."""
    operation: Operation
    output: str
    """Name of the value that it gives: the last of its layers."""
    variables: Mapping[str, str]
    """Full names by local name."""
    key: int
    """Of its random numbers."""
    recorded: bool
    """Whether gradients come this way: it is at or above a variable that learns, or an input whose gradient is
    wanted."""
    input_gradients: tuple[bool, ...]
    """Of each input, whether what made it wants a gradient."""
    factored: bool
    """Whether the gradient of its weights may come as a `FactoredGradient`, of which NumPy's functions see the whole
    array; then it is rank 0's alone, of all examples, and the other ranks give none."""
    inplace: bool
    """Whether it may write its output over its first input, which nobody reads any more."""
    frozen: frozenset[str]
    """Local names of its variables that do not learn."""
    last_reads: tuple[str, ...]
    """Inputs that nobody reads after it, nor has asked for."""
    kept: bool
    """Whether somebody reads its output, or has asked for it."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """All operations of the plan in order: none is left out, whatever is wanted."""

    operations: tuple[ScheduledOperation, ...]
    inputs: frozenset[str]
    """Graph inputs that are read or wanted."""


class ExecutionPlan:
    """A plan ready to run, with the memory that its batches use again and again."""

    def __init__(
        self,
        plan: Plan,
        seed: int = 0,
        frozen: Collection[str] = (),
        factored: Collection[str] = (),
        input_gradients: bool = False,
        instrument: Instrument | None = None,
    ) -> None:
        """`frozen`: full names of variables that need no gradient; `factored`: of those whose gradient may come as a
        `FactoredGradient`; `input_gradients`: whether the graph's inputs have gradients too."""
        self.graph = plan.graph
        self.workspace = Workspace()
        self.trainable = frozenset(name for name, spec in plan.variables.items() if spec.trainable).difference(frozen)
        self._seed = seed
        self._factored = frozenset(factored)
        self._variables = plan.variable_names
        self._instrument = instrument
        self._inputs = frozenset(each.name for each in plan.graph.inputs)
        self._with_gradients = plan.at_or_above(self.trainable, self._inputs if input_gradients else ())
        self._schedules: dict[frozenset[str], Schedule] = {}

    def schedule(self, wanted: frozenset[str]) -> Schedule:
        """The operations, arranged so that these nodes have values in the end; made when it is first asked for. Threads
        that share the plan ask once before they run it, or each would make its own."""
        if wanted not in self._schedules:
            self._schedules[wanted] = self._scheduled(wanted)
        return self._schedules[wanted]

    def run(
        self,
        wanted: frozenset[str],
        shard: Shard,
        training: bool,
        step: int,
        params: Mapping[str, Array],
        inputs: Mapping[str, Array],
        record: bool | None = None,
    ) -> Tape:
        """The shard's examples through all operations; the tape has the values wanted, by node name.

        `params`: variables by full name, which are read only. `inputs`: the whole batch by input name, [N, ...].
        `step`: batches of this training that went before. `record`: whether the tape can go back; by default in
        training. `RuleError`s of layers come as `SpecError`s with the layer's place.
        """
        record = training if record is None else record
        schedule = self.schedule(wanted)
        tape = Tape(shard, self.trainable, self._inputs & self._with_gradients, self.workspace)
        values, updates = tape.values, tape.updates
        values.update({name: array for name, array in shard.of(inputs).items() if name in schedule.inputs})
        for each in schedule.operations:
            arrays = [values[name] for name in each.node.inputs]
            for name in each.last_reads:
                del values[name]
            # A moving average that layers share goes on from its first reader's update.
            own = {local: updates.get(name, params[name]) for local, name in each.variables.items()}
            context = self._context(each, shard, training, step)
            try:
                done = each.operation.forward(context, own, *arrays)
            except RuleError as error:
                raise at_node(each.node, error, [array.shape[1:] for array in arrays]) from None
            del arrays
            if training:
                updates.update({each.variables[local]: new for local, new in done.updates.items()})
            if record and each.recorded:
                tape.record(each, done.backward)
            if each.kept:
                values[each.output] = done.output
            del done
        return tape

    def _context(self, each: ScheduledOperation, shard: Shard, training: bool, step: int) -> RunContext:
        return RunContext(
            training=training,
            step=step,
            workspace=self.workspace,
            key=(self._seed, step, each.key, shard.rank),
            input_gradient=any(each.input_gradients),
            factored=each.factored,
            inplace=each.inplace,
            frozen=each.frozen,
            communicator=shard.communicator,
        )

    # made once ---------------------------------------------------------------------------------------------

    def _scheduled(self, wanted: frozenset[str]) -> Schedule:
        groups = fuse(self.graph.nodes, wanted)
        reads = Counter(name for group in groups for name in group.first.inputs)
        donated = donated_values(groups, reads, wanted)
        last = {name: index for index, group in enumerate(groups) for name in group.first.inputs}
        operations = []
        for index, group in enumerate(groups):
            ends = tuple(
                name for name in dict.fromkeys(group.first.inputs) if last[name] == index and name not in wanted
            )
            kept = reads[group.output] > 0 or group.output in wanted
            operations.append(self._operation(group, group.first.inputs[0] in donated, ends, kept))
        return Schedule(tuple(operations), self._inputs & (wanted | reads.keys()))

    def _operation(
        self, group: FusedGroup, inplace: bool, last_reads: tuple[str, ...], kept: bool
    ) -> ScheduledOperation:
        node, operation = group.first, group.operation
        variables = self._variables[node.name]
        return ScheduledOperation(
            node,
            operation if self._instrument is None else self._instrument(group.output, operation),
            group.output,
            variables,
            key=zlib.crc32(group.output.encode()),
            recorded=node.name in self._with_gradients,
            input_gradients=tuple(name in self._with_gradients for name in node.inputs),
            factored=variables.get("weights") in self._factored,
            inplace=inplace,
            frozen=frozenset(local for local, name in variables.items() if name not in self.trainable),
            last_reads=last_reads,
            kept=kept,
        )


def donated_values(groups: list[FusedGroup], reads: Mapping[str, int], wanted: frozenset[str]) -> frozenset[str]:
    """Values that their only reader may write over: whoever made them does not look at them again."""
    donors = (group.output for group in groups if group.operation.donates_output)
    return frozenset(name for name in donors if reads[name] == 1) - wanted
