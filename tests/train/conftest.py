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


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with tiny.yaml, recipe.yaml and its data."""
    (tmp_path / "tiny.yaml").write_text(SPEC)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    write_data(tmp_path / "train.npz", 100, 0)
    write_data(tmp_path / "test.npz", 40, 1)
    return tmp_path
