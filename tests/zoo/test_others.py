"""Nets that are not in the zoo, written with the language's pages alone, have the counts and outputs of torchvision's
and timm's, or of a twin from the paper; run by `.ci/weights`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphc.compiler import plan_spec
from graphc.execution.network import evaluate
from tests.zoo.twins import difference, randomized, shortcuts_first, variables_of

torch = pytest.importorskip("torch", reason="compared with PyTorch where it is installed")
nn, F = torch.nn, torch.nn.functional
pytestmark = pytest.mark.filterwarnings("ignore")  # of what the libraries still use, and will not for long

NEAR = 1e-4
SMALL = ("resolution=64",)


def torchvision(name: str) -> Callable[[], Any]:
    return lambda: getattr(pytest.importorskip("torchvision.models"), name)(weights=None)


def timm(name: str) -> Callable[[], Any]:
    return lambda: pytest.importorskip("timm").create_model(name)


def gmlp() -> Any:
    """timm's gmlp_s16_224, of two blocks."""
    layers, mixer = pytest.importorskip("timm.layers"), pytest.importorskip("timm.models.mlp_mixer")
    parts = {"block_layer": mixer.SpatialGatingBlock, "mlp_layer": layers.GatedMlp}
    return mixer.MlpMixer(img_size=64, patch_size=16, num_blocks=2, embed_dim=256, mlp_ratio=6, **parts)


class Pixels(nn.Module):
    """torchvision's LR-ASPP, of whose outputs the only one is taken."""

    def __init__(self) -> None:
        super().__init__()
        segmentation = pytest.importorskip("torchvision.models.segmentation")
        self.net = segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None)

    def forward(self, x: Any) -> Any:
        return self.net(x)["out"]


class Unit(nn.Module):
    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.signal, self.gate = (nn.Conv1d(32, 32, 2, dilation=dilation) for _ in range(2))
        self.skip, self.out = nn.Conv1d(32, 128, 1), nn.Conv1d(32, 32, 1)

    def forward(self, x: Any) -> Any:
        before = F.pad(x, (self.dilation, 0))
        gated = self.signal(before).tanh() * self.gate(before).sigmoid()
        return self.skip(gated), x + self.out(gated)


class WaveNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.units = nn.Conv1d(256, 32, 2), nn.ModuleList(Unit(2**i) for _ in range(2) for i in range(8))
        self.hidden, self.logits = nn.Conv1d(128, 256, 1), nn.Conv1d(256, 256, 1)

    def forward(self, x: Any) -> Any:
        x, skips = self.embed(F.pad(x, (1, 0))), 0
        for unit in self.units:
            skip, x = unit(x)
            skips = skips + skip
        return self.logits(self.hidden(skips.relu()).relu())


NETS: dict[str, tuple[Callable[[], Any], int, tuple[str, ...]]] = {
    "dla34": (timm("dla34"), 15_742_104, SMALL),
    "dpn68": (timm("dpn68"), 12_611_602, SMALL),
    "gmlp_s16": (gmlp, 19_422_656, (*SMALL, "depth=2")),
    "lraspp": (Pixels, 3_221_538, SMALL),
    "mnasnet1_0": (torchvision("mnasnet1_0"), 4_383_312, SMALL),
    "mobilevit_xxs": (timm("mobilevit_xxs"), 1_272_024, SMALL),
    "poolformer_s12": (timm("poolformer_s12"), 11_915_176, SMALL),
    "pvt_v2_b0": (timm("pvt_v2_b0"), 3_666_760, SMALL),
    "res2net50": (timm("res2net50_26w_4s"), 25_699_120, SMALL),
    "resnest14d": (timm("resnest14d"), 10_611_688, SMALL),
    "skresnet18": (timm("skresnet18"), 11_958_056, SMALL),
    "swin_t": (torchvision("swin_t"), 28_288_354, ()),
    "wavenet": (WaveNet, 266_272, ()),
}
"""What makes the twin, how many numbers it learns at its full size, and what makes ours small."""
FOLDER = Path(__file__).with_name("others")


@pytest.mark.parametrize("name", NETS)
def test_nets_compute_what_their_twins_do(name: str) -> None:
    make, count, settings = NETS[name]
    assert sum(node.trainable_count for node in plan_spec(FOLDER / f"{name}.yaml").nodes) == count
    plan, model = plan_spec(FOLDER / f"{name}.yaml", settings), randomized(torch, make())
    with torch.no_grad():
        for each in model.parameters():  # what starts as nothing would hide what is before it
            if each.std() < 1e-4:
                each.normal_(std=0.05)
    (given,) = plan.graph.inputs
    shape = [size if isinstance(size, int) else 600 for size in given.shape]
    x = np.random.default_rng(0).standard_normal((2, *shape), dtype=np.float32)
    images = torch.from_numpy(np.moveaxis(x, -1, 1).copy())
    params = variables_of(plan, shortcuts_first(torch, model, [images]))
    (found,) = evaluate(plan, params, {given.name: x}).values()
    with torch.no_grad():
        expected = np.moveaxis(model(images).numpy(), 1, -1)
    assert difference(found, expected) < NEAR


def test_every_spec_of_the_folder_has_a_twin() -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} == NETS.keys()
