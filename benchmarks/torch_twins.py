"""The nets of the training benchmark in PyTorch, layer for layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return [convolution, nn.BatchNorm2d(outputs, eps=1e-3, momentum=1e-3)]


class Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        stride = 1 if inputs == outputs else 2
        self.body = nn.Sequential(*_conv(inputs, outputs, 3, stride), nn.ReLU(True), *_conv(outputs, outputs))
        self.shortcut = nn.Identity() if stride == 1 else nn.Sequential(*_conv(inputs, outputs, 1, stride))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu_(self.body(x) + self.shortcut(x))


def vgg_cifar() -> nn.Module:
    layers: list[nn.Module] = []
    inputs = 3
    for outputs in (64, 128, 256):
        layers += [*_conv(inputs, outputs), nn.ReLU(True), *_conv(outputs, outputs), nn.ReLU(True), nn.MaxPool2d(2)]
        inputs = outputs
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(4096, 10))


def resnet20_cifar() -> nn.Module:
    layers: list[nn.Module] = [*_conv(3, 16), nn.ReLU(True)]
    inputs = 16
    for outputs in (16, 16, 16, 32, 32, 32, 64, 64, 64):
        layers.append(Residual(inputs, outputs))
        inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(True), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(True), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(3136, 1024), nn.ReLU(True), nn.Dropout(0.5), nn.Linear(1024, 10),
    )  # fmt: skip


TWINS = {"vgg_cifar": vgg_cifar, "lenet": lenet, "resnet20_cifar": resnet20_cifar}
