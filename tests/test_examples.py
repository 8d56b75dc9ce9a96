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


def test_a_detector_begins_to_find_shapes(tmp_path: Path) -> None:
    from graphc.train.commands import train

    settings = ["data.train.shapes.count=96", "data.validation.shapes.count=12", "batch=8", "epochs=2"]
    last = train(EXAMPLES / "detection" / "recipe.yaml", tmp_path / "run", settings)
    assert last["validation_map50"] > 0.01


def test_a_convolutional_net_knows_shifted_digits(example, tmp_path: Path) -> None:
    found = example("properties", "--small", "--out", str(tmp_path)).main()
    assert found["dense"][2] < 0.3
    assert found["conv"][0] - found["conv"][1] < 0.05
    assert (tmp_path / "shifts.png").is_file()


def test_activations_reach_the_training_error(example, tmp_path: Path) -> None:
    found = example("activations", "--small", "--out", str(tmp_path)).main()
    assert found["relu"][1] <= 60
    assert found["sigmoid"][1] is None
    assert (tmp_path / "error.png").is_file()


def test_cifar10_that_is_missing_is_asked_for(example, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="needs CIFAR-10: --data FOLDER"):
        example("activations", "--data", str(tmp_path), "--out", str(tmp_path)).main()


def test_batch_norm_trains_where_bias_does_not_and_learns_to_undo_itself(example, tmp_path: Path) -> None:
    found = example("batch_norm", "--small", "--out", str(tmp_path)).main()
    assert found["largest"]["batch norm"] > found["largest"]["bias"]
    for _, learned, of_data in found["undone"]:
        assert abs(learned - of_data) < 0.02


def test_pooling_keeps_what_the_lecture_says(example, tmp_path: Path) -> None:
    remains, accuracies = example("pooling", "--small", "--out", str(tmp_path)).main()
    lines = {pool: numbers[0] for pool, numbers in remains.items()}
    errors = {pool: numbers[4] for pool, numbers in remains.items()}
    assert lines == {"max": 1.0, "average": 0.5, "stride": 0.5}
    assert errors["average"] < errors["max"] < errors["stride"]
    assert set(accuracies) == set(lines)


def test_a_pointwise_convolution_stays_above_the_optimum(example, tmp_path: Path) -> None:
    convolved, optimum = example("pointwise", "--small", "--out", str(tmp_path)).main()[32]
    assert optimum < convolved < 2 * optimum


def test_l1_empties_weights(example, tmp_path: Path) -> None:
    found = example("maps", "--small", "--out", str(tmp_path)).main()
    free, bound = (int(found[name]["weights below 0.001"].rstrip("%")) for name in ("none", "l1 0.0001"))
    assert bound > free + 10


def test_whitening_finds_sum_and_difference(example, tmp_path: Path) -> None:
    found = example("whitening", "--small", "--out", str(tmp_path)).main()
    assert np.allclose(np.abs(found["axes"]), np.sqrt(0.5), atol=0.02)
    assert all(loss < np.log(10) for loss in found["loss"].values())


def test_the_cat_detector_slides_over_a_photograph(example, tmp_path: Path) -> None:
    found = example("cats", "--small", "--out", str(tmp_path)).main()
    assert found["accuracy"] > 0.5
    with Image.open(tmp_path / "heat.png") as picture:
        assert picture.width > 500


def test_little_data_by_every_method(example, tmp_path: Path) -> None:
    (found,) = example("little_data", "--small", "--out", str(tmp_path)).main().values()
    assert min(accuracy for (accuracy,) in found.values()) > 0.15
    assert found["teacher"][0] > found["augmented"][0]


def test_a_recognizer_reads_lines_longer_than_those_that_it_learned_from(example, tmp_path: Path) -> None:
    reading = example("reading", "--small", "--out", str(tmp_path))
    texts, lines = reading.lines_of("test", 3, (2, 2), 30, 0)
    assert [len(text) for text in texts] == [2, 2, 2]
    assert lines.shape == (3, 8, 30, 1)
    found = reading.main()
    assert found["3 to 7 (the test's)"] < 0.3
    assert found["48"] < 0.3
