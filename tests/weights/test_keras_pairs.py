"""Keras networks that specs are: random weights in a file of theirs give their outputs. Run by `.ci/weights`."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from graphc import weights
from graphc.emit.model import emit
from graphc.errors import WeightsError
from graphc.runtime import Session
from tests.zoo.slim import plan_of

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras = pytest.importorskip("keras", reason="of the extra tfweights")
pytestmark = pytest.mark.filterwarnings("ignore")  # of what Keras still uses, and will not for long

PAIRS = [
    ("mobilenet_v1", "MobileNet", ()),
    ("mobilenet_v2", "MobileNetV2", ("classes=1000",)),
    ("mobilenet_v3_small", "MobileNetV3Small", ("classes=1000",)),
    ("mobilenet_v3_large", "MobileNetV3Large", ("classes=1000",)),
    ("tf_efficientnet_b0", "EfficientNetB0", ()),
    ("densenet121", "DenseNet121", ()),
    ("densenet121", "DenseNet169", ("units3=32", "units4=32")),
    ("densenet121", "DenseNet201", ("units3=48", "units4=32")),
    ("vgg_16", "VGG16", ()),
    ("vgg_19", "VGG19", ()),
]
TOLERANCE = 1e-5
"""Of the largest output."""


def made(net: str):
    """The network with weights and statistics drawn."""
    more = {"include_preprocessing": False} if "V3" in net else {}
    model = getattr(keras.applications, net)(weights=None, classifier_activation=None, **more)
    rng = np.random.default_rng(0)
    for variable in model.variables:
        layer, _, leaf = variable.path.rpartition("/")
        if layer == "normalization" or not variable.shape or leaf == "seed_generator_state":
            continue
        x = rng.standard_normal(tuple(variable.shape)).astype(np.float32)
        if leaf == "moving_variance":
            x = 1 + 0.1 * np.abs(x)
        elif x.ndim > 1:
            depthwise = "depthwise" in layer or "dw" in layer
            x *= np.float32(np.sqrt(2 / np.prod(x.shape[:2] if depthwise else x.shape[:-1])))
        else:
            x = np.float32(leaf == "gamma") + 0.1 * x
        variable.assign(x)
    return model


@pytest.mark.parametrize(("spec", "net", "settings"), PAIRS)
def test_outputs_are_keras(spec: str, net: str, settings: tuple[str, ...], tmp_path: Path) -> None:
    plan, model = plan_of(spec, settings), made(net)
    model.save(tmp_path / "model.keras")
    values, report = weights.load_variables(tmp_path / "model.keras", plan, weights.LoadOptions(f"keras:{net}"))
    report.raise_if_incomplete()
    (image,) = plan.graph.inputs
    x = np.random.default_rng(1).standard_normal((1, *image.shape)).astype(np.float32)
    (found,) = Session(emit(plan, values).serialize(), threads=2).run({image.name: x}).values()
    scale = 255 if net.startswith("EfficientNet") else 1  # it divides by that itself
    expected = model.predict(x * scale, verbose=0)
    assert float(np.abs(found - expected).max() / np.abs(expected).max()) <= TOLERANCE


def test_resnet_v2_is_refused(tmp_path: Path) -> None:
    model = keras.applications.ResNet50V2(weights=None)
    model.save(tmp_path / "model.keras")
    with pytest.raises(WeightsError, match="computes something else"):
        weights.load_variables(tmp_path / "model.keras", plan_of("resnet_v2_50"))
