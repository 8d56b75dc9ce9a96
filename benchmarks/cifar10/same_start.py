"""ResNet-20 in graphc and in PyTorch from the same weights on the same batches: the losses of the first steps.

python same_start.py FOLDER [STEPS [float32]]     # FOLDER holds train.npz

Needs torch and graphc in one environment. In float64 the losses agree to the last digit shown; in float32 two
right implementations part after a few steps, since each rounding is a push.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from torch_reference import BATCH, Basic, read, resnet20

from graphc.data.batch import Batch
from graphc.spec.model import read_spec
from graphc.train.numpy_engine import NumpyEngine
from graphc.train.recipe import read_recipe
from graphc.train.setup import new_state
from graphc.train.state import TrainState
from graphc.train.task import Task

HERE = Path(__file__).parent
BLOCKS = [f"stage1/stage1_{n}" for n in (1, 2, 3)]
BLOCKS += ["stage2_1", "stage2/stage2_1", "stage2/stage2_2", "stage3_1", "stage3/stage3_1", "stage3/stage3_2"]
RATE = 0.05


def pairs(net: torch.nn.Sequential) -> list[tuple[str, torch.nn.Module, torch.nn.BatchNorm2d]]:
    """(our layer, their convolution, their batch norm)."""
    found = [("conv1", net[0], net[1])]
    blocks = [module for module in net if isinstance(module, Basic)]
    for name, block in zip(BLOCKS, blocks, strict=True):
        found += [(f"{name}/conv1", block.conv1, block.norm1), (f"{name}/conv2", block.conv2, block.norm2)]
        if isinstance(block.shortcut, torch.nn.Sequential):
            found.append((f"{name}/shortcut", block.shortcut[0], block.shortcut[1]))
    return found


def give(state: TrainState, net: torch.nn.Sequential) -> None:
    """Copy our initial weights into their net; batch norms start alike anyway."""
    params = {name: torch.from_numpy(value) for name, value in state.params.items()}

    def one(ending: str) -> torch.Tensor:
        (found,) = (value for name, value in params.items() if name == f"resnet20/{ending}")
        return found

    with torch.no_grad():
        for name, conv, _ in pairs(net):
            conv.weight.copy_(one(f"{name}/weights").permute(3, 2, 0, 1))
        net[-1].weight.copy_(one("logits/weights").T)
        net[-1].bias.copy_(one("logits/biases"))


def main() -> None:
    folder, steps = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 10
    dtype = sys.argv[3] if len(sys.argv) > 3 else "float64"
    engine = NumpyEngine(
        Task.of(read_recipe(HERE / "recipe.yaml", [f"dtype={dtype}"]), read_spec(HERE / "resnet20.yaml"))
    )
    state, net = new_state(engine), resnet20().to(getattr(torch, dtype))
    give(state, net)
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE, momentum=0.9, weight_decay=1e-4)
    images, labels = read(folder / "train.npz")
    for step in range(steps):
        rows = np.random.default_rng([0, step]).choice(len(images), BATCH, replace=False)
        batch = images[rows].to(getattr(torch, dtype))
        loss = functional.cross_entropy(net(batch), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        x = np.ascontiguousarray(batch.permute(0, 2, 3, 1).numpy())
        ours = engine.compute(state, [Batch({"image": x}, {"label": labels[rows].numpy()})], RATE)
        ours.commit()
        print(f"step {step + 1:>3}  graphc {ours.loss:.6f}  torch {loss.item():.6f}", flush=True)


if __name__ == "__main__":
    main()
