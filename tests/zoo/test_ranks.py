"""Nets of sequences and volumes compute what twins in PyTorch, or torchvision's, compute: where these are installed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from graphc import weights
from graphc.execution.network import evaluate
from graphc.weights.layouts import form_of, wanted
from tests.zoo.slim import plan_of
from tests.zoo.twins import difference, distances, randomized

torch = pytest.importorskip("torch")
nn, F = torch.nn, torch.nn.functional

NEAR = 1e-5


class M5(nn.Module):
    """PyTorch's tutorial on speech commands, but for its log_softmax."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        sizes = [(1, width, 80, 16), (width, width, 3, 1), (width, 2 * width, 3, 1), (2 * width, 2 * width, 3, 1)]
        self.convs = nn.ModuleList(nn.Conv1d(i, o, k, stride=s) for i, o, k, s in sizes)
        self.norms = nn.ModuleList(nn.BatchNorm1d(o) for _, o, _, _ in sizes)
        self.fc = nn.Linear(2 * width, 35)

    def forward(self, x: Any) -> Any:
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.max_pool1d(F.relu(norm(conv(x))), 4)
        return self.fc(F.avg_pool1d(x, x.shape[-1]).permute(0, 2, 1))[:, 0]


class DsCnn(nn.Module):
    """MLPerf Tiny's, whose `same` pads the first layer by 4 and 5 frames."""

    def __init__(self) -> None:
        super().__init__()
        first = nn.Sequential(nn.ZeroPad2d((1, 1, 4, 5)), nn.Conv2d(1, 64, (10, 4), 2))
        convs = [first]
        for _ in range(4):
            convs += [nn.Conv2d(64, 64, 3, padding=1, groups=64), nn.Conv2d(64, 64, 1)]
        self.body = nn.Sequential(
            *(nn.Sequential(conv, nn.BatchNorm2d(64, eps=0.001), nn.ReLU()) for conv in convs), nn.AvgPool2d((25, 5))
        )
        self.fc = nn.Linear(64, 12)

    def forward(self, x: Any) -> Any:
        return self.fc(self.body(x).flatten(1))


class C3d(nn.Module):
    def __init__(self, pixels: int) -> None:
        super().__init__()
        widths = (3, 64, 128, 256, 256, 512, 512, 512, 512)
        self.convs = nn.ModuleList(nn.Conv3d(before, behind, 3, padding=1) for before, behind in pairwise(widths))
        self.pools = {0: (1, 2, 2), 1: 2, 3: 2, 5: 2}
        self.dense = nn.ModuleList([nn.Linear(512 * pixels, 4096), nn.Linear(4096, 4096), nn.Linear(4096, 101)])

    def forward(self, x: Any) -> Any:
        for i, conv in enumerate(self.convs):
            x = F.relu(conv(x))
            x = F.max_pool3d(x, self.pools[i]) if i in self.pools else x
        x = F.max_pool3d(x, 2, padding=(0, 1, 1)).flatten(1)
        for layer in self.dense[:2]:
            x = F.relu(layer(x))
        return self.dense[2](x)


@pytest.mark.parametrize(("name", "make"), [("m5", M5), ("ds_cnn", DsCnn)])
def test_nets_compute_what_their_twins_do(name: str, make: Callable[[], Any]) -> None:
    found = distances(torch, plan_of(name, ()), randomized(torch, make()))
    assert max(found.values()) < NEAR, found


def test_c3d_is_its_twin_with_a_flattened_volume_in_between() -> None:
    plan = plan_of("c3d", ("resolution=32",))
    model = randomized(torch, C3d(2 * 2))
    modules = [each for each in model.modules() if isinstance(each, (nn.Conv3d, nn.Linear))]
    nodes = [each.node for each in plan.nodes if each.params]
    assert len(nodes) == len(modules)
    params = {}
    for node, module in zip(nodes, modules, strict=True):
        for local, theirs in (("weights", module.weight), ("biases", module.bias)):
            name = plan.graph.variable(node, local)
            form = form_of(wanted(plan)[name], "OIHW", tuple(theirs.shape))
            assert form is not None
            params[name] = form.to_ours(theirs.detach().numpy(), plan.variables[name].shape)
    x = np.random.default_rng(0).standard_normal((2, 16, 32, 32, 3), dtype=np.float32)
    with torch.no_grad():
        expected = model(torch.from_numpy(x).movedim(-1, 1)).numpy()
    (found,) = evaluate(plan, params, {"clip": x}).values()
    assert difference(found, expected) < NEAR


def test_r3d_18_is_torchvisions(tmp_path: Any) -> None:
    video = pytest.importorskip("torchvision.models.video")
    model = randomized(torch, video.r3d_18())
    torch.save(model.state_dict(), tmp_path / "r3d_18.pth")
    plan = plan_of("r3d_18", ("resolution=32", "frames=5"))
    params, _ = weights.load_variables(tmp_path / "r3d_18.pth", plan)
    x = np.random.default_rng(0).standard_normal((2, 5, 32, 32, 3), dtype=np.float32)
    with torch.no_grad():
        expected = model(torch.from_numpy(x).movedim(-1, 1)).numpy()
    (found,) = evaluate(plan, params, {"clip": x}).values()
    assert difference(found, expected) < NEAR
