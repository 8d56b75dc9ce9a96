"""What a sweep.yaml may say, what it draws, and how errors of it read."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from graphc.errors import SpecError
from graphc.sweep.settings import Range, read_sweep
from graphc.sweep.study import params_of
from graphc.train.recipe import read_recipe

GRID = """\
sweep: 1
recipe: recipe.yaml
sampler: grid
variables: {width: [1, 2]}
settings:
  learning_rate: {values: [0.1, 0.01]}
  batch: {int_uniform: [3, 4]}
"""


def sweep_of(folder: Path, text: str):
    path = folder / "sweep.yaml"
    path.write_text(text)
    return read_sweep(path)


def test_a_grid_is_every_combination(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, GRID)
    planned = sweep.planned()
    assert len(planned) == sweep.count == 8
    assert planned[0] == {"width": 1, "learning_rate": 0.1, "batch": 3}
    assert len({tuple(each.values()) for each in planned}) == 8
    assert sweep.overrides(planned[0]) == ["model.set.width=1", "learning_rate=0.1", "batch=3"]
    assert sweep_of(tmp_path, GRID + "trials: 3\n").planned() == planned[:3]


def test_what_is_drawn_lies_within_and_follows_the_seed(tmp_path: Path) -> None:
    text = GRID.replace("grid", "random") + "  momentum: {uniform: [0.5, 1]}\n  decay: {log_uniform: [1.0e-5, 1]}\n"
    sweep = sweep_of(tmp_path, text + "trials: 200\nseed: 3\n")
    planned = sweep.planned()
    assert planned == sweep.planned()
    assert planned[:5] == sweep.model_copy(update={"trials": 5}).planned(), "a trial does not depend on how many"
    decays = np.array([each["decay"] for each in planned])
    assert decays.min() >= 1e-5
    assert decays.max() <= 1
    assert 0.3 < (decays < 10**-2.5).mean() < 0.7, "half of the logarithms below the middle"
    assert {each["batch"] for each in planned} == {3, 4}
    assert sweep_of(tmp_path, text + "trials: 200\nseed: 4\n").planned() != planned


def test_values_of_any_type_reach_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(
        "recipe: 1\nmodel: lenet5\ndata: {train: {npz: {path: x.npz}}}\nloss: softmax_cross_entropy\n"
        "optimizer: sgd\nlearning_rate: 1\nbatch: 8\nepochs: 1\n"
    )
    values = [{"adam": {"beta1": 0.8}}, "sgd"]
    sweep = sweep_of(tmp_path, f"sweep: 1\nrecipe: recipe.yaml\nsampler: grid\nsettings: {{optimizer: {values}}}\n")
    found = [read_recipe(tmp_path / "recipe.yaml", sweep.overrides(each)) for each in sweep.planned()]
    assert [each.optimizer.kind for each in found] == ["adam", "sgd"]
    assert found[0].optimizer.beta1 == 0.8


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("sampler: grid", "sampler: gird", r"sweep.yaml:3:10: error\[G604\]: sampler"),
        ("sampler: grid", "sampler: tpe", "`trials` says how many there are to be, where the sampler is tpe"),
        ("{values: [0.1, 0.01]}", "{uniform: [0.1, 0.2]}", "a grid needs values that can be counted: learning_rate"),
        ("[3, 4]", "[4, 3]", r"sweep.yaml:7:.*expected two ends, the lower one first, found \[4, 3\]"),
        ("[1, 2]", "[]", r"sweep.yaml:4:20: error.*variables.width: expected either `values` or"),
        ("sampler: grid", "constraints: {mac: 3}", "expected a cost of networks, found 'mac' .did you mean 'macs'"),
        ("sampler: grid", "constraints: {macs: lots}", "macs expects a number or a bound"),
        ("{values: [0.1, 0.01]}", "{values: [1], uniform: [1, 2]}", "expected either `values` or `uniform`"),
        ("recipe: recipe.yaml", "recipes: recipe.yaml", "recipes"),
        ("[1, 2]", '[1, "2"]', "expected values that --set can write, found '2', which it reads as 2"),
        ("[1, 2]", '[1, "null"]', "width: expected values that --set can write, found 'null', which it reads as null"),
        ("[3, 4]", "[0, 9007199254740993]", "int_uniform: expected ends up to 9,007,199,254,740,992"),
        ("{values: [0.1, 0.01]}", "{uniform: [-1.7e308, 1.7e308]}", "expected ends whose difference is a number"),
    ],
)
def test_errors_have_their_places(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in GRID
    with pytest.raises(SpecError) as caught:
        sweep_of(tmp_path, GRID.replace(old, new))
    assert re.search(said, str(caught.value)), str(caught.value)


def test_a_truth_value_is_not_the_number_one(tmp_path: Path) -> None:
    """Optuna keeps the place of a value in its list; Python takes 1, 1.0 and true for equal."""
    text = "sweep: 1\nrecipe: r.yaml\nsampler: grid\nvariables: {x: [1, true, 1.0, null, a]}\n"
    sweep = sweep_of(tmp_path, text)
    planned = sweep.planned()
    assert [params_of(sweep, each)["x"] for each in planned] == [0, 1, 2, 3, 4]
    written = [sweep.overrides(each)[0] for each in planned]
    assert written == ["model.set.x=1", "model.set.x=true", "model.set.x=1.0", "model.set.x=null", "model.set.x=a"]


def test_a_log_range_lies_above_zero() -> None:
    with pytest.raises(ValueError, match="log_uniform: expected ends above 0"):
        Range(log_uniform=(0.0, 1.0))
