"""What a recipe says about its data: augmentation, balance, workers, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from graphc.errors import GraphcError, SpecError
from graphc.train.commands import resume, train
from graphc.train.recipe import read_recipe, read_recipe_text

AUGMENT = "data.augment=[flip_horizontal, {pad_crop: {pad: 1}}, {noise: {deviation: [0, 0.1]}}]"


@pytest.fixture
def pictures(project):
    """The project, its images between black and white: augmentation must know what these are."""
    for name in ("train", "test"):
        arrays = np.load(project / f"{name}.npz")
        np.savez(project / f"{name}.npz", x=np.clip(arrays["x"] / 4 + 0.5, 0, 1), y=arrays["y"])
    return project


def _bytes(run):
    return (run / "best.safetensors").read_bytes(), (run / "metrics.jsonl").read_bytes()


@pytest.mark.parametrize("mix", [[], ["mixup"], [{"cutmix": {"probability": 0.5}}]], ids=str)
def test_augmented_training_is_the_same_with_any_workers(pictures, mix):
    settings = [AUGMENT, "epochs=2"]
    if mix:
        settings = [f"data.augment={json.dumps(['flip_vertical', *mix])}", "epochs=2"]
    for workers in (0, 2):
        train(pictures / "recipe.yaml", pictures / f"run{workers}", [*settings, f"data.workers={workers}"])
    assert _bytes(pictures / "run0") == _bytes(pictures / "run2")
    train(pictures / "recipe.yaml", pictures / "plain", ["epochs=2"])
    assert _bytes(pictures / "run0") != _bytes(pictures / "plain")


def test_training_augments_anew_in_every_epoch(pictures, monkeypatch):
    from graphc.data import batches

    epochs, generator = {}, batches.generator

    def noted(seed, epoch, row, *args, **kwargs):
        epochs.setdefault(epoch, set()).add(row)
        return generator(seed, epoch, row, *args, **kwargs)

    monkeypatch.setattr(batches, "generator", noted)
    train(pictures / "recipe.yaml", pictures / "run", [AUGMENT, "epochs=3"])
    assert [epochs.get(epoch) for epoch in range(4)] == [set(range(100))] * 3 + [None]


def test_a_resumed_run_sees_the_same_stream(pictures, monkeypatch):
    from graphc.train import trainer

    settings = [AUGMENT, "epochs=2", "checkpoint_steps=1"]
    train(pictures / "recipe.yaml", pictures / "whole", settings)

    class Stop(Exception):
        pass

    def stopping(self, made):
        if self.state.step == 4:
            raise Stop
        return step(self, made)

    step = trainer.Trainer._step
    with monkeypatch.context() as patch:
        patch.setattr(trainer.Trainer, "_step", stopping)
        with pytest.raises(Stop):
            train(pictures / "recipe.yaml", pictures / "cut", settings)
    resume(pictures / "cut")
    assert _bytes(pictures / "whole") == _bytes(pictures / "cut")


def test_balanced_class_weights_come_from_the_training_set(project):
    whole = np.load(project / "train.npz")
    rows = np.concatenate([np.flatnonzero(whole["y"] == label)[:count] for label, count in ((0, 20), (1, 10), (2, 5))])
    np.savez(project / "train.npz", x=whole["x"][rows], y=whole["y"][rows])
    train(project / "recipe.yaml", project / "run",
          ["epochs=1", "loss={softmax_cross_entropy: {class_weights: balanced}}"])  # fmt: skip
    weights = json.loads((project / "run" / "recipe.json").read_text())["loss"]["softmax_cross_entropy"][
        "class_weights"
    ]
    np.testing.assert_allclose(weights, [35 / 60, 35 / 30, 35 / 15])


def test_balanced_sampling_trains(project):
    assert train(project / "recipe.yaml", project / "run", ["data.balanced=true"])["validation_accuracy"] > 0.8


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("data.augment=[mixup, flip_horizontal]", "expected mixup and cutmix after all else"),
        ("data.augment=[flip_horizontally]", "flip_horizontal"),
        ("data.augment=[{scale: {range: [2, 1]}}]", r"expected \[least, most\]"),
        ("data.augment=[{rotate: {degrees: 400}}]", "less than or equal to 180"),
        ("data.workers=-1", "greater than or equal to 0"),
        ("data.preprocess={steps: [rescale], mean: fit}", "expected either `steps`"),
    ],
)
def test_settings_that_cannot_be(project, setting, words):
    with pytest.raises(GraphcError, match=words):
        read_recipe(project / "recipe.yaml", [setting])


TOO_MUCH = {
    "random_crop": ("augment: [{random_crop: {size: [9000, 9000]}}]", "at most 25,000,000 pixels, found 9,000×9,000"),
    "side_scale": ("augment: [{side_scale: {side: [9000, 9000]}}]", "less than or equal to 5000, found 9000"),
    "resize": ("preprocess: {steps: [{resize: {size: [100000, 251]}}]}", "25,000,000 pixels, found 100,000×251"),
    "letterbox": ("preprocess: {steps: [{letterbox: {size: [9000, 9000]}}]}", "pixels, found 9,000×9,000"),
    "shorter side": ("resize: {center_crop: {shorter_side: 6000}}", "less than or equal to 5000, found 6000"),
    "source": ("test: {shapes: {count: 1, size: [9000, 9000]}}", "pixels, found 9,000×9,000"),
    "scale": (
        "preprocess: {scale: 1.0e+308, mean: fit}",
        "float32 holds, up to 3e\\+38, found 1e\\+308",
    ),
    "no deviation": ("preprocess: {std: [0.0]}", "greater than 0, found 0.0"),
    "quotient": ("preprocess: {mean: [1.0e+30], std: [1.0e-30]}", "by which float32 can be divided, found 1e-30"),
    "rescale": ("preprocess: {steps: [{rescale: {target: [0, 1.0e+308]}}]}", "found 1e\\+308"),
    "ranges": ("preprocess: {steps: [{rescale: {source: [0, 1.0e-30], target: [0, 1.0e+30]}}]}", "quotient"),
    "fill": ("preprocess: {steps: [{letterbox: {size: [8, 8], fill: 1.0e+308}}]}", "found 1e\\+308"),
}


@pytest.mark.parametrize(("line", "sentence"), TOO_MUCH.values(), ids=TOO_MUCH)
def test_sizes_and_numbers_are_bounded_where_recipes_are_read(line, sentence):
    lines = ["recipe: 1", "model: lenet5", "optimizer: sgd", "learning_rate: 1", "epochs: 1", "loss: hinge", "data:"]
    with pytest.raises(SpecError, match=sentence) as caught:
        read_recipe_text("\n".join([*lines, "  train: digits", f"  {line}\n"]))
    assert str(caught.value).startswith("recipe.yaml:9:")
