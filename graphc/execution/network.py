"""A plan with the threads or processes that run its ranks, one a shard of a batch.

The network gives every rank its shard, puts their outputs together and adds their gradients in the order of ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

import numpy as np

from graphc.dims import Shape
from graphc.execution.distributed import DistributedExecution
from graphc.execution.plan import ExecutionPlan
from graphc.execution.remote import RemoteExecution
from graphc.execution.tape import ShardedForward
from graphc.graph import Plan
from graphc.parallel.blas import single_threaded_blas
from graphc.parallel.shared_memory import SharedArena
from graphc.parallel.threads import WORTH_SHARING, ThreadGroup
from graphc.parallel.world import LOCAL_WORLD, World
from graphc.passes.infer_shapes import check_sizes
from graphc.system import can_fork
from graphc.types import Array, Gradient


class Network:
    """A plan with what runs its ranks, processes or threads; either way there are threads for `parallel_for`."""

    def __init__(
        self,
        plan: Plan,
        threads: int | None = None,
        seed: int = 0,
        frozen: Collection[str] = (),
        shards: int | None = None,
        processes: bool = False,
        factored: Collection[str] = (),
        world: World = LOCAL_WORLD,
    ) -> None:
        """`frozen`: full names of variables that need no gradient; `factored`: of those whose gradient may come as a
        `FactoredGradient`. `processes`: from `start` to `close` work in several, one a shard of the batch, where there
        are as many threads and the system for it. The results depend on the seed and on the number of `shards` of a
        batch (default: `NUM_SHARDS`), not on the number of threads (default: the processor's) nor on whether they are
        processes. `world`: the processes that run this program together; each works on its own shards."""
        self.graph = plan.graph
        self._seed = seed
        self.execution = ExecutionPlan(plan, seed, frozen, factored)
        self._fitting = {tuple(each.shape for each in self.graph.inputs)}
        """Shapes of the inputs, in order, that all layers can take."""
        self._threads = ThreadGroup(shards, threads)
        alone = world.size == 1
        self._processes = alone and processes and 1 < self._threads.num_shards == self._threads.threads and can_fork()
        self._world = world
        self._distributed = None if alone else DistributedExecution(self.execution, self._threads, world)
        self._remote: RemoteExecution | None = None
        self._placed: dict[str, Array] = {}
        self._batch = 0
        """Number of the only one that can go back."""

    def place(self, params: Mapping[str, Array]) -> dict[str, Array]:
        """The variables, each in its own shape, where other processes see them change, if there are to be any: the
        caller's own from now on. RuntimeError after `start`: what has been forked sees no memory that is newer.

        Without it every forward pass copies them to the other processes.
        """
        if self._working() is not None:
            raise RuntimeError("variables are placed before the processes are started")
        if not self._processes:
            return dict(params)
        try:
            arena = SharedArena()
        except OSError:  # the system grants no more addresses than it has memory
            self._processes = False
            return dict(params)
        self._placed = {name: arena.empty(array.shape, array.dtype) for name, array in params.items()}
        for name, array in params.items():
            np.copyto(self._placed[name], array)
        return dict(self._placed)

    def start(self) -> None:
        """Fork the processes, if there are to be any; until then, and after `close` or an error, threads do the work.

        No other thread may be at work: a fork takes OpenBLAS's threads from a product that is under way, which then
        waits for them for ever. The trainer sees to it: it calls this before there is a thread that makes batches, and
        the network's own threads have work within its methods only.
        """
        if not self._processes or self._working() is not None:
            return
        try:
            self._remote = RemoteExecution(self.execution, self._placed, self._threads.num_shards)
        except (OSError, ImportError):  # no memory to share, or no semaphores
            self._processes = False

    def freeze(self, plan: Plan, frozen: Collection[str], factored: Collection[str]) -> None:
        """Go on with other frozen variables; processes end, and `start` begins them anew."""
        self.close()
        self.graph = plan.graph
        self.execution = ExecutionPlan(plan, self._seed, frozen, factored)
        if self._distributed is not None:
            self._distributed = DistributedExecution(self.execution, self._threads, self._world)

    def close(self) -> None:
        """End the processes, if there are any. What has gone forward cannot go back any more."""
        self._batch += 1
        if self._remote is not None:
            self._remote.close()
            self._remote = None

    def forward(
        self,
        params: Mapping[str, Array],
        inputs: Mapping[str, Array],
        training: bool,
        step: int = 0,
        keep: Iterable[str] = (),
    ) -> ForwardResult:
        """Outputs [N, …] of inputs [N, …], and with `training` the way back; `keep` names more nodes whose values are
        wanted. Neither `params` (by full name) nor `inputs` are overwritten.

        The result can go back until the next `forward`, `freeze` or `close`: processes keep one batch only, and threads
        are held to the same.
        """
        wanted = frozenset({*self.graph.outputs.values(), *keep})
        self._check_sizes(inputs)
        with single_threaded_blas:
            remote = self._distributed or self._working()
            forward = self._forward_in_threads if remote is None else remote.forward
            self._batch += 1
            given = forward(wanted, _in_c_order(params), _in_c_order(inputs), training, step)
            return ForwardResult(self, self._batch, given)

    def _forward_in_threads(
        self,
        wanted: frozenset[str],
        params: Mapping[str, Array],
        inputs: Mapping[str, Array],
        training: bool,
        step: int,
    ) -> ShardedForward:
        self.execution.schedule(wanted)  # made here, not by several threads at once
        world = self._threads.world(len(next(iter(inputs.values()))))
        tapes = world.run(lambda shard: self.execution.run(wanted, shard, training, step, params, inputs))

        def backward(gradients: Mapping[str, Array]) -> list[dict[str, Gradient]]:
            return world.run(lambda shard: tapes[shard.rank].backward(gradients))

        return ShardedForward([tape.values for tape in tapes], tapes[0].updates, backward)

    def _working(self) -> RemoteExecution | None:
        """The processes, unless an error has ended them."""
        return self._remote if self._remote is not None and self._remote.alive else None

    def backward(self, batch: int, forward: ShardedForward, gradients: Mapping[str, Array]) -> dict[str, Gradient]:
        """The sum of the shards' gradients of variables, each of its variable's shape, in the order of ranks, by full
        name, from gradients [N, …] by node name. RuntimeError where the batch is not the last one."""
        if batch != self._batch:
            raise RuntimeError("another batch has gone forward since, or the network was closed: it cannot go back")
        with single_threaded_blas:
            total, *others = forward.backward(_in_c_order(gradients))
            names = [name for name in total if name in others[0]] if others else []  # all others have the same

            def add(some: slice) -> None:
                for name in names[some]:
                    for other in others:
                        total[name] += other[name]  # type: ignore[operator]  # a factored one is rank 0's alone

            if sum(total[name].size for name in names) < WORTH_SHARING:
                add(slice(None))
            else:
                self.parallel_for(add, len(names))
        return total

    def parallel_for(self, work: Callable[[slice], None], count: int) -> None:
        """`work` on range(count), shared out to the network's threads."""
        self._threads.parallel_for(work, count)

    def _check_sizes(self, inputs: Mapping[str, Array]) -> None:
        """An error with a layer and its place where images, whose size the spec leaves open, are too small for it."""
        shapes: tuple[Shape, ...] = tuple(inputs[each.name].shape[1:] for each in self.graph.inputs)
        if shapes not in self._fitting:
            check_sizes(self.graph, {name: array.shape[1:] for name, array in inputs.items()})
            self._fitting.add(shapes)


def _in_c_order(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """As they are read from shared memory, for threads too: sums depend on the order of numbers in memory."""
    return {name: np.asarray(array, order="C") for name, array in arrays.items()}


class ForwardResult:
    """The values of one forward pass, and its backward pass, which runs once."""

    def __init__(self, network: Network, batch: int, forward: ShardedForward) -> None:
        self._network = network
        self._batch = batch
        self._forward: ShardedForward | None = forward
        shards = forward.values
        self.values = _in_c_order({name: np.concatenate([values[name] for values in shards]) for name in shards[0]})
        """Outputs and kept nodes, [N, ...], by node name."""
        self.outputs = {name: self.values[node] for name, node in network.graph.outputs.items()}
        """By output name."""
        self.updates = forward.updates
        """New values of variables that back-propagation does not train, by full name."""

    def value(self, node: str) -> Array:
        """The value [N, …] of an output or kept node, by node name."""
        return self.values[node]

    def backward(self, gradients: Mapping[str, Array]) -> dict[str, Gradient]:
        """Gradients of the trainable variables, each of its variable's shape, by full name, from gradients of outputs
        and kept nodes, [N, …].

        A variable that no gradient reaches is left out. Closures are dropped on the way, and with them what they hold:
        a second call finds nothing. RuntimeError where the network has gone on to another batch or was closed.
        """
        forward, self._forward = self._forward, None
        return {} if forward is None else self._network.backward(self._batch, forward, gradients)


def evaluate(
    plan: Plan, params: Mapping[str, Array], inputs: Mapping[str, Array], keep: Iterable[str] = ()
) -> dict[str, Array]:
    """Inference on one batch of inputs [N, …]: the value [N, …] of every output's node and of the nodes in `keep`, by
    node name."""
    run = Network(plan).forward(params, inputs, training=False, keep=keep)
    return run.values
