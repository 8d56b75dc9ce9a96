"""Images a second of a whole training step (forward, loss, backward, SGD), beside PyTorch's where it is installed.

    python benchmarks/train_throughput.py [--threads 2] [--rounds 5] [--net vgg_cifar] [--graph] [--cpu-time]

`--graph` adds the training graph in onnxruntime, on the CPU. `--cpu-time` counts the processor's seconds in place of
the clock's, of one thread: what a machine with other work can measure.
All take turns in one process, a few steps each, so that whatever else the machine does hits both; the ratio is
the median over rounds, after one to warm up, of ours against PyTorch's best configuration (channels_last or not) in the
same round.
Peak memory comes from a process of its own for each, less what the process held before the net was made; what
graphc's worker has to itself counts.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from graphc import initializers
from graphc.data.batch import Batch
from graphc.execution.network import Network
from graphc.parallel.blas import single_threaded_blas
from graphc.parallel.threads import WORTH_SHARING, ThreadGroup
from graphc.passes.expand import expand
from graphc.passes.plan import plan
from graphc.spec.model import read_spec
from graphc.train.blocks import alone
from graphc.train.onnxruntime_engine import OnnxruntimeEngine
from graphc.train.optimizers import Sgd
from graphc.train.recipe import read_recipe_text
from graphc.train.setup import new_state
from graphc.train.task import Task

HERE = Path(__file__).parent
NETS = {
    "vgg_cifar": HERE / "nets/vgg_cifar.yaml",
    "lenet": HERE.parent / "specs/lenet.yaml",
    "resnet20_cifar": HERE / "nets/resnet20_cifar.yaml",
}
BATCH, STEPS, RATE = 64, 3, 0.01
RECIPE = f"""
recipe: 1
model: net
data: {{train: digits}}
loss: softmax_cross_entropy
optimizer: sgd
learning_rate: {RATE}
steps: 1
"""

Step = Callable[[], None]


def graphc_step(net: str, threads: int) -> Step:
    planned = plan(expand(read_spec(NETS[net])))
    network = Network(planned, threads=threads, processes=True, factored=planned.variables)  # as the trainer does
    params = network.place(initializers.initial_values(planned.variables, 0))
    network.start()
    images, labels = _batch(tuple(planned.graph.inputs[0].shape))
    (logits,) = planned.graph.outputs.values()
    sgd, group, step = Sgd(), ThreadGroup(threads=threads), 0

    def run() -> None:
        nonlocal step
        step += 1
        with single_threaded_blas:  # the trainer: for all steps at once
            done = network.forward(params, {planned.graph.inputs[0].name: images}, training=True, step=step)
            gradients = done.backward({logits: _softmax_gradient(done.value(logits), labels)})
            for name, gradient in gradients.items():
                share = group.parallel_for if gradient.size >= WORTH_SHARING else alone
                sgd.update(params[name], gradient, (), RATE, step, share)
            params.update(done.updates)

    return run


def graph_step(net: str, threads: int) -> Step:
    """The training graph in onnxruntime; without the spec's regularizers, which the others have not either."""
    task = Task.of(read_recipe_text(RECIPE), read_spec(NETS[net]))
    engine = OnnxruntimeEngine(task, threads)
    engine.learning = replace(engine.learning, regularizers={})
    state = new_state(engine)
    (given,) = task.plan.graph.inputs
    images, labels = _batch(tuple(given.shape))
    batch = Batch({given.name: images}, {"label": labels})
    return lambda: engine.compute(state, [batch], RATE).commit()


def torch_step(net: str, threads: int, channels_last: bool) -> Step:
    import torch
    from torch_twins import TWINS

    torch.set_num_threads(threads)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = TWINS[net]().to(memory_format=layout)
    shape = tuple(plan(expand(read_spec(NETS[net]))).graph.inputs[0].shape)
    nhwc, numbers = _batch(shape)
    images = torch.from_numpy(nhwc).permute(0, 3, 1, 2).contiguous(memory_format=layout)
    labels = torch.from_numpy(numbers)
    sgd = torch.optim.SGD(model.parameters(), RATE)

    def run() -> None:
        sgd.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        sgd.step()

    return run


def _batch(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.normal(size=(BATCH, *shape)).astype(np.float32), random.integers(0, 10, BATCH)


def _softmax_gradient(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    gradient = np.exp(logits - logits.max(axis=1, keepdims=True))
    gradient /= gradient.sum(axis=1, keepdims=True)
    gradient[np.arange(len(labels)), labels] -= 1
    return gradient / len(labels)


def images_a_second(step: Step, clock: Callable[[], float]) -> float:
    """Median of a few steps, after one that does not count."""
    step()
    times = []
    for _ in range(STEPS):
        start = clock()
        step()
        times.append(clock() - start)
    return BATCH / statistics.median(times)


def compare(net: str, threads: int, rounds: int, graph: bool, clock: Callable[[], float]) -> str:
    steps = {"graphc": graphc_step(net, threads)}
    if graph:
        steps["graph"] = graph_step(net, threads)
    if _has_torch():
        steps |= {"torch": torch_step(net, threads, False), "torch channels_last": torch_step(net, threads, True)}
    speeds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(1 + rounds):
        for name, step in steps.items():
            found = images_a_second(step, clock)
            if number:  # in the first, threads of all kinds still start and wait for work
                speeds[name].append(found)
    line = f"{net:15}" + "".join(f"  {name} {statistics.median(found):6.0f}/s" for name, found in speeds.items())
    theirs = [found for name, found in speeds.items() if name.startswith("torch")]
    for name, ours in speeds.items():
        if theirs and not name.startswith("torch"):
            ratios = [mine / max(other) for mine, *other in zip(ours, *theirs, strict=True)]
            line += f"  ratio of {name} {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    return line


def peak_memory(net: str, threads: int, who: str) -> float:
    """MB that the net, its data and ten steps add to a process."""
    command = [sys.executable, __file__, "--net", net, "--threads", str(threads), "--memory", who]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure_memory(net: str, threads: int, who: str) -> None:
    if who.startswith("torch"):
        import torch  # noqa: F401  (its own size does not count)
    before = _kilobytes("self/status", "VmRSS")
    makers = {"graphc": graphc_step, "graph": graph_step}
    step = makers[who](net, threads) if who in makers else torch_step(net, threads, who == "torch channels_last")
    for _ in range(10):
        step()
    workers = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    private = sum(_kilobytes(f"{worker}/smaps_rollup", "Private_Dirty") for worker in workers)
    print((_kilobytes("self/status", "VmHWM") - before + private) / 1e3)


def _kilobytes(file: str, key: str) -> int:
    for line in Path("/proc", file).read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1])
    raise OSError(f"/proc/{file} has no {key}")


def _has_torch() -> bool:
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError:
        return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--net", choices=list(NETS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--graph", action="store_true", help="also the training graph in onnxruntime")
    parser.add_argument("--cpu-time", action="store_true", help="count the processor's seconds, of one thread")
    parser.add_argument("--memory", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.memory:
        measure_memory(given.net, given.threads, given.memory)
        return
    threads, clock = (1, time.process_time) if given.cpu_time else (given.threads, time.perf_counter)
    for net in [given.net] if given.net else NETS:
        print(compare(net, threads, given.rounds, given.graph, clock))
        peers = ["graphc", *["graph"] * given.graph, *["torch", "torch channels_last"] * _has_torch()]
        print("    peak memory " + "  ".join(f"{who} {peak_memory(net, threads, who):.0f} MB" for who in peers))


if __name__ == "__main__":
    main()
