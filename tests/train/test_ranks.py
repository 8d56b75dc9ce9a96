"""Training on arrays of sequences and of volumes, and what the run then says of others."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from graphc.cli import cli

SPEC = """\
graphc: 1
name: net
inputs: {{x: {shape}}}
layers:
  - conv{rank}d: {{name: conv, filters: 6, kernel: 3, stride: 2, normalizer: batch_norm, activation: relu}}
  - global_avg_pool{rank}d
  - fully_connected: {{name: logits, units: 2}}
outputs: {{logits: logits}}
"""
RECIPE = """\
recipe: 1
model: net.yaml
data: {train: {npz: {path: d.npz}}}
loss: softmax_cross_entropy
metrics: [accuracy]
optimizer: adam
learning_rate: 0.05
batch: 16
epochs: 6
seed: 1
"""


def examples(rank: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise, in half of the examples with every second position along the first axis raised."""
    rng = np.random.default_rng(rank)
    x = 0.3 * rng.standard_normal((count, 12, *(4,) * (rank - 1), 2))
    labels = rng.integers(0, 2, count)
    x[labels == 1, ::2] += 1
    return x.astype(np.float32), labels


@pytest.mark.parametrize("rank", [1, 3])
def test_a_run_on_arrays_learns_and_predicts(rank: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    x, labels = examples(rank, 64)
    np.savez("d.npz", x=x, y=labels)
    np.save("x.npy", x[:5])
    np.savez("x.npz", x=x[:5])
    shape = ["N", *x.shape[1:]]
    Path("net.yaml").write_text(SPEC.format(rank=rank, shape=f"[{', '.join(map(str, shape))}]"), encoding="utf-8")
    Path("recipe.yaml").write_text(RECIPE, encoding="utf-8")

    def graphc(*arguments: str) -> list[dict[str, object]]:
        done = CliRunner().invoke(cli, arguments, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    graphc("train", "recipe.yaml", "-o", "r", "-q")
    last = [json.loads(line) for line in Path("r/metrics.jsonl").read_text(encoding="utf-8").splitlines()][-1]
    assert last["accuracy"] >= 0.95, last
    said = graphc("predict", "r", "x.npz")
    assert [each["class"] for each in said] == [str(label) for label in labels[:5]]
    from_file = graphc("run", "r/best.onnx", "x.npy")
    assert [each["class"] for each in from_file] == [each["class"] for each in said]
    for one, other in zip(from_file, said, strict=True):
        assert one["probability"] == pytest.approx(other["probability"], abs=1e-5)
