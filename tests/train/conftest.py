"""A network, data and recipe so small that a run takes a moment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

SPEC = """\
graphc: 1
name: tiny
inputs: {image: [N, 6, 6, 1]}
arg_scope:
  conv2d: {kernel: 3, padding: same, normalizer: {batch_norm: {decay: 0.9}}, activation: relu}
  conv2d, fully_connected: {weights_regularizer: {l2: 0.001}}
layers:
  - conv2d: {name: conv1, filters: 4}
  - max_pool2d: [2, 2]
  - flatten
  - dropout: {rate: 0.25}
  - fully_connected: {name: logits, units: 3}
outputs: {logits: logits}
"""

RECIPE = """\
recipe: 1
model: tiny.yaml
data:
  train: {npz: {path: train.npz}}
  validation: {npz: {path: test.npz}}
loss: softmax_cross_entropy
optimizer: {adam: {weight_decay: 0.001}}
learning_rate: 0.02
schedule: cosine
batch: 16
epochs: 4
metrics: [accuracy]
ema: {decay: 0.9}
seed: 7
"""


def write_data(path: Path, count: int, seed: int, label_limit: int = 3) -> None:
    """Three classes of noisy pictures: bright above, bright below, bright nowhere."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, label_limit, count)
    images = rng.normal(0, 0.4, (count, 6, 6, 1))
    images[labels == 1, :3] += 1
    images[labels == 2, 3:] += 1
    np.savez(path, x=images.astype(np.float32), y=labels)


def write_tiny_project(
    folder: Path, train: int = 100, test: int = 40, *, spec: str = SPEC, recipe: str = RECIPE
) -> Path:
    """The folder, with tiny.yaml, recipe.yaml, and so many examples of each part."""
    (folder / "tiny.yaml").write_text(spec)
    (folder / "recipe.yaml").write_text(recipe)
    write_data(folder / "train.npz", train, 0)
    write_data(folder / "test.npz", test, 1)
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with tiny.yaml, recipe.yaml and its data."""
    return write_tiny_project(tmp_path)
