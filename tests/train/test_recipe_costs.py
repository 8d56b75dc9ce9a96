"""What recipes and sweeps cost that ask for much, and what they are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphc.compiler import plan_model
from graphc.errors import SpecError
from graphc.initializers import Zeros
from graphc.passes.kept_in_float import kept_in_float
from graphc.spec.model import read_spec_text
from graphc.sweep.settings import read_sweep
from graphc.train.param_groups import ParamGroups
from graphc.train.recipe import read_recipe_text
from graphc.train.recipe_tree import is_recipe
from graphc.train.schedules import Exponential, Step
from graphc.variables import ParamSpec
from tests.costs import little

RECIPE = """\
recipe: 1
model: lenet5
optimizer: sgd
learning_rate: 0.1
epochs: 1
loss: softmax_cross_entropy
data: {train: digits}
"""
SWEEP = "sweep: 1\nrecipe: recipe.yaml\n"


def test_unknown_keys_are_compared_as_far_as_they_are_shown() -> None:
    with little(), pytest.raises(SpecError, match="unknown key 'key0'") as caught:
        read_recipe_text(RECIPE + "".join(f"key{number}: 1\n" for number in range(14_000)))
    assert "and 13,980 more errors" in str(caught.value)


def test_a_key_is_no_line_of_its_own() -> None:
    with pytest.raises(SpecError) as caught:
        read_recipe_text(RECIPE + 'multipliers: {"a\\nrecipe.yaml: no errors": x}\n')
    assert len(str(caught.value).splitlines()) == 1


def test_many_patterns_are_compiled_once() -> None:
    count = 800
    patterns = ", ".join(f'"*/l{number}/*": {number}' for number in range(count))
    recipe = read_recipe_text(f"{RECIPE}multipliers: {{{patterns}}}\n")
    variables = {f"net/l{number}/weights": ParamSpec((1,), Zeros()) for number in range(count)}
    with little():
        groups = ParamGroups.of(variables, recipe)
    assert groups.factors == {f"net/l{number}/weights": number for number in range(count)}


def test_patterns_are_as_many_as_can_be_compared() -> None:
    patterns = ", ".join(f'"*{number}": 1' for number in range(4_000))
    recipe = read_recipe_text(f"{RECIPE}multipliers: {{{patterns}}}\n")
    variables = {f"net/l{number}/weights{number}": ParamSpec((1,), Zeros()) for number in range(4_000)}
    with little(), pytest.raises(SpecError, match="expected at most 1,000 patterns for 4,000 names, found 4,000"):
        ParamGroups.of(variables, recipe)


@pytest.mark.parametrize("schedule", [Step(every=5e-324), Exponential(rate=0.5, every=5e-324, staircase=True)])
def test_periods_that_are_next_to_nothing(schedule: Step | Exponential) -> None:
    assert schedule.factor(0.0, 10.0) == 1
    assert schedule.factor(1.0, 10.0) == 0


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "sampler: grid\nsettings:\n" + "".join(f"  s{n}: {{int_uniform: [0, 9999]}}\n" for n in range(99)),
            r"a grid of at most 100,000 points, found 2\*\*63 or more",
        ),
        (
            "trials: 2000\nvariables:\n" + "".join(f"  v{number}: [1, 2]\n" for number in range(3_000)),
            "expected at most 100 that vary, found 3,000",
        ),
        ('trials: 1\nsettings: {"": [1]}\n', "expected the name of a variable, or keys with dots .* found ''"),
        ('trials: 1\nsettings: {"batch=3": [1]}\n', "found 'batch=3'"),
        ("trials: 1\nsettings: {a..b: [1]}\n", r"found 'a\.\.b'"),
    ],
)  # fmt: skip
def test_a_sweep_that_cannot_be(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "sweep.yaml").write_text(SWEEP + text)
    with little(), pytest.raises(SpecError, match=sentence):
        read_sweep(tmp_path / "sweep.yaml")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("multipliers: {" + ", ".join(f"a{number}: 1" for number in range(60_000)) + "}", "more than 30,000 keys"),
        ("metrics: [" + ", ".join(["accuracy"] * 60_000) + "]", "more than 30,000 keys"),
    ],
)
def test_a_recipe_of_more_keys_than_any_has(text: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(f"{RECIPE}{text}\n")
    with little(), pytest.raises(SpecError, match=sentence):
        read_recipe_text(path.read_text())
    with little():
        assert is_recipe(path)


def test_heads_have_a_bound() -> None:
    heads = "heads:\n" + "  - {output: logits, loss: hinge}\n" * 1_001
    with little(), pytest.raises(SpecError, match="heads: expected at most 1,000 values"):
        read_recipe_text(RECIPE.replace("loss: softmax_cross_entropy\n", heads))


def test_layers_that_stay_in_float_are_compared_as_far_as_there_is_time() -> None:
    plan = plan_model(read_spec_text("graphc: 1\ninputs: {x: [N, 8]}\nlayers: [repeat: {times: 2000, layer: relu}]\n"))
    with little(), pytest.raises(SpecError, match="expected at most 2,000 patterns"):
        kept_in_float(plan, [f"*{number}*" for number in range(20_000)])
