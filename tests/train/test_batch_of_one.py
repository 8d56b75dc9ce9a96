"""Batch norm on one value a channel: an error before training, as in PyTorch, that says what to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graphc.errors import SpecError
from graphc.train.commands import train
from graphc.train.recipe import read_recipe_text
from graphc.train.step_counts import StepCounts

FLAT = """\
graphc: 1
name: n
inputs: {x: [N, 5]}
layers:
  - fully_connected: {name: f1, units: 8, normalizer: batch_norm, activation: relu}
  - fully_connected: {name: logits, units: 3}
outputs: {logits: logits}
"""
TO_ONE_PIXEL = """\
graphc: 1
name: n
inputs: {x: [N, H, H, 2]}
layers:
  - conv2d: {name: c1, filters: 4, kernel: 3, padding: valid, normalizer: batch_norm}
  - conv2d: {name: c2, filters: 4, kernel: 4, padding: valid, normalizer: batch_norm}
  - global_avg_pool2d
  - fully_connected: {name: logits, units: 3}
outputs: {logits: logits}
"""
RECIPE = """\
recipe: 1
model: net.yaml
data: {train: {npz: {path: d.npz, inputs: {x: x}}}}
loss: softmax_cross_entropy
optimizer: adam
learning_rate: 0.02
batch: 32
epochs: 1
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 33)
    np.savez(tmp_path / "d.npz", x=rng.normal(size=(33, 5)).astype(np.float32), y=labels)
    np.savez(tmp_path / "i.npz", x=rng.normal(size=(33, 6, 6, 2)).astype(np.float32), y=labels)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    (tmp_path / "net.yaml").write_text(FLAT)
    return tmp_path


def refused(project: Path, *overrides: str) -> str:
    with pytest.raises(SpecError) as caught:
        train(project / "recipe.yaml", project / "run", overrides)
    assert caught.value.code == "G614"
    return str(caught.value)


@pytest.mark.parametrize("overrides", [("batch=1",), ("batch=1", "accumulate=4"), ("batch=1", "drop_last=true")])
def test_batches_of_one(project: Path, overrides: tuple[str, ...]) -> None:
    message = refused(project, *overrides)
    assert "net.yaml:5:" in message
    assert "f1/BatchNorm" in message
    assert "batch_norm expects at least 2 values for each mean in training, found 1" in message
    assert "(a batch has 1 example: set `batch` to 2 or more)" in message
    assert not (project / "run").exists()


@pytest.mark.parametrize("overrides", [("batch=32",), ("batch=8", "accumulate=4"), ("batch=16", "accumulate=9")])
def test_the_last_batch_has_one(project: Path, overrides: tuple[str, ...]) -> None:
    message = refused(project, *overrides)
    assert "the last batch of an epoch has 1 example, 33 in batches of" in message
    assert "set `drop_last: true`" in message
    train(project / "recipe.yaml", project / "run", (*overrides, "drop_last=true"))


def test_enough_examples_in_every_batch(project: Path) -> None:
    train(project / "recipe.yaml", project / "run", ("batch=31",))


def test_one_pixel(project: Path) -> None:
    """Here a feature map shrinks to one pixel, which only the images' size tells: the layer finds it out."""
    (project / "net.yaml").write_text(TO_ONE_PIXEL)
    images = "data.train.npz.path=i.npz"
    message = refused(project, images)
    assert "c2/BatchNorm: batch_norm expects at least 2 values" in message
    assert "it reads c2 1×1×4" in message


def test_one_pixel_of_a_fixed_size(project: Path) -> None:
    (project / "net.yaml").write_text(TO_ONE_PIXEL.replace("H, H", "6, 6"))
    assert "set `drop_last: true`" in refused(project, "data.train.npz.path=i.npz")
    train(project / "recipe.yaml", project / "run", ("data.train.npz.path=i.npz", "drop_last=true"))


def test_frozen_statistics_take_any_batch(project: Path) -> None:
    train(project / "recipe.yaml", project / "run", ("batch=1", "freeze=*/f1/*"))


@pytest.mark.parametrize(
    ("examples", "batch", "accumulate", "drop_last", "rows", "sizes"),
    [
        (33, 32, 1, "false", 33, (32, 1)),
        (33, 32, 1, "true", 32, (32,)),
        (33, 1000, 1, "true", 33, (33,)),
        (33, 8, 4, "true", 32, (8,)),
        (33, 16, 4, "true", 32, (16,)),
        (64, 32, 1, "false", 64, (32,)),
        (70, 32, 2, "false", 70, (32, 6)),
    ],
)
def test_sizes_of_batches(
    examples: int, batch: int, accumulate: int, drop_last: str, rows: int, sizes: tuple[int, ...]
) -> None:
    recipe = read_recipe_text(
        RECIPE, overrides=[f"batch={batch}", f"accumulate={accumulate}", f"drop_last={drop_last}"]
    )
    length = StepCounts.of(recipe, examples)
    assert (length.rows, length.batch_sizes) == (rows, sizes)
