"""The specs of shared/cases/specs, which people wrote, compute what PyTorch does, or stop and say what to write: then
that does. Run by `.ci/weights`, with GRAPHC_SHARED.

A twin calls its modules in the order of our layers, as in `test_twins.py`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from graphc.compiler import plan_spec
from graphc.errors import GraphcError
from graphc.graph import Plan
from tests.zoo import shared_twins as twins
from tests.zoo.shared_twins import conv2d, function, same
from tests.zoo.test_twins import YoloV8, conv
from tests.zoo.test_yolov3_tiny import tiny
from tests.zoo.twins import distances, randomized

torch = pytest.importorskip("torch", reason="compared with PyTorch where it is installed")
nn, F = torch.nn, torch.nn.functional
FOLDER = Path(os.environ.get("GRAPHC_SHARED", Path(__file__).resolve().parents[3] / "shared"), "cases", "specs")
pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # of what the libraries still use, and will not for long
    pytest.mark.skipif(not FOLDER.is_dir(), reason="needs shared/cases/specs: set GRAPHC_SHARED"),
]
NEAR = 1e-4


@dataclass(frozen=True)
class Twin:
    make: Callable[[], Any]
    settings: tuple[str, ...] = ()
    sizes: dict[str, int] = field(default_factory=dict)
    """For open sizes."""


def resized(**more: Any) -> Twin:
    return Twin(function(lambda x: F.interpolate(x, **more)))


def library(package: str, name: str) -> Callable[[], Any]:
    return lambda: getattr(pytest.importorskip(package), name)(weights=None)


TWINS: dict[str, Twin] = {
    "arch_cbam2": Twin(twins.Cbam),
    "arch_convmixer": Twin(
        lambda: pytest.importorskip("timm.models.convmixer").ConvMixer(64, 2, 7, 7), ("dim=64", "depth=2")
    ),
    "arch_crnn": Twin(twins.crnn, sizes={"W": 100}),
    "arch_efficientnetv2_s": Twin(library("torchvision.models", "efficientnet_v2_s"), ("resolution=64",)),
    "arch_m5": Twin(twins.Wave, sizes={"T": 16000}),
    "arch_u2netp": Twin(twins.Saliency, ("resolution=64",)),
    "arch_yolov3_tiny": Twin(lambda: tiny(torch), ("resolution=64",)),
    "arch_yolov5n": Twin(twins.YoloV5, ("resolution=64",)),
    "arch_yolov8n": Twin(YoloV8, ("resolution=64",)),
    "cbam": Twin(function(lambda c, s, x: c(x) * s(c(x)).sigmoid(), conv2d(8, 8), conv2d(8, 1, 7))),
    "ct_dilation": Twin(twins.transposed(dilation=2)),
    "ct_groups": Twin(twins.transposed(groups=2)),
    "div": Twin(
        lambda: nn.Sequential(*(nn.Conv2d(*sizes, 1) for sizes in ((4, 20), (20, 20), (20, 32), (32, 16), (16, 48))))
    ),
    "floatf": Twin(lambda: nn.Sequential(conv2d(4, 16)(), conv2d(16, 16)())),
    "frac_0.5_bilinear": resized(scale_factor=0.5, mode="bilinear"),
    "frac_1.5_nearest": resized(scale_factor=1.5),
    "img2": Twin(conv2d(3, 5)),
    "mixer": Twin(twins.mixer),
    "pad_edge": Twin(twins.padded("edge")),
    "pad_symmetric": Twin(twins.padded("symmetric")),
    "pointnet": Twin(function(lambda a, x: F.relu(a(x.transpose(1, 2))).transpose(1, 2), lambda: nn.Linear(3, 64))),
    "pool_ceil_mode": Twin(lambda: nn.MaxPool2d(3, 2, ceil_mode=True)),
    "pool_dilation": Twin(lambda: nn.MaxPool2d(3, 2, dilation=2)),
    "pools_adaptive": Twin(lambda: nn.AdaptiveAvgPool2d(6)),
    "resize_method_bicubic": resized(scale_factor=2, mode="bicubic"),
    "se_fc": Twin(function(twins.excited, conv2d(8, 8), lambda: nn.Linear(8, 2), lambda: nn.Linear(2, 8))),
    "siamese_block_share": Twin(twins.siamese),
    "srx": Twin(function(twins.depth_to_space, conv2d(3, 12)), sizes={"H": 5, "W": 7}),
    "sym_T": Twin(
        lambda: nn.Sequential(
            nn.Conv2d(1, 8, (400, 1), (160, 1)), nn.Conv2d(8, 8, (9, 1)), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        ),
        sizes={"T": 16000},
    ),
    "wt": Twin(
        lambda: nn.Sequential(conv(3, 4, 3, epsilon=1e-3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))
    ),
}


def loaded(text: str, folder: Path, twin: Twin) -> Plan:
    (folder / "net.yaml").write_text(text, encoding="utf-8")
    return plan_spec(folder / "net.yaml", twin.settings)


def compared(plan: Plan, twin: Twin) -> float:
    """The largest difference of any output, with the twin's weights."""
    made = twin.make()
    model, modules = made if isinstance(made, tuple) else (made, None)
    return max(distances(torch, plan, randomized(torch, model), modules, twin.sizes).values())


@pytest.mark.parametrize("name", TWINS)
def test_what_compiles_computes_what_its_twin_does(name: str, tmp_path: Path) -> None:
    text = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    assert compared(loaded(text, tmp_path, TWINS[name]), TWINS[name]) < NEAR


@dataclass(frozen=True)
class Stop:
    """What a spec is told, and what it computes once that is done: each pair is a text and the one in its place."""

    sentence: str
    edits: tuple[tuple[str, str], ...]
    twin: Twin


OPEN = Twin(function(twins.half_and_whole, conv2d(3, 4), lambda: nn.Conv2d(4, 4, 3, 2)), sizes={"H": 5, "W": 8})
STOPS: dict[str, Stop] = {
    "arch_ghostnet": Stop(
        "expected 5,182,840, got 5,182,508", (("\nexpect: {trainable_params: 5182840}", ""),), Twin(twins.ghostnet)
    ),
    "arch_hourglass": Stop(
        "max_pool2d expects a mapping of arguments, got 2: write {kernel: 2}",
        (
            ("max_pool2d: 2}", "max_pool2d: {kernel: 2}}"),
            ("params: [n]", "params: [n, {cin: 256}]"),
            ("up: [res: {c: 256}]", 'up: [res: {c: 256, cin: "${cin}"}]'),
            ("{name: l1, c: 256}", '{name: l1, c: 256, cin: "${cin}"}'),
            ("hg: {n: 4}", "hg: {n: 4, cin: 64}"),
            ("[N, 256, 256, 3]", "[N, 64, 64, 3]"),
        ),
        Twin(twins.hourglass),
    ),
    "c3d": Stop(
        "conv2d expects an image",
        (("conv2d", "conv3d"), ("max_pool2d", "max_pool3d"), ("16, 112, 112", "4, 12, 12")),
        Twin(lambda: nn.Sequential(nn.Conv3d(3, 64, 3, padding=1), nn.MaxPool3d(2))),
    ),
    "chw": Stop(
        "looks like channels first",
        (("[N, 3, 224, 224]", "[N, 32, 32, 3]"),),
        Twin(function(lambda c, x: F.max_pool2d(c(F.pad(x, same(7, 32, 32))), 3, 2), lambda: nn.Conv2d(3, 64, 7, 2))),
    ),
    "col_out_in": Stop(
        "the name 'image' is an input's",
        (("{image: c2}", "{denoised: c2}"),),
        Twin(lambda: nn.Sequential(conv2d(3, 8)(), nn.ReLU(), conv2d(8, 3)())),
    ),
    "crop_like": Stop("like: LAYER follows open sizes", (("size: [H, W]", "like: c1"),), OPEN),
    "gray": Stop("conv2d expects an image", (("28, 28]", "28, 28, 1]"),), Twin(conv2d(1, 64))),
    "like_input": Stop(
        "the name 'image' is an input's",
        (("{name: image", "{name: first"),),
        Twin(lambda: nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 1))),
    ),
    "mask_in": Stop(
        "the name 'image' is an input's",
        (("{name: image", "{name: mask"),),
        Twin(lambda: nn.Sequential(conv2d(3, 4)(), conv2d(4, 3)())),
    ),
    "pool_count_include_pad": Stop(
        "max_pool2d has no argument 'count_include_pad'", (("max_", "avg_"),), Twin(lambda: nn.AvgPool2d(3, 2))
    ),
    "resize_antialias_true": Stop(
        "antialias is for bilinear and bicubic",
        (("scale: 2,", "scale: 2, method: bilinear,"),),
        resized(scale_factor=2, mode="bilinear", antialias=True),
    ),
    "resize_like": Stop("like: c1 on up gives it the size of c1", (("scale: 2", "like: c1"),), OPEN),
    "scope_scalar": Stop(
        "write {kernel: 2}", (("max_pool2d: 2}", "max_pool2d: {kernel: 2}}"),), Twin(lambda: nn.MaxPool2d(2))
    ),
    "when_no": Stop("no is text here, write false", (("when: no", "when: false"),), Twin(conv2d(4, 4))),
    "z9": Stop("write outputs", (("layers:", "outputs: {y: c}\nlayers:"),), Twin(conv2d(4, 4))),
}


@pytest.mark.parametrize("name", STOPS)
def test_what_stops_says_what_to_write_and_that_computes_what_its_twin_does(name: str, tmp_path: Path) -> None:
    stop, text = STOPS[name], (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    with pytest.raises(GraphcError) as caught:
        loaded(text, tmp_path, stop.twin)
    assert stop.sentence in str(caught.value)
    for old, new in stop.edits:
        assert old in text
        text = text.replace(old, new)
    assert compared(loaded(text, tmp_path, stop.twin), stop.twin) < NEAR


SHORT = {
    "arch_cbam2": """
include: [zoo/blocks/cbam]
inputs: {x: [N, 16, 16, 32]}
layers: [cbam: {filters: 32, reduced: 4, normalizer: none}]
""",
    "se_fc": """
include: [zoo/blocks/squeeze_excitation]
inputs: {x: [N, 32, 32, 8]}
layers: [conv2d: {filters: 8, kernel: 3}, squeeze_excitation: {filters: 8, reduced: 2}]
""",
}
"""What was awkward to write, with a block of the library."""


@pytest.mark.parametrize("name", SHORT)
def test_with_blocks_of_the_library_they_are_short_and_compute_the_same(name: str, tmp_path: Path) -> None:
    twin = TWINS[name]
    model = randomized(torch, twin.make())
    modules = [model.reduce, model.expand, model.pixels] if name == "arch_cbam2" else list(model.parts)
    plan = loaded(f"graphc: 1{SHORT[name]}", tmp_path, twin)
    assert max(distances(torch, plan, model, modules).values()) < NEAR


def test_every_spec_has_a_twin() -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} == TWINS.keys() | STOPS.keys()
