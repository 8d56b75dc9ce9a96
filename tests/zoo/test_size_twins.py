"""Nets that go up and down in size compute what PyTorch's do, or twins written from papers; run by `.ci/weights`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.zoo.slim import plan_of
from tests.zoo.twins import distance_from_checkpoint, distances, randomized

torch = pytest.importorskip("torch", reason="compared with PyTorch where it is installed")
nn = torch.nn
NEAR = 1e-5


def convolution(inputs: int, outputs: int, kernel: int = 3) -> Any:
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)


class Edsr(nn.Module):
    """The baseline, without the mean color."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.last, self.tail = (convolution(*sizes) for sizes in ((3, 64), (64, 64), (64, 3)))
        pairs = [(convolution(64, 64), convolution(64, 64)) for _ in range(16)]
        self.units = nn.ModuleList(nn.Sequential(first, nn.ReLU(), second) for first, second in pairs)
        self.up = nn.Sequential(convolution(64, 256), nn.PixelShuffle(2))

    def forward(self, x: Any) -> Any:
        x = y = self.head(x)
        for unit in self.units:
            y = y + unit(y)
        return self.tail(self.up(self.last(y) + x))


def espcn() -> Any:
    first, second = convolution(1, 64, 5), convolution(64, 32)
    return nn.Sequential(first, nn.Tanh(), second, nn.Tanh(), convolution(32, 9), nn.PixelShuffle(3))


@pytest.mark.parametrize(("name", "make"), [("edsr", Edsr), ("espcn", espcn)])
def test_nets_compute_what_their_twins_do(name: str, make: Any) -> None:
    plan = plan_of(name, ("height=12", "width=9"))
    found = distances(torch, plan, randomized(torch, make()))
    assert max(found.values()) < NEAR, found


@pytest.mark.filterwarnings("ignore")
def test_hrnet_is_timms(tmp_path: Any) -> None:
    timm = pytest.importorskip("timm")
    model = randomized(torch, timm.create_model("hrnet_w18"))
    assert distance_from_checkpoint(torch, "hrnet_w18", model, tmp_path) < NEAR
