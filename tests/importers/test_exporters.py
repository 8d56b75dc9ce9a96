"""Files of PyTorch's exporters, old and new, of torchvision's nets: the specs compute the same, and are short.

Needs torch, torchvision and onnxscript, which the group .ci/import installs.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import pytest

from graphc.importers.onnx_import import Request, import_onnx

pytestmark = pytest.mark.skipif(os.environ.get("GRAPHC_IMPORT") != "all", reason="exporters are a group: .ci/import")

LINES = {
    "resnet18": 40,
    "mobilenet_v2": 42,
    "densenet121": 42,
    "convnext_tiny": 42,
    "efficientnet_b0": 60,
    "shufflenet_v2_x1_0": 65,
    "regnet_x_400mf": 45,
    "squeezenet1_1": 45,
}
"""What a spec may have at most."""


def net_of(name: str) -> Any:
    """A net of torchvision with random weights, and statistics, scales and biases that do something."""
    torch = pytest.importorskip("torch")
    models = pytest.importorskip("torchvision").models
    generator = torch.Generator().manual_seed(0)
    net = models.get_model(name, weights=None).eval()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for values, least, most in (
                (module.running_mean, -0.2, 0.2),
                (module.running_var, 0.75, 1.25),
                (module.weight.data, 0.75, 1.25),
                (module.bias.data, -0.2, 0.2),
            ):
                values.copy_(torch.rand(values.shape, generator=generator) * (most - least) + least)
    return net


def export(net: Any, path: Path, dynamo: bool) -> None:
    import torch

    image = torch.zeros(2, 3, 224, 224)
    sizes: dict[str, Any] = {"dynamic_shapes": ({0: torch.export.Dim("batch")},), "external_data": False}
    old: dict[str, Any] = {"dynamic_axes": {"input": {0: "batch"}, "output": {0: "batch"}}}
    names: dict[str, Any] = {"input_names": ["input"], "output_names": ["output"]}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, (image,), str(path), dynamo=dynamo, **names, **(sizes if dynamo else old))


@pytest.mark.parametrize("dynamo", [False, True], ids=["torchscript", "dynamo"])
@pytest.mark.parametrize("name", LINES)
def test_torchvision(tmp_path: Path, name: str, dynamo: bool) -> None:
    if dynamo:
        pytest.importorskip("onnxscript")
    path = tmp_path / f"{name}.onnx"
    export(net_of(name), path, dynamo)
    found = import_onnx(path, Request())
    assert not [line for line in found.said if "written flat" in line]
    assert len(found.text.splitlines()) <= LINES[name]
