"""Published weights know how images were prepared for them, and what their outputs are called."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from graphc.compiler import plan_spec
from graphc.conversion import convert_file
from graphc.data.resizing import CenterCrop, Stretch
from graphc.data.sample import Sample
from graphc.errors import WeightsError
from graphc.initializers import initial_values
from graphc.published import labels_of, metadata, preparation_of, required, sets_of
from graphc.runtime import Session
from graphc.signature import read_signature
from graphc.spec.model import read_spec
from graphc.spec.pretrained import read_pretrained
from graphc.spec.zoo import zoo_names
from graphc.weights import LoadOptions, load_variables
from graphc.weights.safetensors_file import write_safetensors
from graphc.weights.tensorflow.write import write_checkpoint
from graphc.weights.theirs import exported
from tests.test_cli import Run, graphc  # noqa: F401

SPEC = "squeezenet1_1"
FILE = "squeezenet1_1-b8a52dc0.safetensors"


@pytest.fixture(scope="module")
def squeezenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small net's weights under torchvision's names, in a file called as torchvision's."""
    plan = plan_spec(SPEC)
    path = tmp_path_factory.mktemp("weights") / FILE
    with path.open("wb") as file:
        write_safetensors(
            file, exported(plan, plan.graph.pretrained.sources["torchvision"], values(plan)), {"format": "pt"}
        )
    return path


def values(plan):
    return initial_values(plan.variables, 0)


def test_imagenets_names_are_a_thousand() -> None:
    names = labels_of("imagenet_1000")
    assert (len(names), names[0], names[999]) == (1000, "tench", "toilet tissue")
    assert labels_of("imagenet_1001")[:2] == ("background", "tench")


def test_the_table_is_of_nets_that_fit() -> None:
    said = [
        net for name in zoo_names() for each in read_pretrained(read_spec(name)).sources.values() for net in each.nets
    ]
    known = sets_of([net for net in said if net.refused is None])
    assert len(known) > 300
    for each in known:
        preparation = each.preparation
        assert preparation.size <= abs(preparation.side) or preparation.side < 1 or each.net.source == "timm"
        assert preparation.resizing(preparation.size).apply is not None


def test_what_a_file_is_called_says_which_weights_it_has(squeezenet: Path) -> None:
    known = required(squeezenet, plan_spec(SPEC))
    assert (known.size, known.side, known.interpolation, known.labels) == (224, 256, "bilinear", "imagenet_1000")
    assert known.resizing(224) == CenterCrop(shorter_side=256)
    assert known.resizing(112) == CenterCrop(shorter_side=128)


def test_weights_of_several_kinds_are_asked_about(tmp_path: Path) -> None:
    plan = plan_spec("mobilenet_v2_torch")
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        write_safetensors(
            file, exported(plan, plan.graph.pretrained.sources["torchvision"], values(plan)), {"format": "pt"}
        )
    assert preparation_of(path, plan) is None
    with pytest.raises(WeightsError, match="prepared otherwise for other weights of its names") as caught:
        required(path, plan)
    assert "--from torchvision:mobilenet_v2.IMAGENET1K_V2" in caught.value.notes
    assert required(path, plan, LoadOptions("torchvision:mobilenet_v2.IMAGENET1K_V2")).side == 232


def test_a_side_of_both_is_stretched() -> None:
    plan = plan_spec("convnext_tiny")
    (net,) = (net for net in plan.graph.pretrained.sources["timm"].nets if net.name == "convnext_tiny")
    squashed = [each for each in sets_of([net]) if each.preparation.side < 0]
    assert squashed
    assert squashed[0].preparation.resizing(384) == Stretch(interpolation="bicubic")


def test_a_compiled_file_prepares_and_names_as_the_library_does(squeezenet: Path, tmp_path: Path, graphc: Run) -> None:  # noqa: F811
    rng = np.random.default_rng(0)
    picture = tmp_path / "picture.png"
    Image.fromarray(rng.integers(0, 256, (300, 400, 3), np.uint8)).save(picture)
    plain, raw = tmp_path / "plain.onnx", tmp_path / "raw.onnx"
    ended = graphc("compile", SPEC, "--weights", str(squeezenet), "-o", str(plain))
    assert "taken as torchvision's squeezenet1_1" in ended.err
    graphc("compile", SPEC, "--weights", str(squeezenet), "-o", str(raw), "--with-preprocess", "weights")
    answers = [json.loads(graphc("run", str(path), str(picture)).out) for path in (plain, raw)]
    assert answers[0]["class"] == answers[1]["class"]
    assert answers[0]["class"] in labels_of("imagenet_1000")
    assert answers[0]["probability"] == pytest.approx(answers[1]["probability"], rel=1e-4)

    small = Image.open(picture).resize((341, 256), Image.Resampling.BILINEAR)
    cut = np.asarray(small, np.float32)[16:240, 58:282] / 255
    x = (cut - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    (logits,) = Session(plain).run({"image": x[None].astype(np.float32)}).values()
    assert labels_of("imagenet_1000")[int(logits.argmax())] == answers[0]["class"]
    assert read_signature(Session(plain).metadata, "plain").inputs["image"].resize == CenterCrop(shorter_side=256)


def test_what_was_converted_remembers_whose_it_was(squeezenet: Path, tmp_path: Path) -> None:
    ours = tmp_path / "ours.safetensors"
    convert_file(squeezenet, SPEC, ours)
    plan = plan_spec(SPEC)
    assert required(ours, plan) == required(squeezenet, plan)
    assert "graphc.classes" in metadata(ours, LoadOptions(), False, plan)


def test_tf_slims_checkpoints_bring_their_preprocessing_and_a_background(tmp_path: Path) -> None:
    plan = plan_spec("mobilenet_v1_025", ["classes=1001"])
    path = tmp_path / "mobilenet_v1_0.25_224.ckpt.index"
    write_checkpoint(path, values(plan))
    with pytest.raises(WeightsError, match="expected 137 variables, found 135") as caught:
        load_variables(path, plan_spec("mobilenet_v1_025", ["classes=1000"]))[1].raise_if_incomplete()
    assert caught.value.notes[-1] == "the file is of 1,001 classes: --set classes=1001"
    known = required(path, plan)
    assert known.resizing(224) == Stretch(share=0.875)
    said = read_signature(metadata(path, LoadOptions(), False, plan), "net")
    assert said.outputs["logits"].classes[:2] == ("background", "tench")
    prepared = said.inputs["image"].prepared(np.array([[[[0, 255, 51]]]], np.uint8), "float32")
    assert prepared.ravel() == pytest.approx([-1, 1, -0.6], abs=1e-6)


def test_the_middle_share_is_central_crops() -> None:
    image = np.arange(15 * 20, dtype=np.uint8).reshape(15, 20, 1)
    found = Stretch(share=0.7).apply(Sample(image), (11, 14))
    assert np.array_equal(found.image, image[2:13, 3:17])  # as tf.image.central_crop of 15×20 and 0.7 has it
