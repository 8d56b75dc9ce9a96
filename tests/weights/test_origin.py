"""Whose network a file is: taken where it is sure, refused where it computes something else, asked for otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from graphc.compiler import plan_spec
from graphc.errors import WeightsError
from graphc.spec.model import read_spec
from graphc.spec.pretrained import read_pretrained
from graphc.weights import Selection, load_variables, origin_of
from graphc.weights.safetensors_file import write_safetensors
from graphc.weights.theirs import exported, theirs
from tests.zoo.slim import plan_of

CHECKPOINT = "TensorFlow checkpoint, version 2"

WRONG = [
    ("mobilenet_v2", "torchvision", "mobilenet_v2", "mobilenet_v2_torch", "pads on both sides"),
    ("mobilenet_v3_large", "torchvision", "mobilenet_v3_large", "mobilenet_v3_large_torch", "pads on both sides"),
    ("mobilenet_v1", "timm", "mobilenetv1_100", "mobilenet_v1_torch", "pads on both sides"),
    ("efficientnet_b0", "timm", "tf_efficientnet_b0", "tf_efficientnet_b0", "pads as TensorFlow does"),
    ("inception_v3", "torchvision", "inception_v3", "inception_v3_torch", "counts padding"),
    ("inception_v1", "torchvision", "googlenet", "googlenet", "rounds pooled sizes up"),
    ("inception_v4", "timm", "inception_v4", "inception_v4_torch", "gammas"),
    ("resnet50", "timm", "resnetaa50", None, "blurs before it strides"),
    ("se_resnet50", "timm", "legacy_seresnet50", None, "stride in the first convolution"),
    ("resnet_v1_50", "torchvision", "resnet50", "resnet50", "stride in the first unit"),
    ("resnet_v2_50", "keras", "ResNet50V2", None, "first pooling pads on both sides"),
    ("resnet50", "tf_slim", "resnet_v1_50", "resnet_v1_50", "stride in the last unit"),
    ("mobilenet_v2_torch", "tf_slim", "mobilenet_v2", "mobilenet_v2", "pads as TensorFlow does"),
]
"""Spec, source, net; the spec whose names it has, and the reason: what loads, and is wrong."""


class Names:
    """A file of these names."""

    nested = False
    writer = layout = None
    in_order = True

    def __init__(self, names: Sequence[str], path: str = "model.pth", kind: str = "PyTorch checkpoint") -> None:
        self.names, self.path, self.format = list(names), path, kind
        self.metadata: dict[str, str] = {}


def named(spec: str, source: str, path: str = "model.pth") -> Selection:
    """A file with the names that a source has for a spec."""
    plan = plan_of(spec)
    if source == "tf_slim":
        return Selection(Names([*plan.variables], path, CHECKPOINT))
    said = read_pretrained(read_spec(spec)).sources[source]
    return Selection(Names([each.name for each in theirs(plan, said).values()], path))


@pytest.mark.parametrize(("spec", "source", "net", "use", "reason"), WRONG)
def test_what_loads_and_is_wrong_is_refused(spec: str, source: str, net: str, use: str | None, reason: str) -> None:
    file = named(use or spec, source, f"{net}-0123abcd.pth")
    with pytest.raises(WeightsError, match="computes something else") as caught:
        origin_of(file, plan_of(spec))
    notes = "\n".join(caught.value.notes)
    assert caught.value.code == "G360"
    assert reason in notes
    assert use is None or f"{use} is the spec that fits" in notes


def test_names_that_several_networks_have_are_asked_about() -> None:
    plan = plan_of("resnet50")
    with pytest.raises(WeightsError, match="say --from torchvision:resnet50 or --from timm:resnet50\n") as caught:
        origin_of(named("resnet50", "timm"), plan)
    assert caught.value.code == "G361"
    assert origin_of(named("resnet50", "timm"), plan, "timm:resnet50").described == "timm's resnet50"
    by_name = origin_of(named("resnet50", "timm", "weights/resnet50.a1_in1k/model.safetensors"), plan)
    assert by_name.described == "torchvision's resnet50 or timm's resnet50"
    with pytest.raises(WeightsError, match="say --from timm:efficientnet_b0\n"):
        origin_of(named("efficientnet_b0", "timm"), plan_of("efficientnet_b0"))


def test_a_network_with_other_settings_says_them() -> None:
    with pytest.raises(WeightsError, match="has other settings") as caught:
        origin_of(named("resnet101", "torchvision", "resnet101-63fe2227.pth"), plan_of("resnet50"))
    assert "torchvision's resnet101: --set units3=23" in caught.value.notes
    origin = origin_of(named("resnet101", "torchvision", "resnet101-63fe2227.pth"), plan_of("resnet50", ("units3=23",)))
    assert origin.described == "torchvision's resnet101 or timm's resnet101"


def test_a_checkpoint_of_the_nets_own_names_is_tf_slims() -> None:
    assert origin_of(named("resnet_v1_50", "tf_slim"), plan_of("resnet_v1_50")).described == "tf_slim's resnet_v1_50"


def test_our_own_files_need_no_rules() -> None:
    plan = plan_of("resnet18")
    assert not origin_of(Selection(Names([*plan.variables])), plan).rules


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("keras", "resnet18 knows no weights from 'keras'"),
        ("torchvision:resnet81", r"knows no net 'resnet81' of torchvision .did you mean 'resnet18'\?"),
    ],
)
def test_a_source_that_is_not_known(given: str, sentence: str) -> None:
    with pytest.raises(WeightsError, match=sentence):
        origin_of(named("resnet18", "torchvision"), plan_of("resnet18"), given)


SPEC = """
graphc: 1
name: small
inputs: {image: [N, 8, 8, 3]}
layers:
  - conv2d: {name: first, filters: 4, kernel: 3, normalizer: {batch_norm: {scale: true}}, activation: relu}
  - flatten
  - fully_connected: {name: last, units: 2}
pretrained:
  mine:
    layout: OIHW
    rules: {features.0: first, features.1: first/BatchNorm, head: last}
    nets: {tiny: {}, tinier: {refused: it pads}}
"""


def test_a_file_goes_out_and_comes_back(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SPEC)
    plan = plan_spec(tmp_path / "small.yaml")
    rng = np.random.default_rng(0)
    values = {name: rng.random(spec.shape, np.float32) for name, spec in plan.variables.items()}
    arrays = exported(plan, plan.graph.pretrained.sources["mine"], values)
    assert {name: array.shape for name, array in arrays.items()} == {
        "features.0.weight": (4, 3, 3, 3),
        "features.1.weight": (4,),
        "features.1.bias": (4,),
        "features.1.running_mean": (4,),
        "features.1.running_var": (4,),
        "head.weight": (2, 256),
        "head.bias": (2,),
    }
    flat = arrays["head.weight"].reshape(2, 4, 8, 8).transpose(2, 3, 1, 0).reshape(256, 2)
    np.testing.assert_array_equal(flat, values["small/last/weights"])
    path = tmp_path / "tiny.safetensors"
    with path.open("wb") as file:
        write_safetensors(file, arrays)
    found, report = load_variables(path, plan)
    assert "loaded 7 variables, taken as mine's tiny" in report.describe()
    for name, value in values.items():
        np.testing.assert_array_equal(found[name], value)
    path.rename(tmp_path / "tinier-v2.safetensors")
    with pytest.raises(WeightsError, match="computes something else"):
        load_variables(tmp_path / "tinier-v2.safetensors", plan)
