"""YOLOv3-tiny: the published count, and a twin in PyTorch from darknet's cfg."""

from __future__ import annotations

from typing import Any

import pytest

from graphc.layers.base import elements
from tests.zoo.slim import plan_of
from tests.zoo.twins import distances, randomized

NUMBERS = 8_858_734
"""In the published yolov3-tiny.weights, behind its header."""


def test_it_has_the_published_numbers() -> None:
    plan = plan_of("yolov3_tiny")
    assert sum(elements(spec.shape) for spec in plan.variables.values()) == NUMBERS


def tiny(torch: Any) -> Any:
    """The twin: darknet's cfg in PyTorch."""
    nn, functional = torch.nn, torch.nn.functional

    def conv(inputs: int, outputs: int, size: int) -> Any:
        parts = nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False), nn.BatchNorm2d(outputs, eps=1e-5)
        return nn.Sequential(*parts, nn.LeakyReLU(0.1))

    class Tiny(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            sizes = (3, 16, 32, 64, 128, 256, 512, 1024)
            self.down = nn.ModuleList(conv(sizes[i], sizes[i + 1], 3) for i in range(7))
            self.squeeze, self.last = conv(1024, 256, 1), conv(256, 512, 3)
            self.large = nn.Conv2d(512, 255, 1)
            self.across, self.joined = conv(256, 128, 1), conv(384, 256, 3)
            self.small = nn.Conv2d(256, 255, 1)

        def forward(self, x: Any) -> Any:
            for layer in self.down[:4]:
                x = functional.max_pool2d(layer(x), 2)
            middle = self.down[4](x)
            x = self.down[5](functional.max_pool2d(middle, 2))
            x = functional.max_pool2d(functional.pad(x, (0, 1, 0, 1), value=float("-inf")), 2, 1)
            x = self.squeeze(self.down[6](x))
            large = self.large(self.last(x))
            up = functional.interpolate(self.across(x), scale_factor=2)
            return large, self.small(self.joined(torch.cat([up, middle], 1)))

    return Tiny()


def test_it_computes_what_its_twin_does() -> None:
    torch = pytest.importorskip("torch", reason="compared with PyTorch where it is installed")
    found = distances(torch, plan_of("yolov3_tiny", ("resolution=64",)), randomized(torch, tiny(torch)))
    assert max(found.values()) < 1e-5, found
