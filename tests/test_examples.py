"""Every example runs, in its small setting, and shows what it says."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch):
    """`example("edges", "--out", folder)`: the example's module, its arguments set."""

    def load(name: str, *arguments: str):
        monkeypatch.syspath_prepend(str(EXAMPLES / name))
        monkeypatch.setattr(sys, "argv", [f"examples/{name}/run.py", *arguments])
        monkeypatch.delitem(sys.modules, "run", raising=False)
        import run

        return run

    return load


def test_edges_shift_with_the_photograph(example, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    photo = tmp_path / "photo.png"
    Image.fromarray(rng.integers(0, 256, (60, 80), np.uint8)).save(photo)
    assert example("edges", str(photo), "--out", str(tmp_path)).main() == 0
    with Image.open(tmp_path / "edges.png") as edges:
        assert edges.size == (80, 60)


def test_edges_are_the_sobel_gradients(example, tmp_path: Path) -> None:
    """A ramp to the right: no horizontal edge, and a vertical one of 8 steps everywhere."""
    from graphc.compiler import compile_spec
    from graphc.runtime import Session

    model = tmp_path / "sobel.onnx"
    compile_spec(EXAMPLES / "edges" / "sobel.yaml", model)
    ramp = np.tile(np.arange(9, dtype=np.float32), (7, 1))
    edges = Session(str(model)).run({"image": ramp[None, :, :, None]})["edges"][0, :, 1:-1, 1:-1]
    assert (edges[0] == 0).all()
    assert (edges[1] == 8).all()


def test_segmentation_learns_the_masks(tmp_path: Path) -> None:
    """More of the pixels than by calling everything the ground, which gives a mean IoU of about 0.22."""
    from graphc.train.commands import train

    settings = ["data.train.shapes.count=200", "data.validation.shapes.count=40", "epochs=4"]
    last = train(EXAMPLES / "segmentation" / "recipe.yaml", tmp_path / "run", settings)
    assert last["validation_mean_iou"] > 0.28


def test_boxes_are_found(tmp_path: Path) -> None:
    """In a short run already much closer than the mean box would be."""
    from graphc.data.sources import Shapes
    from graphc.train.commands import train

    settings = ["data.validation.shapes.count=60", "epochs=8"]
    last = train(EXAMPLES / "boxes" / "recipe.yaml", tmp_path / "run", settings)
    boxes = Shapes(count=60, classes=3, seed=2).load(Path(), 10**8).targets["boxes"] / 32
    mean_box = float(np.abs(boxes - boxes.mean(axis=0)).mean())
    assert last["validation_mae"] < 0.85 * mean_box
