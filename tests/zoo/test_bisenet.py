"""BiSeNet computes what its twin in PyTorch does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.zoo.slim import plan_of
from tests.zoo.twins import distances, randomized

torch = pytest.importorskip("torch", reason="compared with PyTorch where it is installed")
nn, F = torch.nn, torch.nn.functional
pytestmark = pytest.mark.filterwarnings("ignore")  # of what the library still uses, and will not for long


def conv(inputs: int, outputs: int, kernel: int, act: Any = None, stride: int = 1) -> Any:
    """A convolution without bias, batch norm, and an activation."""
    weights = nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, bias=False)
    return nn.Sequential(weights, nn.BatchNorm2d(outputs), *([act] if act is not None else []))


class BasicUnit(nn.Module):
    """ResNet-18's, the shortcut first."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.shortcut = conv(inputs, outputs, 1, stride=stride) if stride > 1 else nn.Identity()
        self.inner = nn.Sequential(conv(inputs, outputs, 3, nn.ReLU(), stride=stride), conv(outputs, outputs, 3))

    def forward(self, x: Any) -> Any:
        kept = self.shortcut(x)
        return F.relu(self.inner(x) + kept)


class BiSeNet(nn.Module):
    """As it is most used in PyTorch: batch norm behind the gates, and a spatial path of 64 channels."""

    def __init__(self) -> None:
        super().__init__()
        relu = nn.ReLU()
        self.stem = nn.Sequential(conv(3, 64, 7, relu, stride=2), nn.MaxPool2d(3, 2, 1))
        widths = ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2))
        self.stages = nn.ModuleList(
            nn.Sequential(BasicUnit(old, new, stride), BasicUnit(new, new, 1)) for old, new, stride in widths
        )
        self.average = conv(512, 128, 1, relu)
        self.refine32, self.gate32 = conv(512, 128, 3, relu), conv(128, 128, 1, nn.Sigmoid())
        self.refine16, self.gate16 = conv(256, 128, 3, relu), conv(128, 128, 1, nn.Sigmoid())
        self.coarse, self.fine = conv(128, 128, 3, relu), conv(128, 128, 3, relu)
        self.spatial = nn.Sequential(
            conv(3, 64, 7, relu, stride=2), conv(64, 64, 3, relu, stride=2), conv(64, 64, 3, relu, stride=2),
            conv(64, 128, 1, relu),
        )  # fmt: skip
        self.fuse, self.gate = conv(256, 256, 1, relu), conv(256, 256, 1, nn.Sigmoid())
        self.head = nn.Sequential(conv(256, 256, 3, relu), nn.Conv2d(256, 19, 1))

    def forward(self, x: Any) -> Any:
        feat8 = self.stages[1](self.stages[0](self.stem(x)))
        feat16 = self.stages[2](feat8)
        feat32 = self.stages[3](feat16)

        def attended(features: Any, gate: Any) -> Any:
            return features * gate(features.mean((2, 3), keepdim=True))

        average = self.average(feat32.mean((2, 3), keepdim=True))
        coarse = self.coarse(F.interpolate(attended(self.refine32(feat32), self.gate32) + average, scale_factor=2))
        fine = self.fine(F.interpolate(attended(self.refine16(feat16), self.gate16) + coarse, scale_factor=2))
        fused = self.fuse(torch.cat([self.spatial(x), fine], 1))
        scores = self.head(attended(fused, self.gate) + fused)
        return F.interpolate(scores, scale_factor=8, mode="bilinear")


def test_bisenet_is_its_twin() -> None:
    found = distances(torch, plan_of("bisenet", ("resolution=64",)), randomized(torch, BiSeNet()))
    assert max(found.values()) < 1e-5, found
