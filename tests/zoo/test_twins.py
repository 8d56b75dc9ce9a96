"""Blocks and nets of the zoo compute what PyTorch's do, or twins written from papers; run by `.ci/weights`.

A twin calls its modules in the order of our layers (of a residual, the shortcut first), or its names say the order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphc.execution.network import evaluate
from tests.zoo import test_blocks
from tests.zoo.slim import plan_of
from tests.zoo.twins import called, difference, distance_from_checkpoint, distances, randomized, variables_of

torch = pytest.importorskip("torch", reason="compared with PyTorch where it is installed")
nn, F = torch.nn, torch.nn.functional
pytestmark = pytest.mark.filterwarnings("ignore")  # of what the libraries still use, and will not for long

NEAR = 1e-5


def named(model: Any, names: str) -> list[Any]:
    return [model.get_submodule(name) for name in names.split()]


def conv(inputs: int, outputs: int, kernel: int = 1, act: Any = None, epsilon: float = 1e-5, **more: Any) -> Any:
    """A convolution without bias, batch norm, and an activation."""
    dilation = more.get("dilation", 1)
    padding = dilation * (kernel - 1) // 2
    parts = [nn.Conv2d(inputs, outputs, kernel, padding=padding, bias=False, **more), nn.BatchNorm2d(outputs, epsilon)]
    return nn.Sequential(*parts, *([act] if act is not None else []))


# blocks ----------------------------------------------------------------------------------------------------------


def squeeze_excitation() -> Any:
    ops = pytest.importorskip("torchvision").ops
    return ops.SqueezeExcitation(16, 4)


def cbam() -> Any:
    return pytest.importorskip("timm.layers.cbam").CbamModule(16, rd_channels=4)


def inverted_residual() -> Any:
    v2 = pytest.importorskip("torchvision.models.mobilenetv2")
    v3 = pytest.importorskip("torchvision.models.mobilenetv3")
    config = v3.InvertedResidualConfig(24, 5, 40, 24, True, "HS", 1, 1, 1.0)
    blocks = [v2.InvertedResidual(16, 16, 1, 6), v2.InvertedResidual(16, 24, 2, 6)]
    blocks.append(
        v3.InvertedResidual(
            config, nn.BatchNorm2d, lambda inputs, _: v3.SElayer(inputs, 12, scale_activation=nn.Hardsigmoid)
        )
    )
    return nn.Sequential(*blocks, v2.InvertedResidual(24, 24, 1, 1))


def basic_residual() -> tuple[Any, list[Any]]:
    resnet = pytest.importorskip("torchvision.models.resnet")
    model = nn.Sequential(resnet.BasicBlock(16, 16), resnet.BasicBlock(16, 32, 2, conv(16, 32, stride=2)))
    first, second = "0.conv1 0.bn1 0.conv2 0.bn2", "1.conv1 1.bn1 1.conv2 1.bn2"
    return model, named(model, f"{first} 1.downsample.0 1.downsample.1 {second}")


def bottleneck_residual() -> tuple[Any, list[Any]]:
    resnet = pytest.importorskip("torchvision.models.resnet")
    down = conv(16, 64, stride=2)
    first = resnet.Bottleneck(16, 16, 2, down)
    second = resnet.Bottleneck(64, 16, groups=4, base_width=32, dilation=2)
    model = nn.Sequential(first, second)
    rows = [" ".join(f"{i}.conv{n} {i}.bn{n}" for n in (1, 2, 3)) for i in (0, 1)]
    return model, named(model, f"0.downsample.0 0.downsample.1 {rows[0]} {rows[1]}")


class C2f(nn.Module):
    def __init__(self, inputs: int, outputs: int, times: int = 1, shortcut: bool = True) -> None:
        super().__init__()
        self.half, self.shortcut = outputs // 2, shortcut
        self.cv1 = conv(inputs, outputs, 1, nn.SiLU(), 1e-3)
        links = [[conv(self.half, self.half, 3, nn.SiLU(), 1e-3) for _ in range(2)] for _ in range(times)]
        self.links = nn.ModuleList(nn.Sequential(*link) for link in links)
        self.cv2 = conv((2 + times) * self.half, outputs, 1, nn.SiLU(), 1e-3)

    def forward(self, x: Any) -> Any:
        found = list(self.cv1(x).split(self.half, 1))
        for link in self.links:
            found.append(link(found[-1]) + found[-1] if self.shortcut else link(found[-1]))
        return self.cv2(torch.cat(found, 1))


class SPPF(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.cv1 = conv(inputs, inputs // 2, 1, nn.SiLU(), 1e-3)
        self.cv2 = conv(inputs * 2, outputs, 1, nn.SiLU(), 1e-3)
        self.pool = nn.MaxPool2d(5, 1, 2)

    def forward(self, x: Any) -> Any:
        found = [self.cv1(x)]
        for _ in range(3):
            found.append(self.pool(found[-1]))
        return self.cv2(torch.cat(found, 1))


def aspp() -> Any:
    deeplab = pytest.importorskip("torchvision.models.segmentation.deeplabv3")
    return deeplab.ASPP(16, [2, 4, 6], 8)


class Pyramid(nn.Module):
    """torchvision's, of an image and two smaller ones, all enlarged and joined."""

    def __init__(self) -> None:
        super().__init__()
        self.fpn = pytest.importorskip("torchvision").ops.FeaturePyramidNetwork([16, 16, 16], 8)

    def forward(self, x: Any) -> Any:
        maps = {"c3": x, "c4": F.max_pool2d(x, 2), "c5": F.max_pool2d(F.max_pool2d(x, 2), 2)}
        found = self.fpn(maps)
        return torch.cat([F.interpolate(found[f"c{3 + i}"], scale_factor=2.0**i) for i in range(3)], 1)


def fpn() -> tuple[Any, list[Any]]:
    model = Pyramid()
    inner, layer = model.fpn.inner_blocks, model.fpn.layer_blocks
    return model, [each[i][0] for each in (inner, layer) for i in (2, 1, 0)]


def ghost_module() -> Any:
    ghostnet = pytest.importorskip("timm.models.ghostnet")
    return nn.Sequential(ghostnet.GhostModule(16, 33), ghostnet.GhostModule(33, 31, 3, 3, stride=2))


def dense_block() -> Any:
    densenet = pytest.importorskip("torchvision.models.densenet")
    return nn.Sequential(densenet._DenseBlock(3, 16, 4, 8, 0.0), densenet._Transition(40, 20))


class Preactivated(nn.Module):
    """The unit of stacked hourglasses."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        sizes, half = (inputs, outputs // 2, outputs // 2), outputs // 2
        self.norms = nn.ModuleList(nn.BatchNorm2d(size) for size in sizes)
        self.convs = nn.ModuleList(
            [nn.Conv2d(inputs, half, 1), nn.Conv2d(half, half, 3, padding=1), nn.Conv2d(half, outputs, 1)]
        )
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Any) -> Any:
        short = self.shortcut(x)
        for norm, each in zip(self.norms, self.convs, strict=True):
            x = each(F.relu(norm(x)))
        return x + short


class Hourglass(nn.Module):
    def __init__(self, levels: int, channels: int) -> None:
        super().__init__()
        self.upper, self.lower1, self.lower3 = (Preactivated(channels, channels) for _ in range(3))
        self.inner = Hourglass(levels - 1, channels) if levels > 1 else Preactivated(channels, channels)

    def forward(self, x: Any) -> Any:
        upper = self.upper(x)
        return upper + F.interpolate(self.lower3(self.inner(self.lower1(F.max_pool2d(x, 2)))), scale_factor=2)


BLOCKS: dict[str, Callable[[], Any]] = {
    "squeeze_excitation": squeeze_excitation,
    "cbam": cbam,
    "inverted_residual": inverted_residual,
    "basic_residual": basic_residual,
    "bottleneck_residual": bottleneck_residual,
    "c2f": lambda: nn.Sequential(C2f(16, 32, 2), C2f(32, 24, shortcut=False)),
    "sppf": lambda: SPPF(16, 32),
    "aspp": aspp,
    "fpn": fpn,
    "ghost_module": ghost_module,
    "dense_block": dense_block,
    "hourglass": lambda: nn.Sequential(Hourglass(3, 16), Preactivated(16, 24)),
}


@pytest.mark.parametrize("name", test_blocks.CASES)
def test_blocks_compute_what_their_twins_do(name: str) -> None:
    made = BLOCKS[name]()
    model, modules = made if isinstance(made, tuple) else (made, None)
    plan = test_blocks.plan_of(name)
    found = distances(torch, plan, randomized(torch, model), modules)
    assert max(found.values()) < NEAR, found
    held = [each.numel() for key, each in model.state_dict().items() if "num_batches" not in key]
    assert sum(held) == test_blocks.CASES[name][1]


# nets ------------------------------------------------------------------------------------------------------------


class StackedHourglass(nn.Module):
    """Two stacks, as the code of the paper's re-implementation in PyTorch has them."""

    def __init__(self, joints: int = 16, width: int = 256) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(3, 64, 7, 2, 3), nn.BatchNorm2d(64)
        self.units = nn.ModuleList([Preactivated(64, 128), Preactivated(128, width), Preactivated(width, width)])
        self.hourglasses = nn.ModuleList(
            nn.Sequential(
                Hourglass(4, width),
                Preactivated(width, width),
                nn.Conv2d(width, width, 1),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            )
            for _ in range(2)
        )
        self.scores = nn.ModuleList(nn.Conv2d(width, joints, 1) for _ in range(2))
        self.features_back, self.score_back = nn.Conv2d(width, width, 1), nn.Conv2d(joints, width, 1)

    def forward(self, x: Any) -> Any:
        x = F.max_pool2d(self.units[0](F.relu(self.norm1(self.conv1(x)))), 2)
        x = self.units[2](self.units[1](x))
        features = self.hourglasses[0](x)
        first = self.scores[0](features)
        x = x + self.features_back(features) + self.score_back(first)
        return self.scores[1](self.hourglasses[1](x)), first


class YoloV8(nn.Module):
    """The nano size, as Ultralytics' YAML lists its layers."""

    def __init__(self, classes: int = 80) -> None:
        super().__init__()
        act = nn.SiLU()

        def down(inputs: int, outputs: int) -> Any:
            return conv(inputs, outputs, 3, act, 1e-3, stride=2)

        self.layers = nn.ModuleList(
            [
                down(3, 16), down(16, 32), C2f(32, 32), down(32, 64), C2f(64, 64, 2), down(64, 128), C2f(128, 128, 2),
                down(128, 256), C2f(256, 256), SPPF(256, 256), C2f(384, 128, shortcut=False),
                C2f(192, 64, shortcut=False), down(64, 64), C2f(192, 128, shortcut=False), down(128, 128),
                C2f(384, 256, shortcut=False),
            ]
        )  # fmt: skip
        self.heads = nn.ModuleList(
            nn.ModuleList(
                nn.Sequential(
                    conv(inputs, middle, 3, act, 1e-3),
                    conv(middle, middle, 3, act, 1e-3),
                    nn.Conv2d(middle, outputs, 1),
                )
                for middle, outputs in ((64, 64), (80, classes))
            )
            for inputs in (64, 128, 256)
        )
        self.mean = nn.Conv2d(16, 1, 1, bias=False)
        self.mean.weight.data[:] = torch.arange(16.0).view(1, 16, 1, 1)

    def forward(self, x: Any) -> Any:
        kept = []
        for layer in self.layers[:10]:
            x = layer(x)
            kept.append(x)
        merged4 = self.layers[10](torch.cat([F.interpolate(x, scale_factor=2), kept[6]], 1))
        small = self.layers[11](torch.cat([F.interpolate(merged4, scale_factor=2), kept[4]], 1))
        medium = self.layers[13](torch.cat([self.layers[12](small), merged4], 1))
        large = self.layers[15](torch.cat([self.layers[14](medium), kept[9]], 1))
        maps = [
            torch.cat([part(each) for part in head], 1).flatten(2)
            for each, head in zip((small, medium, large), self.heads, strict=True)
        ]
        cells = torch.cat(maps, 2)
        count, _, anchors = cells.shape
        sides = cells[:, :64].view(count, 4, 16, anchors).transpose(2, 1).softmax(1)
        return self.mean(sides).view(count, 4, anchors), cells[:, 64:].sigmoid()


class Level(nn.Module):
    """A level of a stage of U²-Net, and all below it: rates None for pooling, or those of the levels to come."""

    def __init__(self, levels: int, inputs: int, inner: int, outputs: int, rates: tuple[int, ...]) -> None:
        super().__init__()
        rate = rates[0] if rates else 1
        self.down, self.pools = convolution(inputs, inner, rate), not rates
        last = levels == 1
        self.below = convolution(inner, inner, 2 * rate) if last else Level(levels - 1, inner, inner, inner, rates[1:])
        self.last, self.up = last, convolution(2 * inner, outputs, rate)

    def forward(self, x: Any) -> Any:
        down = self.down(x)
        if self.last or not self.pools:
            below = self.below(down)
        else:
            below = self.below(F.max_pool2d(down, 2, 2, ceil_mode=True))
            below = F.interpolate(below, size=down.shape[2:], mode="bilinear")
        return self.up(torch.cat([below, down], 1))


def convolution(inputs: int, outputs: int, rate: int = 1) -> Any:
    weights = nn.Conv2d(inputs, outputs, 3, padding=rate, dilation=rate)
    return nn.Sequential(weights, nn.BatchNorm2d(outputs), nn.ReLU())


class Stage(nn.Module):
    def __init__(self, levels: int, inputs: int, rates: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.first, self.net = convolution(inputs, 64), Level(levels, 64, 16, 64, rates)

    def forward(self, x: Any) -> Any:
        first = self.first(x)
        return self.net(first) + first


class U2Netp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        rates = (1, 2, 4)
        downs = [Stage(6, 3), *(Stage(levels, 64) for levels in (5, 4, 3)), Stage(3, 64, rates), Stage(3, 64, rates)]
        self.downs = nn.ModuleList(downs)
        self.ups = nn.ModuleList([Stage(3, 128, rates), *(Stage(levels, 128) for levels in (3, 4, 5, 6))])
        self.sides = nn.ModuleList(nn.Conv2d(64, 1, 3, padding=1) for _ in range(6))
        self.fused = nn.Conv2d(6, 1, 1)

    def forward(self, x: Any) -> Any:
        size, kept = x.shape[2:], []
        for i, stage in enumerate(self.downs):
            x = stage(F.max_pool2d(x, 2, 2, ceil_mode=True) if i else x)
            kept.append(x)
        found = [x]
        for stage, there in zip(self.ups, kept[4::-1], strict=True):
            x = stage(torch.cat([F.interpolate(x, size=there.shape[2:], mode="bilinear"), there], 1))
            found.insert(0, x)
        maps = [
            F.interpolate(side(each), size=size, mode="bilinear") for side, each in zip(self.sides, found, strict=True)
        ]
        return self.fused(torch.cat(maps, 1)).sigmoid()


NETS: dict[str, tuple[Callable[[], Any], str]] = {
    "hourglass": (StackedHourglass, "resolution=128"),
    "yolov8n": (YoloV8, "resolution=64"),
    "u2netp": (U2Netp, "resolution=64"),
}


@pytest.mark.parametrize("name", NETS)
def test_nets_compute_what_their_twins_do(name: str) -> None:
    make, setting = NETS[name]
    model = make()
    plan = plan_of(name, (setting,))
    found = distances(torch, plan, randomized(torch, model))
    assert max(found.values()) < NEAR, found


def test_boxes_are_the_twins_distances_from_their_cells() -> None:
    model, plan = randomized(torch, YoloV8()), plan_of("yolov8n_boxes", ("resolution=64",))
    x = np.random.default_rng(0).standard_normal((2, 64, 64, 3), dtype=np.float32)
    images = torch.from_numpy(x.transpose(0, 3, 1, 2).copy())
    modules = [each for each in called(torch, model, [images]) if each is not model.mean]
    params = variables_of(plan, modules)
    found = evaluate(plan, params, {"image": x}, ["candidates"])["candidates"]
    with torch.no_grad():
        distances, scores = (each.numpy().swapaxes(1, 2) for each in model(images))
    cells = [(i % side + 0.5, i // side + 0.5, 64 // side) for side in (8, 4, 2) for i in range(side * side)]
    across, down, strides = np.array(cells, np.float32).T
    corners = np.stack([across, down, across, down], -1) + distances * np.array([-1, -1, 1, 1], np.float32)
    expected = np.concatenate([corners * strides[:, None], scores], -1)
    assert difference(found, expected) < NEAR


def test_ghostnet_is_timms(tmp_path: Any) -> None:
    timm = pytest.importorskip("timm")
    model = randomized(torch, timm.create_model("ghostnet_100"))
    assert distance_from_checkpoint(torch, "ghostnet", model, tmp_path) < NEAR
