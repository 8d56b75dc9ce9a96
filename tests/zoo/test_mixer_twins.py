"""PointNet and the mixers compute what timm's and a twin of pointnet.pytorch's do; run by `.ci/weights`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.zoo.slim import plan_of
from tests.zoo.twins import distances, randomized

torch = pytest.importorskip("torch", reason="compared with PyTorch where it is installed")
nn = torch.nn
pytestmark = pytest.mark.filterwarnings("ignore")  # of what the libraries still use, and will not for long


class Transform(nn.Module):
    """PointNet's transforms, of points as columns."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.mlp = points_mlp(size, 64, 128, 1024)
        self.fc = nn.Sequential(*dense(1024, 512), *dense(512, 256), nn.Linear(256, size * size))

    def forward(self, x: Any) -> Any:
        found = self.fc(self.mlp(x).max(2).values).reshape(-1, self.size, self.size) + torch.eye(self.size)
        return torch.bmm(x.transpose(1, 2), found).transpose(1, 2)


def points_mlp(inputs: int, *outputs: int) -> Any:
    sizes = zip((inputs, *outputs), outputs, strict=False)
    return nn.Sequential(
        *(part for size in sizes for part in (nn.Conv1d(*size, 1), nn.BatchNorm1d(size[1]), nn.ReLU()))
    )


def dense(inputs: int, outputs: int) -> list[Any]:
    return [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU()]


class PointNet(nn.Module):
    """pointnet.pytorch's classifier, up to its logits, and the largest of every feature."""

    def __init__(self) -> None:
        super().__init__()
        self.input_transform, self.feature_transform = Transform(3), Transform(64)
        self.first, self.rest = points_mlp(3, 64), points_mlp(64, 128, 1024)[:-1]
        narrow = [nn.Linear(512, 256), nn.Dropout(0.3), nn.BatchNorm1d(256), nn.ReLU()]
        self.head = nn.Sequential(*dense(1024, 512), *narrow, nn.Linear(256, 40))

    def forward(self, points: Any) -> Any:
        features = self.feature_transform(self.first(self.input_transform(points)))
        cloud = self.rest(features).max(2).values
        return self.head(cloud), cloud


def test_pointnet_computes_what_its_twin_does() -> None:
    found = distances(torch, plan_of("pointnet", ("points=50",)), randomized(torch, PointNet()))
    assert max(found.values()) < 1e-5, found


def test_convmixer_computes_what_timms_does() -> None:
    model = pytest.importorskip("timm").create_model("convmixer_768_32")
    found = distances(torch, plan_of("convmixer_768_32", ("resolution=35",)), randomized(torch, model))
    assert max(found.values()) < 1e-5, found


def test_mlp_mixer_computes_what_timms_does() -> None:
    mixer = pytest.importorskip("timm.models.mlp_mixer").MlpMixer(img_size=64, num_blocks=2, embed_dim=64)
    plan = plan_of("mlp_mixer_b16", ("resolution=64", "depth=2", "width=64"))
    found = distances(torch, plan, randomized(torch, mixer))
    assert max(found.values()) < 1e-5, found
