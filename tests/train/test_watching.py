"""Which weights are best, when training ends early, and what is looked at where a metric is undefined."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from graphc import weights
from graphc.errors import DivergedError
from graphc.train.commands import train
from graphc.train.progress import Silent
from graphc.train.recipe import Recipe, read_recipe_text
from graphc.train.run_folder import RunFolder
from graphc.train.state import TrainState
from graphc.train.watching import Watcher

from .conftest import RECIPE


def recipe(*overrides: str) -> Recipe:
    return read_recipe_text(RECIPE, overrides=overrides)


def judged(recipe: Recipe, values: list[float], name: str = "loss") -> tuple[list[int], list[int]]:
    """(epochs that were the best so far, validations waited after each) of a row of values."""
    watcher, state = Watcher(recipe, ""), TrainState({}, {})
    best, waited = [], []
    for value in values:
        state.epoch += 1
        record = {"loss": 1.0, name: value}
        watcher.choose(record, state.tracker)
        if watcher.judge(record, state):
            best.append(state.epoch)
        waited.append(state.tracker.waited)
    return best, waited


FALLING = [1.0, 0.95, 0.92, 0.85, 0.86, 0.84, 0.5]


def test_delta_decides_when_training_ends_and_not_what_is_best() -> None:
    best, waited = judged(recipe("monitor=loss", "early_stopping={min_delta: 0.1}"), FALLING)
    assert best == [1, 2, 3, 4, 6, 7]
    assert waited == [0, 1, 2, 0, 1, 2, 0]  # 0.85 is more than 0.1 below 1.0, then 0.5 below 0.85
    assert judged(recipe("monitor=loss", "early_stopping={min_delta: 0}"), FALLING) == (best, [0, 0, 0, 0, 1, 0, 0])
    assert judged(recipe("monitor=loss"), FALLING)[0] == best


def test_higher_is_better_for_accuracy() -> None:
    best, waited = judged(recipe("early_stopping={min_delta: 0.1}"), [0.5, 0.55, 0.61, 0.6, 0.7], "accuracy")
    assert (best, waited) == ([1, 2, 3, 5], [0, 1, 0, 1, 2])


@pytest.mark.parametrize("undefined", [math.nan, None])
def test_an_undefined_metric_is_not_watched(undefined: float | None) -> None:
    watcher, state = Watcher(recipe(), "validation_"), TrainState({}, {})
    record = {"validation_loss": 2.0, "validation_accuracy": undefined}
    said = watcher.choose(record, state.tracker)
    assert said == "validation_accuracy is undefined on these data: best weights are those of the lowest loss"
    assert watcher.judge(record, state)
    assert (state.tracker.name, state.tracker.best) == ("loss", 2.0)
    assert not watcher.judge({**record, "validation_loss": 3.0}, state)


def test_a_loss_that_is_not_finite_ends_training() -> None:
    watcher, state = Watcher(recipe(), ""), TrainState({}, {})
    record = {"loss": math.inf, "accuracy": math.nan}
    watcher.choose(record, state.tracker)
    with pytest.raises(DivergedError, match="the monitored loss is not finite"):
        watcher.judge(record, state)


def test_the_best_weights_are_the_same_for_any_delta(project: Path) -> None:
    for delta in (0, 0.3):
        train(
            project / "recipe.yaml",
            project / str(delta),
            ("monitor=loss", f"early_stopping={{patience: 9, min_delta: {delta}}}"),
        )
    names = {"tiny/logits/weights": (36, 3)}
    found = [weights.load(project / run / "best.safetensors", names)[0] for run in ("0", "0.3")]
    np.testing.assert_array_equal(*(each["tiny/logits/weights"] for each in found))


def test_reduce_on_plateau_lowers_the_rate_and_resumes(project: Path) -> None:
    schedule = "schedule={reduce_on_plateau: {patience: 1, rate: 0.5}}"
    train(project / "recipe.yaml", project / "run", (schedule, "learning_rate=0.000001", "ema=", "epochs=4"))
    records = RunFolder(project / "run").records()
    rates, values = ([record[key] for record in records] for key in ("learning_rate", "validation_accuracy"))
    factor, best, expected = 1.0, -1.0, []
    for value in values:
        expected.append(1e-6 * factor)  # of the epoch that ends; the value decides on the next one's
        factor, best = (factor, value) if value > best else (factor / 2, best)
    assert rates == pytest.approx(expected)
    assert factor < 1


class Listener(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)


def strictly(text: str) -> object:
    """The value of a JSON text in which NaN is no number."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} in {text}")

    return json.loads(text, parse_constant=refuse)


def test_the_log_is_json_where_a_number_is_not_finite(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.append_log({"epoch": 1, "auc": math.nan, "matrix": [[1, -math.inf]], "loss": 1.5})
    folder.append_log({"epoch": 2, "auc": 0.5})
    first, second = (strictly(line) for line in folder.log.read_text().splitlines())
    bad = {"auc": "nan", "matrix": "-inf"}
    assert first == {"epoch": 1, "auc": None, "matrix": [[1, None]], "loss": 1.5, "not_finite": bad}
    assert second == {"epoch": 2, "auc": 0.5}
