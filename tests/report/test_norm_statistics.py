"""`graphc weights check`: statistics that were measured on some images, against others, and against what is wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from graphc import weights
from graphc.compiler import plan_model
from graphc.errors import SpecError
from graphc.execution.network import evaluate
from graphc.initializers import initial_values
from graphc.norm_statistics import READINGS, check_statistics
from graphc.passes.plan import plan
from graphc.spec.model import read_spec_text
from tests.test_cli import Run, graphc  # noqa: F401

SPEC = """
graphc: 1
name: net
inputs: {image: [N, 32, 32, 3]}
arg_scope:
  conv2d: {kernel: 3, normalizer: batch_norm, activation: relu, padding: same, weights_initializer: he}
layers:
  - conv2d: {name: a, filters: 16, stride: 2}
  - conv2d: {name: b, filters: 16}
  - conv2d: {name: c, filters: 16}
  - conv2d: {name: d, filters: 16, stride: 2}
  - conv2d: {name: e, filters: 16, stride: 2}
outputs: {y: e}
"""


def photographs(count, seed):
    """Smooth colors with edges: neighbors are alike, as in photographs."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        small = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        found.append(np.asarray(Image.fromarray(small).resize((32, 32), Image.Resampling.BICUBIC)))
    return np.stack(found)


def measured(network, reading):
    """Random weights, with the statistics of a hundred photographs, batch norm by batch norm."""
    params = dict(initial_values(network.variables, 3))
    inputs = {"image": READINGS[reading].apply(photographs(100, 1))}
    for planned in network.nodes:
        if "moving_mean" not in planned.params:
            continue
        source = planned.node.inputs[0]
        x = evaluate(network, params, inputs, [source])[source]
        params[network.graph.variable(planned.node, "moving_mean")] = x.mean(axis=(0, 1, 2))
        params[network.graph.variable(planned.node, "moving_variance")] = x.var(axis=(0, 1, 2))
    return params


def network(text=SPEC):
    return plan_model(read_spec_text(text, "net.yaml"))


NETWORK = network()
PARAMS = measured(NETWORK, "imagenet")
IMAGES = photographs(16, 2)


def check(params=PARAMS, images=IMAGES, net=NETWORK, reading=None):
    found = check_statistics(net, params, images, reading)
    return found, "\n".join(found.sentences(chosen=reading is not None))


@pytest.mark.parametrize("reading", READINGS)
def test_the_reading_of_the_training_is_found(reading):
    found, said = check(measured(NETWORK, reading))
    assert found.reading == reading or (found.by_reading[reading] < 1.2 * found.shift), found.by_reading
    assert found.shift < 0.15
    assert said.endswith("over 5 batch norms: they go together")
    assert all(0.5 < each.spread < 2 for each in found.layers)


def test_another_range_is_said():
    found, said = check(reading="bytes")
    assert found.shift > 10
    assert "wrong range or normalization: the images fit at 0." in said
    assert "ImageNet's mean, over its deviation" in said
    assert said.endswith("they do not go together")


def test_layers_that_are_exchanged_are_found_where_it_begins():
    exchanged = {**PARAMS, "net/b/weights": PARAMS["net/c/weights"], "net/c/weights": PARAMS["net/b/weights"]}
    found, said = check(exchanged, reading="imagenet")
    shifts = {each.name: each.shift for each in found.layers}
    assert shifts["a/BatchNorm"] < 0.15
    assert shifts["b/BatchNorm"] > 0.3
    assert said.endswith("they do not go together")


@pytest.mark.parametrize(
    ("trained", "words"),
    [
        (SPEC.replace("padding: same", "padding: same_fixed"), "strided layers pad both sides (same_fixed)"),
        (SPEC.replace("normalizer: batch_norm", "normalizer: {batch_norm: {epsilon: 0.5}}"), ""),
    ],
)
def test_another_form_of_the_network_is_worse(trained, words):
    """Statistics of a network that pads on another side: the form that it has fits better than the one of the spec."""
    other = network(trained)
    params = measured(other, "imagenet")
    right, _ = check(params, net=other, reading="imagenet")
    wrong, _ = check(params, reading="imagenet")
    assert right.shift < wrong.shift
    if words:
        assert min(wrong.by_form, key=wrong.by_form.get).startswith(words)
        assert min(wrong.by_form.values()) == pytest.approx(right.shift)


def test_epsilon_is_found_where_variances_are_small():
    small = {name: value * 1e-3 if name.endswith("/weights") else value for name, value in PARAMS.items()}
    text = SPEC.replace("normalizer: batch_norm", "normalizer: {batch_norm: {epsilon: 1.0e-5}}")
    other = network(text)
    inputs = {"image": READINGS["imagenet"].apply(photographs(100, 1))}
    for planned in other.nodes:
        if "moving_mean" in planned.params:
            x = evaluate(other, small, inputs, [planned.node.inputs[0]])[planned.node.inputs[0]]
            small[f"net/{planned.node.name}/moving_mean"] = x.mean(axis=(0, 1, 2))
            small[f"net/{planned.node.name}/moving_variance"] = x.var(axis=(0, 1, 2))
    found, said = check(small, reading="imagenet")
    assert "another form of the network fits at" in said
    assert "epsilon of batch norm is 1e-5, as PyTorch's" in said
    assert found.shift > 2 * min(found.by_form.values())


def test_a_network_without_batch_norm_is_an_error():
    bare = network(SPEC.replace("normalizer: batch_norm, ", ""))
    with pytest.raises(SpecError, match="expected a network of one image with batch norm, found none"):
        check_statistics(bare, initial_values(bare.variables, 0), IMAGES)


def test_gray_images_have_no_colors_to_exchange():
    gray = network(SPEC.replace("[N, 32, 32, 3]", "[N, 32, 32, 1]"))
    params = measured_gray(gray)
    found = check_statistics(gray, params, IMAGES[..., :1])
    assert found.by_reading.keys() == {"symmetric", "unit", "bytes"}
    assert found.reading == "unit"


def measured_gray(gray):
    params = dict(initial_values(gray.variables, 3))
    inputs = {"image": READINGS["unit"].apply(photographs(100, 1)[..., :1])}
    for planned in gray.nodes:
        if "moving_mean" in planned.params:
            x = evaluate(gray, params, inputs, [planned.node.inputs[0]])[planned.node.inputs[0]]
            params[f"net/{planned.node.name}/moving_mean"] = x.mean(axis=(0, 1, 2))
            params[f"net/{planned.node.name}/moving_variance"] = x.var(axis=(0, 1, 2))
    return params


def test_the_command_prints_layers_and_the_sentence_and_draws(graphc: Run, tmp_path):  # noqa: F811
    (tmp_path / "net.yaml").write_text(SPEC)
    weights.save(tmp_path / "w.safetensors", PARAMS)
    (tmp_path / "photos").mkdir()
    for place, image in enumerate(IMAGES):
        Image.fromarray(image).save(tmp_path / "photos" / f"{place:02}.png")
    (tmp_path / "photos" / "notes.txt").write_text("no image")
    given = ("weights", "check", "w.safetensors", "--for", "net.yaml", "--images", "photos")
    ended = graphc(*given, "-o", "shifts.svg", "--format", "csv")
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    assert lines[0] == "layer,channels,median shift,largest shift,variance ratio"
    assert [line.partition(",")[0] for line in lines[1:]] == [f"{name}/BatchNorm" for name in "abcde"]
    assert "left out 1 file, the first: photos/notes.txt" in ended.err
    assert "they go together" in ended.err
    assert (tmp_path / "shifts.svg").read_text().count("<rect") == 5
    ended = graphc(*given, "--read-as", "bytes", "--count", "4")
    assert "w.safetensors: 4 images through net" in ended.err
    assert "wrong range or normalization" in ended.err
    assert graphc("weights", "check", "w.safetensors", "--for", "net.yaml", "--images", "nowhere").code == 2


def test_the_network_is_left_as_it_is():
    before = plan(replace(NETWORK.graph))
    check()
    assert before.graph == NETWORK.graph
