"""Every pair of a spec and a network of torchvision's or timm's: their weights, random, in a file of theirs, give their
outputs; and what is exported they load. Run by `.ci/weights`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphc import weights
from graphc.conversion import export_file
from graphc.emit.model import emit
from graphc.graph import Plan
from graphc.name_rules import name_rules
from graphc.runtime import Session
from graphc.spec.model import read_spec
from graphc.spec.pretrained import read_pretrained
from graphc.weights.found_rules import rules_of
from graphc.weights.matching import matched
from tests.zoo.slim import plan_of
from tests.zoo.test_pretrained import FACTS, settings

torch = pytest.importorskip("torch", reason="of the extra torchweights")
pytest.importorskip("torchvision", reason="of the extra torchweights")
pytest.importorskip("timm", reason="of the extra torchweights")

SMALL = 96
"""Pixels, where a net takes any size."""
FIXED = ("vgg", "inception", "squeezenet", "mlp_mixer")
"""Beginnings of names of specs whose size is their own."""
TOLERANCE = 1e-5
"""Of the largest output."""


def made(source: str, net: str) -> Any:
    """The library's network, with weights and statistics drawn so that values stay of one size."""
    if source == "timm":
        import timm

        model = timm.create_model(net, pretrained=False)
    else:
        import torchvision

        more = {"init_weights": False, "transform_input": False} if net in ("googlenet", "inception_v3") else {}
        model = torchvision.models.get_model(net, weights=None, **more)
    draw = torch.Generator().manual_seed(1)
    for name, value in model.state_dict().items():
        if not value.is_floating_point():
            continue
        noise = torch.randn(value.shape, generator=draw)
        if name.endswith("running_var"):
            value.copy_(1 + 0.1 * noise.abs())
        elif value.ndim > 1 and value.numel() > max(value.shape):
            value.copy_(noise * (1 / np.prod(value.shape[1:])) ** 0.5)
        elif name.endswith(("weight", "gamma", "layer_scale")):
            value.copy_(0.7 + 0.1 * noise)
        else:
            value.copy_(0.1 * noise)
    return model.eval()


def distance(plan: Plan, path: Path, model: Any, given: str) -> float:
    """How far our outputs with the file's weights are from theirs, relative to the largest."""
    values, report = weights.load_variables(path, plan, weights.LoadOptions(given))
    report.raise_if_incomplete()
    assert all(name.lower().startswith("aux") for name in report.unused)
    (image,) = plan.graph.inputs
    x = np.random.default_rng(0).standard_normal((1, *image.shape), dtype=np.float32)
    (found,) = Session(emit(plan, values).serialize(), threads=2).run({image.name: x}).values()
    with torch.no_grad():
        expected = model(torch.from_numpy(np.moveaxis(x, -1, 1).copy())).numpy()
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize(
    "fact", ["resnet50 timm resnet50", "convnext_tiny timm convnext_tiny", "regnet_y_400mf torchvision regnet_y_400mf"]
)
def test_a_map_is_found_by_order(fact: str, tmp_path: Path) -> None:
    spec, source, net = fact.split()
    plan = plan_of(spec)
    torch.save(made(source, net).state_dict(), tmp_path / "model.pth")
    with weights.open_weights(tmp_path / "model.pth") as file:
        selection = weights.Selection(file)
        rules = name_rules(rules_of(matched(selection, plan, (), None)))
        known = plan.graph.pretrained.sources[source].rules
        assert weights.sources(selection.names, rules, plan) == weights.sources(selection.names, known, plan)


@pytest.mark.parametrize("fact", FACTS)
def test_outputs_are_the_librarys_and_exports_load(fact: str, tmp_path: Path) -> None:
    spec, source, net = fact.split()
    said = next(each for each in read_pretrained(read_spec(spec)).sources[source].nets if each.name == net)
    chosen = settings(said)
    if not spec.startswith(FIXED):
        chosen = (*chosen, f"resolution={SMALL}")
    plan = plan_of(spec, chosen)
    model = made(source, net)
    path = tmp_path / "model.pth"
    torch.save(model.state_dict(), path)
    assert distance(plan, path, model, f"{source}:{net}") <= TOLERANCE

    ours, back = tmp_path / "ours.safetensors", tmp_path / "back.safetensors"
    weights.save(ours, weights.load_variables(path, plan, weights.LoadOptions(f"{source}:{net}"))[0])
    export_file(ours, spec, back, source, chosen)
    from safetensors.torch import load_file

    state = load_file(back)
    left = model.load_state_dict(state, strict=False)
    assert not left.unexpected_keys
    assert all(name.lower().startswith("aux") or name.endswith("num_batches_tracked") for name in left.missing_keys)
    for name, value in torch.load(path, weights_only=True).items():
        assert name not in state or torch.equal(value, state[name]), name
