"""resnet20 on two ranks of one host, and of two hosts with a cable of 1 Gbit/s, against two processes of one graphc.

Interleaved, medians of the epochs behind the first; all three end with the same bytes, which is checked. Two hosts are
network namespaces: as root, with iproute2. In an environment with `graphc[test,mpi]` and mpich:

python -m benchmarks.ranks [ROUNDS]
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from tests.cluster.hosts import Hosts, two_hosts
from tests.cluster.ranks import GRAPHC, digests, finished, start

EXAMPLES, EPOCHS, LIMIT = 1280, 4, 600
RECIPE = f"""\
recipe: 1
model: resnet20_cifar.yaml
data: {{train: {{npz: {{path: train.npz}}}}}}
loss: softmax_cross_entropy
optimizer: {{momentum: {{momentum: 0.9, weight_decay: 0.0001}}}}
learning_rate: 0.01
batch: 128
shards: 2
drop_last: true
epochs: {EPOCHS}
"""


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with (
        tempfile.TemporaryDirectory() as name,
        tempfile.TemporaryDirectory() as scripts,
        two_hosts(Path(scripts)) as hosts,
    ):
        folder = Path(name)
        write_project(folder)
        hosts.rate("1gbit")
        seconds: dict[str, list[float]] = {}
        for number in range(rounds):
            for kind in ("processes", "ranks", "hosts"):
                run = f"{kind}{number}"
                train(kind, hosts, run, folder)
                seconds.setdefault(kind, []).extend(epoch_seconds(folder / run)[1:])
        for kind in ("ranks", "hosts"):
            if digests(folder / "processes0") != digests(folder / f"{kind}0"):
                sys.exit(f"{kind}: other bytes than two processes")
    base = statistics.median(seconds["processes"])
    for kind, each in seconds.items():
        middle = statistics.median(each)
        low, high = min(each), max(each)
        print(f"{kind:10} {middle:6.2f} s an epoch ({low:.2f} to {high:.2f}), speed {base / middle:.2f}")


def write_project(folder: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.standard_normal((EXAMPLES, 32, 32, 3), dtype=np.float32)
    np.savez(folder / "train.npz", x=images, y=rng.integers(0, 10, EXAMPLES))
    (folder / "recipe.yaml").write_text(RECIPE)
    spec = Path(__file__).parent / "nets" / "resnet20_cifar.yaml"
    (folder / spec.name).write_text(spec.read_text())


def train(kind: str, hosts: Hosts, run: str, folder: Path) -> None:
    command = ("train", "recipe.yaml", "-o", run, "-q")
    if kind == "processes":
        subprocess.run([*GRAPHC, *command], cwd=folder, check=True, timeout=LIMIT)
        return
    process = start(2, *command, cwd=folder) if kind == "ranks" else hosts.start((1, 1), *command, cwd=folder)
    code, _, errors = finished(process, LIMIT)
    if code:
        sys.exit(errors)


def epoch_seconds(run: Path) -> list[float]:
    return [json.loads(line)["seconds"] for line in (run / "timing.jsonl").read_text().splitlines()]


if __name__ == "__main__":
    main()
