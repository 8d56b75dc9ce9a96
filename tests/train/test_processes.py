"""Shards of a batch in processes: what happens when one fails, and that none is left behind."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from graphc.errors import MachineError
from graphc.execution.network import Network
from graphc.execution.remote import RemoteExecution
from graphc.initializers import initial_values
from graphc.kernels import dense
from graphc.layers.base import Layer
from graphc.parallel.processes import ProcessCommunicator
from graphc.passes.plan import plan
from graphc.train.commands import Options, train
from graphc.types import Gradients, Step
from tests.execution.test_network import Scale, net, small_batch, small_plan
from tests.execution.test_network import step_of as take_step
from tests.parallel.faults import plant_delays, plant_expiry

pytestmark = pytest.mark.posix

X = np.arange(12.0).reshape(4, 3)


@pytest.fixture(autouse=True)
def _nothing_of_earlier_tests():
    """Networks in circles of garbage still have their workers."""
    gc.collect()


class Troubled(Layer):
    """Does in one rank, forward or backward, what it is told."""

    kind: ClassVar[str] = "troubled"
    family: ClassVar[str] = "test"

    forwards: str = ""
    backwards: str = ""
    rank: int = 1

    def forward(self, context, params, *inputs):
        self._go(context, self.forwards)
        total = sum(context.all_gather(inputs[0].sum()))

        def backward(dy):
            self._go(context, self.backwards)
            return Gradients((dy + context.all_gather(0)[1],))

        return Step(inputs[0] + total, backward)

    def _go(self, context, trouble):
        if context.rank == self.rank and trouble == "error":
            raise ValueError(f"rank {self.rank}")
        if context.rank == self.rank and trouble == "kill":
            os.kill(os.getpid(), signal.SIGKILL)


def network_of(processes: bool = True, **trouble) -> Network:
    planned = net(("a", Scale(), ("x",)), ("b", Troubled(**trouble), ("a",)))
    network = Network(planned, shards=2, threads=2, processes=processes)
    network.start()
    return network


def step_of(network: Network) -> float:
    run = network.forward({"net/a/factor": np.float64(1), "net/a/seen": np.float64(0)}, {"x": X}, training=True)
    run.backward({"b": X})
    return run.outputs["y"][0, 0]


def state_of(process: int | str) -> tuple[str, int]:
    """(letter, parent) of a process; Z where it is gone, or nobody has asked for its end."""
    try:
        letter, parent, *_ = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return "Z", 0
    return letter, int(parent)


def workers() -> set[int]:
    """Live children of this process."""
    states = {int(path.name): state_of(path.name) for path in Path("/proc").glob("[0-9]*")}
    return {process for process, (letter, parent) in states.items() if parent == os.getpid() and letter != "Z"}


def test_workers_end_with_their_network():
    before = workers()
    network = network_of()
    assert step_of(network) == X.sum()
    assert len(workers() - before) == 1
    network.close()
    assert workers() <= before  # those of other tests may end meanwhile
    assert step_of(network) == X.sum()  # in threads
    assert workers() <= before  # those of other tests may end meanwhile
    network.start()
    assert step_of(network) == X.sum()
    assert len(workers() - before) == 1
    del network
    assert workers() <= before  # those of other tests may end meanwhile


@pytest.mark.parametrize("factored", [(), ("net/logits/weights",)], ids=["whole", "factored"])
@pytest.mark.parametrize("seed", [0, 1])
def test_delays_anywhere_leave_a_networks_bits_as_they_are(seed, factored, monkeypatch):
    """Three steps of batch norm, convolutions, and a matrix that ranks share by rows, in processes and in one thread.

    What ranks have gathered is gone when they gather again.
    """
    monkeypatch.setattr(dense, "SHARED_FROM", 0)
    planned, (images, dy) = small_plan(), small_batch()
    params = initial_values(planned.variables, 0)

    def three_steps(**ranks) -> list[dict[str, np.ndarray]]:
        network = Network(planned, shards=3, factored=factored, **ranks)
        placed, found = network.place({name: array.copy() for name, array in params.items()}), []
        network.start()
        for count in (16, 7, 2):
            step = take_step(network, placed, images[:count], dy[:count])
            found.append({name: np.array(array) for name, array in step.items()})
            for name in placed.keys() & found[-1].keys():
                placed[name] -= np.float32(0.01) * found[-1][name]
        network.close()
        return found

    expected = three_steps(threads=1)
    plant_delays(monkeypatch, seed, longest=1e-3)
    plant_expiry(monkeypatch, ProcessCommunicator)
    np.testing.assert_equal(three_steps(threads=3, processes=True), expected)


@pytest.mark.parametrize("missing", ["os.fork", "os.sysconf", "mmap.MAP_SHARED", "mmap.MAP_ANONYMOUS"])
def test_threads_do_the_work_where_processes_cannot(monkeypatch, missing):
    monkeypatch.delattr(missing)
    before = workers()
    network = network_of()
    network.place({"net/a/factor": np.ones(1)})
    network.start()
    assert step_of(network) == X.sum()
    assert workers() <= before  # those of other tests may end meanwhile


def test_variables_are_placed_before_processes_are_started():
    network = network_of()
    with pytest.raises(RuntimeError, match="before the processes are started"):
        network.place({"net/a/factor": np.ones(1)})
    network.close()
    assert network.place({"net/a/factor": np.ones(1)}).keys() == {"net/a/factor"}


@pytest.mark.parametrize("processes", [True, False])
def test_only_the_last_batch_goes_back(processes):
    network = network_of(processes)
    params = {"net/a/factor": np.float64(1), "net/a/seen": np.float64(0)}
    first, second = (network.forward(params, {"x": X}, training=True) for _ in range(2))
    assert set(second.backward({"b": X})) == {"net/a/factor"}
    with pytest.raises(RuntimeError, match="another batch has gone forward since"):
        first.backward({"b": X})
    last = network.forward(params, {"x": X}, training=True)
    network.forward(params, {"x": X[:1]}, training=False)  # which the worker does not see
    with pytest.raises(RuntimeError, match="another batch has gone forward since"):
        last.backward({"b": X})
    for end in (network.close, lambda: network.freeze(plan(network.graph), (), ())):
        network.start()
        last = network.forward(params, {"x": X}, training=True)
        end()
        with pytest.raises(RuntimeError, match="or the network was closed"):
            last.backward({"b": X})


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("trouble", ["forwards", "backwards"])
def test_an_error_in_one_rank_comes_out_and_ends_the_workers(trouble, rank):
    before = workers()
    network = network_of(**{trouble: "error"}, rank=rank)
    with pytest.raises(ValueError, match=f"rank {rank}"):
        step_of(network)
    assert workers() <= before  # those of other tests may end meanwhile


@pytest.mark.parametrize("trouble", ["forwards", "backwards"])
def test_a_killed_worker_is_named(trouble):
    before = workers()
    network = network_of(**{trouble: "kill"})
    started = time.monotonic()
    with pytest.raises(MachineError, match=r"the process of shard 1 \(pid \d+\) was killed by signal 9") as caught:
        step_of(network)
    assert caught.value.code == "G521"
    assert time.monotonic() - started < 5
    assert workers() <= before  # those of other tests may end meanwhile


def test_workers_are_forked_before_the_thread_that_makes_batches(project, monkeypatch):
    """A fork takes OpenBLAS's threads from a product that is under way in another thread, which then never ends."""
    threads = []

    class Seen(RemoteExecution):
        def __init__(self, *arguments):
            threads.append({thread.name for thread in threading.enumerate()})
            super().__init__(*arguments)

    monkeypatch.setattr("graphc.execution.network.RemoteExecution", Seen)
    before = workers()
    train(project / "recipe.yaml", project / "run", ["epochs=2"], options=Options(threads=2))
    assert len(threads) == 1
    assert not [name for name in threads[0] if name.startswith("graphc-batches")]
    assert workers() <= before  # those of other tests may end meanwhile


def test_a_killed_trainer_leaves_nothing_behind(tmp_path):
    """The worker ends by itself, and holds nothing open meanwhile."""
    script = textwrap.dedent(
        f"""
        import os, time, fcntl
        from tests.train.test_processes import network_of, step_of, workers
        handle = os.open({str(tmp_path / "lock")!r}, os.O_CREAT | os.O_RDWR)
        fcntl.flock(handle, fcntl.LOCK_EX)
        network = network_of()
        step_of(network)
        print(*workers(), flush=True)
        time.sleep(60)
        """
    )
    root = Path(__file__).parents[2]
    process = subprocess.Popen([sys.executable, "-c", script], cwd=root, stdout=subprocess.PIPE, text=True)
    (worker,) = map(int, process.stdout.readline().split())
    held = [os.readlink(path) for path in Path(f"/proc/{worker}/fd").iterdir()]
    assert not [path for path in held if "lock" in path]
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while state_of(worker)[0] != "Z" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert state_of(worker)[0] == "Z"
    process.stdout.close()
