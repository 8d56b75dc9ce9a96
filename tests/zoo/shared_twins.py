"""Twins in PyTorch of the specs of shared/cases/specs: those of more than a few layers, and what makes the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.zoo.test_ranks import M5
from tests.zoo.test_twins import SPPF, Preactivated, U2Netp, conv
from tests.zoo.twins import shortcuts_first

torch = pytest.importorskip("torch", reason="compared with PyTorch where it is installed")
nn, F = torch.nn, torch.nn.functional


class Function(nn.Module):
    """Modules, and a function of them and of the inputs."""

    def __init__(self, compute: Callable[..., Any], *modules: Any) -> None:
        super().__init__()
        self.parts, self.compute = nn.ModuleList(modules), compute

    def forward(self, *inputs: Any) -> Any:
        return self.compute(*self.parts, *inputs)


def function(compute: Callable[..., Any], *modules: Callable[[], Any]) -> Callable[[], Any]:
    """What makes a twin of a few layers."""
    return lambda: Function(compute, *(make() for make in modules))


def conv2d(inputs: int, outputs: int, kernel: Any = 3, **more: Any) -> Callable[[], Any]:
    """A convolution with padding `same`."""
    return lambda: nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, **more)


def attention(x: Any, *modules: Any) -> Any:
    reduce, expand, mean, spread, pixels = modules
    pooled = (F.adaptive_avg_pool2d(x, 1), F.adaptive_max_pool2d(x, 1))
    gated = x * sum(expand(F.relu(reduce(each))) for each in pooled).sigmoid()
    maps = torch.cat([mean(gated), gated.amax(1, keepdim=True)], 1)
    return gated * spread(pixels(maps).sigmoid())


class Cbam(nn.Module):
    """CBAM, whose mean over channels is a convolution with frozen weights, and so is the spread over them."""

    def __init__(self) -> None:
        super().__init__()
        self.reduce, self.expand = nn.Conv2d(32, 4, 1, bias=False), nn.Conv2d(4, 32, 1, bias=False)
        self.mean, self.pixels = nn.Conv2d(32, 1, 1, bias=False), nn.Conv2d(2, 1, 7, padding=3, bias=False)
        self.spread = nn.Conv2d(1, 32, 1, bias=False)
        nn.init.constant_(self.mean.weight, 1 / 32)
        nn.init.ones_(self.spread.weight)

    def forward(self, x: Any) -> Any:
        return attention(x, self.reduce, self.expand, self.mean, self.spread, self.pixels)


def crnn() -> Any:
    """The convolutions of the CRNN, and a matrix in place of its recurrent layers."""
    filters, parts = (1, 64, 128, 256, 256, 512, 512, 512), []
    pools = {0: nn.MaxPool2d(2), 1: nn.MaxPool2d(2)}
    pools |= {place: nn.MaxPool2d(2, (2, 1), (0, 1)) for place in (3, 5)}
    for place in range(7):
        kernel, padding = (2, 0) if place == 6 else (3, 1)
        norm = [nn.BatchNorm2d(filters[place + 1], 1e-3)] if place in (2, 4, 6) else []
        weights = nn.Conv2d(filters[place], filters[place + 1], kernel, padding=padding, bias=not norm)
        parts += [weights, *norm, nn.ReLU(), *([pools[place]] if place in pools else [])]
    steps = lambda cnn, fc, x: fc(cnn(x)[:, :, 0].transpose(1, 2)).softmax(-1).transpose(1, 2)  # noqa: E731
    return Function(steps, nn.Sequential(*parts), nn.Linear(512, 37))


class Chain(nn.Module):
    """YOLOv5's C3: one half through bottlenecks, the other beside it."""

    def __init__(self, inputs: int, outputs: int, times: int = 1, shortcut: bool = True) -> None:
        super().__init__()
        half, act = outputs // 2, nn.SiLU()
        self.cv1, self.cv2 = (conv(inputs, half, 1, act, 1e-3) for _ in range(2))
        pairs = [nn.Sequential(conv(half, half, 1, act, 1e-3), conv(half, half, 3, act, 1e-3)) for _ in range(times)]
        self.links, self.shortcut, self.cv3 = nn.ModuleList(pairs), shortcut, conv(outputs, outputs, 1, act, 1e-3)

    def forward(self, x: Any) -> Any:
        y = self.cv1(x)
        for link in self.links:
            y = y + link(y) if self.shortcut else link(y)
        return self.cv3(torch.cat([y, self.cv2(x)], 1))


class YoloV5(nn.Module):
    """The nano size, as Ultralytics' YAML lists its layers."""

    def __init__(self) -> None:
        super().__init__()

        def cv(inputs: int, outputs: int, kernel: int = 3, stride: int = 2) -> Any:
            return conv(inputs, outputs, kernel, nn.SiLU(), 1e-3, stride=stride)

        stem = cv(3, 16, 6)
        stem[0].padding = (2, 2)
        sizes = (16, 32, 64, 128, 256)
        self.down = nn.ModuleList(
            nn.Sequential(cv(i, o), Chain(o, o, times))
            for i, o, times in zip(sizes, sizes[1:], (1, 2, 3, 1), strict=False)
        )
        self.stem, self.pool = stem, SPPF(256, 256)
        self.across5, self.merged4, self.across4 = cv(256, 128, 1, 1), Chain(256, 128, 1, False), cv(128, 64, 1, 1)
        self.merged3, self.down3 = Chain(128, 64, 1, False), cv(64, 64)
        self.large4, self.down4, self.large5 = Chain(128, 128, 1, False), cv(128, 128), Chain(256, 256, 1, False)
        self.heads = nn.ModuleList(nn.Conv2d(inputs, 255, 1) for inputs in (64, 128, 256))

    def forward(self, x: Any) -> Any:
        kept = [self.stem(x)]
        for stage in self.down:
            kept.append(stage(kept[-1]))
        across5 = self.across5(self.pool(kept[4]))
        across4 = self.across4(self.merged4(torch.cat([F.interpolate(across5, scale_factor=2), kept[3]], 1)))
        small = self.merged3(torch.cat([F.interpolate(across4, scale_factor=2), kept[2]], 1))
        medium = self.large4(torch.cat([self.down3(small), across4], 1))
        large = self.large5(torch.cat([self.down4(medium), across5], 1))
        return tuple(head(each) for head, each in zip(self.heads, (small, medium, large), strict=True))


class Saliency(U2Netp):
    """U²-Net with the map of its first stage beside the fused one."""

    def forward(self, x: Any) -> Any:
        found: list[Any] = []
        hook = self.sides[0].register_forward_hook(lambda *call: found.append(call[2]))
        fused = super().forward(x)
        hook.remove()
        return fused, found[0]


class Wave(M5):
    """M5 on an image of one column."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(each.in_channels, each.out_channels, (each.kernel_size[0], 1), (each.stride[0], 1))
            for each in self.convs
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(each.num_features) for each in self.norms)

    def forward(self, x: Any) -> Any:
        for weights, norm in zip(self.convs, self.norms, strict=True):
            x = F.max_pool2d(F.relu(norm(weights(x))), (4, 1))
        return self.fc(x.mean((2, 3)))


def ghostnet() -> tuple[Any, list[Any]]:
    """timm's, with each shortcut before what it leads around."""
    model = pytest.importorskip("timm").create_model("ghostnet_100").eval()
    return model, shortcuts_first(torch, model, [torch.zeros(1, 3, 32, 32)], "shortcut")


def mixer() -> Any:
    steps = lambda norm, token, x: F.gelu(token(norm(x.flatten(2).transpose(1, 2)))).transpose(1, 2)  # noqa: E731
    return Function(steps, nn.LayerNorm(512, 1e-6), nn.Linear(512, 256))


def siamese() -> Any:
    def tower(first: Any, second: Any, x: Any) -> Any:
        return F.max_pool2d(second(first(x)), 2).permute(0, 2, 3, 1).flatten(1)

    def both(first: Any, second: Any, last: Any, one: Any, other: Any) -> Any:
        return last(torch.cat([tower(first, second, one), tower(first, second, other)], 1)).sigmoid()

    return Function(both, nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, 3), nn.Linear(2 * 8 * 11 * 11, 1))


def excited(weights: Any, reduce: Any, expand: Any, x: Any) -> Any:
    y = weights(x)
    return y * expand(F.relu(reduce(y.mean((2, 3))))).sigmoid()[:, :, None, None]


def transposed(**more: Any) -> Callable[[], Any]:
    """A transposed convolution of which `same` cuts the ends off: of an odd number one more of the last."""

    def cut(weights: Any, x: Any) -> Any:
        y, size = weights(x), 2 * x.shape[-1]
        first = (y.shape[-1] - size) // 2
        return y[..., first : first + size, first : first + size]

    return function(cut, lambda: nn.ConvTranspose2d(4, 4, 3, 2, **more))


def padded(mode: str) -> Callable[[], Any]:
    def symmetric(x: Any) -> Any:
        rows = torch.cat([x[:, :, :1], x, x[:, :, -1:]], 2)
        return torch.cat([rows[..., :1], rows, rows[..., -1:]], 3)

    return function(symmetric if mode == "symmetric" else lambda x: F.pad(x, (1, 1, 1, 1), mode="replicate"))


def depth_to_space(weights: Any, x: Any) -> Any:
    """Blocks of 2×2, whose channels are first those of the first pixel."""
    y = weights(x)
    count, _, height, width = y.shape
    return y.view(count, 2, 2, 3, height, width).permute(0, 3, 4, 1, 5, 2).reshape(count, 3, 2 * height, 2 * width)


class Hourglass(nn.Module):
    def __init__(self, levels: int, inputs: int) -> None:
        super().__init__()
        self.upper, self.first = Preactivated(inputs, 256), Preactivated(inputs, 256)
        self.inner = Hourglass(levels - 1, 256) if levels > 1 else Preactivated(256, 256)
        self.last = Preactivated(256, 256)

    def forward(self, x: Any) -> Any:
        upper = self.upper(x)
        return upper + F.interpolate(self.last(self.inner(self.first(F.max_pool2d(x, 2)))), scale_factor=2)


def same(kernel: int, *sizes: int) -> list[int]:
    """What padding `same` of stride 2 adds to a height and a width, as F.pad has it."""
    sides = [max(kernel - 1 - (size + 1) % 2, 0) for size in reversed(sizes)]
    return [part for total in sides for part in (total // 2, total - total // 2)]


def hourglass() -> Any:
    def both(stem: Any, glass: Any, x: Any) -> Any:
        return glass(stem(F.pad(x, same(7, *x.shape[2:]))))

    model = Function(both, nn.Conv2d(3, 64, 7, 2), Hourglass(4, 64))
    for each in model.modules():
        if isinstance(each, nn.BatchNorm2d):
            each.eps = 1e-3
    return model


def half_and_whole(first: Any, second: Any, x: Any) -> Any:
    """A convolution at the input's size, one at half of it, which is made as large, and their sum."""
    one = first(x)
    other = second(F.pad(one, same(3, *one.shape[2:])))
    return one + F.interpolate(other, size=one.shape[2:])
