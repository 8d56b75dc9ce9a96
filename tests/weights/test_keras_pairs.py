"""Keras networks that specs are: random weights in a file of theirs give their outputs. Run by `.ci/weights`."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from graphc import weights
from graphc.conversion import export_file
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
    ("tf_efficientnet_b0", "EfficientNetB1", ("width_multiplier=1.0", "depth_multiplier=1.1")),
    ("tf_efficientnet_b0", "EfficientNetB2", ("width_multiplier=1.1", "depth_multiplier=1.2")),
    ("tf_efficientnet_b0", "EfficientNetB3", ("width_multiplier=1.2", "depth_multiplier=1.4")),
    ("tf_efficientnet_b0", "EfficientNetB4", ("width_multiplier=1.4", "depth_multiplier=1.8")),
    ("tf_efficientnet_b0", "EfficientNetB5", ("width_multiplier=1.6", "depth_multiplier=2.2")),
    ("tf_efficientnet_b0", "EfficientNetB6", ("width_multiplier=1.8", "depth_multiplier=2.6")),
    ("tf_efficientnet_b0", "EfficientNetB7", ("width_multiplier=2.0", "depth_multiplier=3.1")),
    ("tf_efficientnetv2_b0", "EfficientNetV2B0", ()),
    ("tf_efficientnetv2_s", "EfficientNetV2S", ()),
    ("inception_v3", "InceptionV3", ("aux=false",)),
    ("inception_resnet_v2", "InceptionResNetV2", ("aux=false",)),
    ("xception", "Xception", ()),
    ("convnext_tiny", "ConvNeXtTiny", ()),
    ("convnext_small", "ConvNeXtSmall", ()),
    ("convnext_base", "ConvNeXtBase", ()),
    ("convnext_large", "ConvNeXtLarge", ()),
    ("resnet50_keras", "ResNet50", ()),
    ("resnet50_keras", "ResNet101", ("units3=23",)),
    ("resnet50_keras", "ResNet152", ("units2=8", "units3=36")),
    ("vgg_16", "VGG16", ()),
    ("vgg_19", "VGG19", ()),
]
TOLERANCE = 1e-5
"""Of the largest output."""
FIXED = ("MobileNet", "VGG", "Inception", "Xception")
"""Beginnings of names of networks whose size is their own; the others are tried with `SMALL` pixels."""
SMALL = 96


def made(net: str, shape: tuple[int, ...]):
    """The network for images of this shape, with weights and statistics drawn."""
    own = net.startswith(("MobileNetV3", "EfficientNetV2", "ConvNeXt"))
    more = {"include_preprocessing": False} if own else {}
    keras.backend.clear_session()  # layers without a name are counted
    model = getattr(keras.applications, net)(weights=None, input_shape=shape, classifier_activation=None, **more)
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
            scale = 0.2 if layer.endswith("project_bn") else 0.5  # or forty residuals grow, and rounding with them
            x = np.float32(leaf == "gamma") * (scale if net == "EfficientNetV2S" else 1) + 0.1 * x
        variable.assign(x)
    return model


@pytest.mark.parametrize(("spec", "net", "settings"), PAIRS)
def test_outputs_are_keras(spec: str, net: str, settings: tuple[str, ...], tmp_path: Path) -> None:
    if not net.startswith(FIXED):
        settings = (*settings, f"resolution={SMALL}")
    plan = plan_of(spec, settings)
    (image,) = plan.graph.inputs
    model = made(net, image.shape)
    model.save(tmp_path / "model.keras")
    values, report = weights.load_variables(tmp_path / "model.keras", plan, weights.LoadOptions(f"keras:{net}"))
    report.raise_if_incomplete()
    x = np.random.default_rng(1).standard_normal((1, *image.shape)).astype(np.float32)
    (found,) = Session(emit(plan, values).serialize(), threads=2).run({image.name: x}).values()
    scale = 255 if net.startswith("EfficientNetB") else 1  # it divides by that itself
    expected = model.predict(x * scale, verbose=0)
    assert float(np.abs(found - expected).max() / np.abs(expected).max()) <= TOLERANCE

    if net.startswith("ConvNeXt"):
        return  # layers within layers, which no file by names has
    before = [variable.numpy() for variable in model.variables]
    weights.save(tmp_path / "ours.safetensors", values)
    export_file(tmp_path / "ours.safetensors", spec, tmp_path / "back.h5", "keras", settings)
    for variable in model.variables:
        if variable.path.partition("/")[0] != "normalization" and variable.shape:
            variable.assign(np.zeros(variable.shape, variable.dtype))
    model.load_weights(tmp_path / "back.h5", by_name=True)
    for variable, array in zip(model.variables, before, strict=True):
        assert np.array_equal(variable.numpy(), array) or "seed" in variable.path, variable.path


def test_resnet_v2_is_refused(tmp_path: Path) -> None:
    model = keras.applications.ResNet50V2(weights=None)
    model.save(tmp_path / "model.keras")
    with pytest.raises(WeightsError, match="computes something else"):
        weights.load_variables(tmp_path / "model.keras", plan_of("resnet_v2_50"))
