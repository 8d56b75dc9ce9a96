"""Means over a data set do not depend on how it is cut into batches: losses, gradients, metrics, of every head."""

from __future__ import annotations

import json

import numpy as np
import pytest

from graphc.data.batch import Batch
from graphc.errors import DataError, SpecError
from graphc.initializers import initial_values
from graphc.spec.model import read_spec_text
from graphc.train.commands import evaluate_run, train
from graphc.train.numpy_engine import NumpyEngine
from graphc.train.recipe import read_recipe_text
from graphc.train.state import TrainState
from graphc.train.task import Task

SPEC = """\
graphc: 1
name: two
inputs: {image: [N, 4, 4, 2]}
layers:
  - conv2d: {name: maps, filters: 3, kernel: 3, activation: tanh}
  - flatten
  - fully_connected: {name: age, units: 1}
outputs: {maps: maps, age: age}
"""
RECIPE = """\
recipe: 1
model: two.yaml
data:
  train: {npz: {path: data.npz, inputs: {image: x}, targets: {mask: mask, age: age, w: w}}}
heads:
  - {output: maps, target: mask, loss: {softmax_cross_entropy: {ignore: 255, class_weights: [1, 3, 0.5]}}, weight: 0.7}
  - {output: age, target: age, loss: mean_squared, example_weights: w}
optimizer: sgd
learning_rate: 0.1
batch: 8
epochs: 1
dtype: float64
metrics: {maps: [accuracy, mean_iou], age: [mae, r2]}
"""
ROWS = 32


def _arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    mask = rng.integers(0, 3, (ROWS, 4, 4))
    mask[rng.random(mask.shape) < np.linspace(0.05, 0.95, ROWS)[:, None, None]] = 255
    weights = rng.random(ROWS) * (rng.random(ROWS) < 0.6)
    return {"x": rng.normal(size=(ROWS, 4, 4, 2)), "mask": mask, "age": rng.normal(size=ROWS), "w": weights}


def _step(
    accumulate: int, recipe: str = RECIPE, bounds: list[int] | None = None
) -> tuple[float, dict[str, np.ndarray]]:
    """(loss, gradients) of one step over all rows, in so many batches; `bounds`: where they are cut, if not evenly."""
    text = f"{recipe}accumulate: {accumulate}\n"
    engine = NumpyEngine(Task.of(read_recipe_text(text), read_spec_text(SPEC, "two.yaml")))
    params = {name: value.astype(np.float64) for name, value in initial_values(engine.plan.variables, 0).items()}
    state = TrainState.start(params, engine.recipe.optimizer, list(engine.learning.learning), False)
    arrays = _arrays()
    batches = [
        Batch({"image": arrays["x"][rows]}, {name: arrays[name][rows] for name in ("mask", "age", "w")})
        for rows in np.split(np.arange(ROWS), bounds or accumulate)
    ]
    done = engine.compute(state, batches, 0.1)
    found = {name: np.array(gradient) for name, gradient in done.gradients.items()}
    engine.network.close()
    return done.loss, found


ONE_HEAD = RECIPE.replace("  - {output: age, target: age, loss: mean_squared, example_weights: w}\n", "").replace(
    ", age: [mae, r2]", ""
)


@pytest.mark.parametrize("recipe", [RECIPE, ONE_HEAD], ids=["two heads", "one head"])
def test_accumulated_batches_are_one_large_batch(recipe):
    loss, gradients = _step(1, recipe)
    for accumulate in (2, 4, 32):
        other_loss, others = _step(accumulate, recipe)
        assert other_loss == pytest.approx(loss, abs=1e-12)
        for name, gradient in gradients.items():
            np.testing.assert_allclose(others[name], gradient, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("recipe", [RECIPE, ONE_HEAD], ids=["two heads", "one head"])
def test_a_short_batch_counts_as_the_rows_that_it_has(recipe):
    loss, gradients = _step(1, recipe)
    other_loss, others = _step(4, recipe, bounds=[3, 17, 30])
    assert other_loss == pytest.approx(loss, abs=1e-12)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(others[name], gradient, rtol=1e-9, atol=1e-12)


def test_validation_does_not_depend_on_the_batch(tmp_path):
    np.savez(tmp_path / "data.npz", **_arrays())
    (tmp_path / "two.yaml").write_text(SPEC)
    (tmp_path / "recipe.yaml").write_text(RECIPE.replace("heads:", "  test: *set\nheads:").replace("npz", "npz", 1))
    text = RECIPE.replace("train: {npz", "train: &set {npz").replace("heads:", "  validation: *set\nheads:")
    (tmp_path / "recipe.yaml").write_text(text)
    records = []
    for batch in (1, 4, 8):
        run = tmp_path / f"run{batch}"
        train(tmp_path / "recipe.yaml", run, [f"batch={batch}", "learning_rate=0"])
        (line,) = (run / "metrics.jsonl").read_text().splitlines()
        records.append(json.loads(line))
        evaluated = evaluate_run(run)
        for name in ("loss", "loss_maps", "loss_age", "accuracy_maps", "mean_iou_maps", "mae_age", "r2_age"):
            assert records[-1][f"validation_{name}"] == pytest.approx(records[0][f"validation_{name}"], abs=1e-9)
            assert records[-1][name] == pytest.approx(records[-1][f"validation_{name}"], abs=1e-9)  # nothing is learned
            assert evaluated[name] == records[-1][f"validation_{name}"]
    sums = 0.7 * records[0]["loss_maps"] + records[0]["loss_age"]
    assert records[0]["loss"] == pytest.approx(sums)


def test_what_weighs_nothing_is_not_judged(tmp_path):
    arrays = _arrays()
    arrays["age"][arrays["w"] == 0] = 1e6
    np.savez(tmp_path / "data.npz", **arrays)
    (tmp_path / "two.yaml").write_text(SPEC)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    assert train(tmp_path / "recipe.yaml", tmp_path / "run")["mae_age"] < 10


def test_a_resumed_epoch_holds_the_scores(tmp_path):
    """Totals grow with the scores of every example, and are in the checkpoint inside the epoch."""
    from graphc.train.checkpoint import Checkpoints

    rng = np.random.default_rng(0)
    np.savez(tmp_path / "data.npz", x=rng.normal(size=(3000, 2)), y=rng.integers(0, 2, 3000))
    (tmp_path / "net.yaml").write_text(
        "graphc: 1\nname: n\ninputs: {x: [N, 2]}\nlayers: [{fully_connected: {name: p, units: 1}}]\noutputs: {p: p}\n"
    )
    (tmp_path / "recipe.yaml").write_text(
        "recipe: 1\nmodel: net.yaml\ndata: {train: {npz: {path: data.npz, inputs: {x: x}}}}\n"
        "loss: sigmoid_cross_entropy\noptimizer: sgd\nlearning_rate: 0.1\nbatch: 500\nsteps: 5\nmetrics: [auc]\n"
        "checkpoint_steps: 5\n"
    )
    assert 0.3 < train(tmp_path / "recipe.yaml", tmp_path / "run")["auc"] < 0.8
    newest, _ = Checkpoints(tmp_path / "run" / "checkpoints").latest()
    assert newest is not None
    counts = {name: value for name, value in newest.arrays.items() if name.endswith("/scores")}
    assert all(len(value) >= 2500 for value in counts.values())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "metrics: {mask: [accuracy]}",
            r"recipe.yaml:13:11: error\[G606\]: metrics: expected a head \(maps, age\), found",
        ),
        (
            "metrics: {age: [f1]}",
            r"recipe.yaml:13:17: error\[G618\]: f1 judges classes .* age \(mean_squared, one output\)",
        ),
        ("metrics: [mae]", r"recipe.yaml:13:11: error\[G618\]: mae judges values, but maps \(softmax_cross_entropy, 3"),
        (
            "metrics: {maps: [{top_k: {k: 3}}]}",
            r"recipe.yaml:13:18: error\[G601\]: top_k: expected k below .* 3, found 3",
        ),
    ],
)
def test_metrics_that_cannot_judge_a_head_are_refused_at_their_line(tmp_path, line, message):
    """Before anything is read: there are no data here."""
    (tmp_path / "two.yaml").write_text(SPEC)
    text = RECIPE.replace("metrics: {maps: [accuracy, mean_iou], age: [mae, r2]}", line)
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(SpecError, match=message):
        train(tmp_path / "recipe.yaml", tmp_path / "run")
    assert not (tmp_path / "run").exists()


BAD = {
    "weights": ({"w": -np.ones(ROWS)}, r"expected weights from 0 on in w, found -1\.0 at example 0"),
    "values": ({"age": np.full(ROWS, np.nan)}, r"expected targets that are numbers, found nan at example 2 \(18 such"),
    "inputs": ({"x": np.full((ROWS, 4, 4, 2), np.inf)}, r"expected finite numbers \(float64\) in image, found inf"),
    "masks": ({"mask": np.full((ROWS, 4, 4), 7)}, r"expected .*from 0 to 2, found 7"),
}


@pytest.mark.parametrize("bad", BAD)
def test_bad_targets_are_named(tmp_path, bad):
    arrays, message = BAD[bad]
    np.savez(tmp_path / "data.npz", **{**_arrays(), **arrays})
    (tmp_path / "two.yaml").write_text(SPEC)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    with pytest.raises(DataError, match=message):
        train(tmp_path / "recipe.yaml", tmp_path / "run")


@pytest.mark.parametrize(
    ("loss", "y", "message"),
    [
        ("softmax_cross_entropy", np.full((40, 3), 2.0), r"expected shares of classes from 0 to 1, found 2\.0"),
        ("softmax_cross_entropy", np.full((40, 3), 0.5), r"expected shares of classes that sum up to 1, found 1\.5"),
        (
            "softmax_cross_entropy",
            np.full(40, 0.5),
            r"expected labels that are whole numbers from 0 to 2, found float64",
        ),
        ("sigmoid_cross_entropy", np.full((40, 3), 255), r"expected targets from 0 to 1, found 255"),
        (
            "sigmoid_cross_entropy",
            np.full((40, 3), 0.5),
            r"expected targets of 0 or 1 \(a metric judges them\), found 0\.5",
        ),
        ("sigmoid_focal", np.full((40, 3), np.nan), r"expected targets from 0 to 1, found nan"),
    ],
)
def test_targets_that_a_loss_cannot_take_are_named(project, loss, y, message):
    np.savez(project / "train.npz", x=np.zeros((40, 6, 6, 1), np.float32), y=y)
    with pytest.raises(DataError, match=message):
        train(project / "recipe.yaml", project / "run", [f"loss={loss}"])


def test_a_mask_of_0_and_255_says_what_to_write(project):
    spec = (project / "tiny.yaml").read_text()
    spec = (
        spec[: spec.index("  - max_pool2d")]
        + "  - conv2d: {name: logits, filters: 1, kernel: 1}\noutputs: {logits: logits}\n"
    )
    (project / "tiny.yaml").write_text(spec)
    masks = np.random.default_rng(0).integers(0, 2, (40, 6, 6)) * 255
    np.savez(project / "train.npz", x=np.zeros((40, 6, 6, 1), np.float32), y=masks)
    with pytest.raises(DataError, match=r"expected targets from 0 to 1, found 255") as caught:
        train(project / "recipe.yaml", project / "run", ["loss=sigmoid_cross_entropy"])
    assert "mask_values: {255: 1}" in str(caught.value)


def test_example_weights_stand_beside_a_single_loss(project):
    with np.load(project / "train.npz") as data:
        x, y = data["x"], data["y"]
    wrong = np.where(np.arange(len(y)) % 2, (y + 1) % 3, y)
    np.savez(project / "train.npz", x=x, y=wrong, w=np.where(np.arange(len(y)) % 2, 0.0, 1.0))
    more = ["data.train.npz.targets={label: y, w: w}", "epochs=12"]
    np.savez(project / "test.npz", **{**np.load(project / "test.npz"), "w": np.ones(40)})
    more.append("data.validation.npz.targets={label: y, w: w}")
    weighted = train(project / "recipe.yaml", project / "a", [*more, "example_weights=w"])
    assert weighted["validation_accuracy"] > 0.8
    plain = train(project / "recipe.yaml", project / "b", more)
    assert plain["accuracy"] < weighted["accuracy"]
