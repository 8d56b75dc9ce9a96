"""What a step of synchronous data-parallel training takes on n hosts of one rank each: a simulation, layer by layer, of
what graphc does (docs/cluster.md says it in words), with constants that were measured.

python -m benchmarks.cluster_model             the tables of docs/cluster.md
python -m benchmarks.cluster_model --measure   messages between two hosts (network namespaces), as root

Arithmetic grows with an example's multiplications. Ranks come together twice for each batch norm and a few times more:
an exchange takes EXCHANGE, a MESSAGE for each other rank, and its bytes. A gradient's sum takes two messages for each
other rank, and 2·(n-1)/n of its bytes out and in, on a wire that carries one after the other while the backward pass
goes on. Ranks are equally fast, and the network has no bottleneck between hosts.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from graphc.compiler import plan_spec
from graphc.execution.distributed import STREAMED_FROM
from graphc.layers.base import elements

NETS = {"resnet20": "benchmarks/nets/resnet20_cifar.yaml", "resnet50": "specs/resnet50.yaml"}
ROOT = Path(__file__).parents[1]
BATCH, STEP_OF_PROCESSES, STEP_OF_HOSTS = 128, 0.197, 0.204
"""Seconds that a step of resnet20 takes in two processes of one graphc, and on two hosts with 1 Gbit/s between them:
benchmarks/README.md, an idle machine, 30 November 2026."""
MESSAGE = 23e-6
"""Seconds that a message takes of a rank: 130 of them in 3.0 ms, the quickest of 30 times, the same day, a machine with
other work."""
LINK_SHARE = 0.86
"""Of a link's bits that arrive as arrays: 4 MiB in 39 ms at 1 Gbit/s, likewise."""
HOSTS, GIGABITS = (8, 64, 512), (1, 10, 100)


@dataclass(frozen=True)
class Part:
    """A layer of a net."""

    macs: float
    """Of one example."""
    norm_bytes: int
    """That each rank tells of a batch norm, forward and again backward."""
    streamed: tuple[int, ...]
    """Bytes of gradients that are sent by themselves."""


@dataclass(frozen=True)
class Net:
    parts: tuple[Part, ...]
    packed: int
    """Bytes of the gradients that are sent together."""
    output_bytes: int
    """Of one example."""

    @property
    def macs(self) -> float:
        return sum(part.macs for part in self.parts)


@dataclass(frozen=True)
class Cluster:
    """n hosts and what joins them."""

    hosts: int
    gigabits: float
    rate: float
    """Multiplications a second of a host, all else that a step does included."""
    exchange: float
    """Seconds that ranks take to come together, waiting for the later one and the network included."""

    def exchanged(self, size: float) -> float:
        """Seconds of an exchange of so many bytes of each rank."""
        return self.exchange + (self.hosts - 1) * (MESSAGE + size / self.bytes_a_second)

    def summed(self, size: float) -> float:
        """Seconds that an array of so many bytes keeps the wire busy."""
        others = self.hosts - 1
        return 2 * others * MESSAGE + 2 * others / self.hosts * size / self.bytes_a_second

    @property
    def bytes_a_second(self) -> float:
        return self.gigabits * 1e9 / 8 * LINK_SHARE


def net_of(path: str) -> Net:
    """The parts of a spec."""
    plan = plan_spec(ROOT / path)
    parts, packed = [], 0
    for node in plan.nodes:
        sizes = [elements(each.shape) for each in node.params.values() if each.trainable]
        norm = 2 * 4 * int(node.shape[-1]) if node.node.layer.kind == "batch_norm" else 0
        parts.append(Part(float(node.macs or 0), norm, tuple(4 * size for size in sizes if size >= STREAMED_FROM)))
        packed += 4 * sum(size for size in sizes if size < STREAMED_FROM)
    return Net(tuple(parts), packed, 4 * int(plan.nodes[-1].shape[-1]))


def step_seconds(net: Net, batch: int, cluster: Cluster) -> float:
    """Seconds that one step takes; of more hosts than examples some are idle."""
    hosts = min(cluster.hosts, batch)
    cluster = replace(cluster, hosts=hosts)
    examples = -(-batch // hosts)
    if hosts == 1:
        return 3 * net.macs * batch / cluster.rate
    now = wire = 0.0
    for part in net.parts:
        now += part.macs * examples / cluster.rate
        now += cluster.exchanged(part.norm_bytes) if part.norm_bytes else 0
    now += 2 * cluster.exchanged(net.output_bytes * examples)  # outputs, targets
    for part in reversed(net.parts):
        now += 2 * part.macs * examples / cluster.rate
        now += cluster.exchanged(part.norm_bytes) if part.norm_bytes else 0
        for size in part.streamed:
            wire = max(wire, now) + cluster.summed(size)
    wire = max(wire, now) + cluster.summed(net.packed)
    return max(now, wire) + 2 * cluster.exchanged(0)  # gradients that one rank has alone; whether to stop


def fitted(net: Net) -> tuple[float, float]:
    """(multiplications a second, seconds of an exchange) with which the measured steps of two ranks come out."""
    rate = 3 * net.macs * (BATCH / 2) / STEP_OF_PROCESSES
    low, high = 0.0, STEP_OF_HOSTS
    for _ in range(60):
        middle = (low + high) / 2
        slow = step_seconds(net, BATCH, Cluster(2, 1, rate, middle)) > STEP_OF_HOSTS
        low, high = (low, middle) if slow else (middle, high)
    return rate, low


def tables() -> str:
    """What the model says, in Markdown."""
    nets = {name: net_of(path) for name, path in NETS.items()}
    rate, exchange = fitted(nets["resnet20"])
    lines = [f"Fitted: {rate / 1e9:.1f}·10⁹ multiplications a second of a host, {exchange * 1e3:.2f} ms an exchange."]

    def speed_up(net: Net, batch: int, hosts: int, gigabits: float) -> float:
        one = step_seconds(net, batch, Cluster(1, gigabits, rate, exchange))
        return one / step_seconds(net, batch, Cluster(hosts, gigabits, rate, exchange))

    lines += ["", *_head("net, examples a host", [f"{n} hosts" for n in HOSTS])]
    for name, net in nets.items():
        for examples in (8, 32, 128):
            found = [[f"{speed_up(net, examples * n, n, g):.3g}" for g in GIGABITS] for n in HOSTS]
            lines.append(_row(f"{name}, {examples}", [" / ".join(each) for each in found]))
    lines += ["", *_head("net, examples a batch", [f"{g} Gbit/s" for g in GIGABITS])]
    for name, net in nets.items():
        for batch in (32, 128, 512, 2048, 8192):
            lines.append(_row(f"{name}, {batch}", [_limit(net, batch, g, speed_up) for g in GIGABITS]))
    return "\n".join(lines) + "\n"


def _limit(net: Net, batch: int, gigabits: float, speed_up: Callable[[Net, int, int, float], float]) -> str:
    """The hosts up to which twice as many are at least 1.4 times as fast, and how fast these are."""
    hosts = 1
    while 2 * hosts <= max(HOSTS):
        if speed_up(net, batch, 2 * hosts, gigabits) < 1.4 * speed_up(net, batch, hosts, gigabits):
            break
        hosts *= 2
    return f"{hosts} ({speed_up(net, batch, hosts, gigabits):.3g})"


def _head(first: str, columns: Sequence[str]) -> list[str]:
    return [_row(first, columns), _row("---", ["---:"] * len(columns))]


def _row(first: str, cells: Sequence[str]) -> str:
    return f"| {first} | {' | '.join(cells)} |"


def measure() -> None:
    """The quickest exchanges and sums of two hosts; their ranks run this file too."""
    from tests.cluster import hosts as namespaces
    from tests.cluster.ranks import GRAPHC, finished

    GRAPHC[:] = [sys.executable, "-m", "benchmarks.cluster_model", "--rank"]
    with tempfile.TemporaryDirectory() as scripts, namespaces.two_hosts(Path(scripts)) as hosts:
        hosts.rate("1gbit")
        code, out, errors = finished(hosts.start((1, 1), cwd=ROOT), 300)
        print(out or errors)
        sys.exit(code)


def rank() -> None:
    import numpy as np

    from graphc.parallel.mpi import world_of_ranks
    from graphc.parallel.ordered_sums import OrderedSums

    world = world_of_ranks()
    sums, small = OrderedSums(world, [range(each, each + 1) for each in range(world.size)]), np.ones(16, np.float32)

    def add() -> None:
        for number in range(65):
            sums.start(number, [small], small.shape, np.float32)
        sums.finish()

    works: dict[str, tuple[int, Callable[[], object]]] = {
        "exchange of 64 bytes": (300, lambda: world.exchange(small)),
        "exchange of 4 MiB": (40, lambda: world.exchange(np.ones(1 << 20, np.float32))),
        "65 sums of 64 bytes": (30, add),
    }
    for name, (times, work) in works.items():
        found = []
        for _ in range(times):
            world.exchange(None)
            began = time.perf_counter()
            work()
            found.append(time.perf_counter() - began)
        if world.rank == 0:  # type: ignore[attr-defined,unused-ignore]
            print(f"{name}: {min(found) * 1e3:.3f} ms, median {sorted(found)[times // 2] * 1e3:.3f} ms")
    world.finish()  # type: ignore[attr-defined,unused-ignore]


if __name__ == "__main__":
    if "--rank" in sys.argv:
        rank()
    elif "--measure" in sys.argv:
        measure()
    else:
        print(tables(), end="")
