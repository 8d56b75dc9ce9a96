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
