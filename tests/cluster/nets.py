"""Trainings of three nets with all that ranks could do otherwise: batch norm, dropout, augmentation, a moving average,
accumulated and clipped gradients."""

from __future__ import annotations

from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
RECIPE = """\
recipe: 1
model: net.yaml
data:
  train: {npz: {path: train.npz, value_range: [0, 1]}}
  validation: {npz: {path: test.npz, value_range: [0, 1]}}
  augment: [flip_horizontal, {pad_crop: {pad: 1}}, {brightness: {amount: 0.2}}]
loss: softmax_cross_entropy
optimizer: {adam: {weight_decay: 0.001}}
learning_rate: 0.01
schedule: cosine
batch: 8
shards: 4
accumulate: 2
clip: {global_norm: 0.5}
ema: {decay: 0.9}
epochs: 3
checkpoint_steps: 1
metrics: [accuracy]
seed: 7
"""
DROPOUT = "  - dropout: {rate: 0.25}\n"


def digits() -> str:
    return (ROOT / "examples" / "digits" / "digits.yaml").read_text()


def lenet() -> str:
    """With batch norm and dropout, which LeNet-5 has not."""
    spec = (ROOT / "specs" / "lenet5.yaml").read_text().partition("expect:")[0]
    spec = spec.replace("conv2d: {kernel: 5}", "conv2d: {kernel: 5, normalizer: batch_norm}")
    return spec.replace("  - flatten\n", f"  - flatten\n{DROPOUT}")


def resnet20() -> str:
    spec = (ROOT / "benchmarks" / "nets" / "resnet20_cifar.yaml").read_text()
    return spec.replace("  - global_avg_pool2d\n", f"  - global_avg_pool2d\n{DROPOUT}")


NETS = {"digits": (digits, 8, 1, 64), "lenet": (lenet, 28, 1, 64), "resnet20": (resnet20, 32, 3, 48)}
"""Name -> (spec, side, channels, examples)."""


def write_net(name: str, folder: Path) -> Path:
    """Spec, recipe and data of a net in a folder, which is made; the folder."""
    spec, side, channels, count = NETS[name]
    text = spec()
    assert "batch_norm" in text
    assert "dropout" in text
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "net.yaml").write_text(text)
    (folder / "recipe.yaml").write_text(RECIPE)
    rng = np.random.default_rng(len(name))
    for part, examples in (("train", count), ("test", 16)):
        labels = rng.integers(0, 10, examples)
        images = rng.random((examples, side, side, channels), np.float32) * 0.5
        images[np.arange(examples), labels % side] += 0.5
        np.savez(folder / f"{part}.npz", x=images, y=labels)
    return folder
