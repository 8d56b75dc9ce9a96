"""The recipe beside this file in PyTorch: the same net, batches, schedule; one line of JSON an epoch.

    python torch_reference.py FOLDER SEED     # FOLDER holds train.npz and test.npz

Initial weights are truncated normal of variance 2/fan_in, as graphc draws them, from PyTorch's own generator.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

EPOCHS, BATCH, RATE = 10, 128, 0.1
MEAN, STD = [0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]


class Basic(nn.Module):
    def __init__(self, filters_in: int, filters: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(filters_in, filters, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(filters)
        projection = (nn.Conv2d(filters_in, filters, 1, stride, bias=False), nn.BatchNorm2d(filters))
        self.shortcut = nn.Sequential(*projection) if stride > 1 else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.relu(self.norm1(self.conv1(x)))
        return functional.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


def resnet20() -> nn.Sequential:
    blocks = [Basic(16, 16, 1) for _ in range(3)]
    blocks += [Basic(16, 32, 2), Basic(32, 32, 1), Basic(32, 32, 1)]
    blocks += [Basic(32, 64, 2), Basic(64, 64, 1), Basic(64, 64, 1)]
    stem = (nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def start(net: nn.Module) -> None:
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            deviation = math.sqrt(1.3 * 2 / module.weight[0].numel())
            nn.init.trunc_normal_(module.weight, 0, deviation, -2 * deviation, 2 * deviation)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def read(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    with np.load(path) as data:
        images = (torch.from_numpy(data["x"]).float() / 255 - torch.tensor(MEAN)) / torch.tensor(STD)
        return images.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last), torch.from_numpy(data["y"])


def rate(step: int, steps: int, per_epoch: int) -> float:
    warm_up = min(1.0, 0.1 + 0.9 * step / per_epoch)
    return RATE * warm_up * (1 + math.cos(math.pi * step / steps)) / 2


def accuracy(net: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    net.eval()
    with torch.no_grad():
        pairs = zip(images.split(500), labels.split(500), strict=True)
        right = sum(int((net(x).argmax(1) == y).sum()) for x, y in pairs)
    net.train()
    return right / len(labels)


def main() -> None:
    folder, seed = Path(sys.argv[1]), int(sys.argv[2])
    images, labels = read(folder / "train.npz")
    test_images, test_labels = read(folder / "test.npz")
    count = len(images)
    torch.manual_seed(seed)
    net = resnet20().to(memory_format=torch.channels_last)
    start(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE, momentum=0.9, weight_decay=1e-4)
    per_epoch = count // BATCH
    steps, step = EPOCHS * per_epoch, 0
    for epoch in range(EPOCHS):
        order = np.random.default_rng([seed, epoch]).permutation(count)[: per_epoch * BATCH]
        losses = 0.0
        for rows in order.reshape(per_epoch, BATCH):
            optimizer.param_groups[0]["lr"] = rate(step, steps, per_epoch)
            loss = functional.cross_entropy(net(images[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses += loss.item()
            step += 1
        found = {
            "epoch": epoch + 1,
            "loss": losses / per_epoch,
            "validation_accuracy": accuracy(net, test_images, test_labels),
        }
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
