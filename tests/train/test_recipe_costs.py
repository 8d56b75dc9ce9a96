"""What recipes and sweeps cost that ask for much, and what they are told."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from graphc.compiler import plan_model
from graphc.data.annotation_shapes import check_annotations
from graphc.data.examples import Examples
from graphc.data.preprocess import Preprocess
from graphc.errors import DataError, SpecError
from graphc.initializers import Zeros
from graphc.passes.kept_in_float import kept_in_float
from graphc.spec.model import read_spec_text
from graphc.sweep.settings import read_sweep
from graphc.train.commands import train
from graphc.train.param_groups import ParamGroups
from graphc.train.recipe import dump_recipe, read_recipe_text
from graphc.train.recipe_tree import is_recipe
from graphc.train.schedules import Exponential, Step
from graphc.train.step_file import compile_training
from graphc.train.trained import Options
from graphc.valid_json import loads
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


def _nested(depth: int) -> str:
    return "[" * depth + "1" + "]" * depth


LONG = {
    "freeze": ("freeze: '{}'\n", "?*" * 300_000, "recipe.yaml:8:9: .*at most 4,096 characters, found one of 600,000"),
    "pattern": ("freeze: ['{}']\n", "?*" * 501, "recipe.yaml:8:10: .*expected at most 1,000 characters"),
    "a key": ("multipliers: {{'{}': 2}}\n", "a" * 1_001, "recipe.yaml:8:.*expected at most 1,000 characters"),
    "a long key": ("multipliers: {{? '{}' : 2}}\n", "a" * 9_999, "recipe.yaml:8:17: .*at most 4,096 characters"),
    "name": ("monitor: '{}'\n", "a" * 9_999, "recipe.yaml:8:10: .*at most 4,096 characters, found one of 9,999"),
}


@pytest.mark.parametrize(("line", "text", "sentence"), LONG.values(), ids=LONG)
def test_texts_are_no_longer_than_they_have_to_be(line: str, text: str, sentence: str) -> None:
    with little(), pytest.raises(SpecError) as caught:
        read_recipe_text(RECIPE + line.format(text))
    assert re.search(sentence, str(caught.value))


def test_texts_of_the_command_line_are_bounded_too() -> None:
    with pytest.raises(SpecError, match=r"--set.*expected a text of at most 4,096 characters, found one of 9,999"):
        read_recipe_text(RECIPE, overrides=["monitor=" + "a" * 9_999])
    with pytest.raises(SpecError, match=r"--set.*nested deeper than 24 levels"):
        read_recipe_text(RECIPE, overrides=["model.set." + "a." * 30 + "a=1"])
    with pytest.raises(SpecError, match=r"--set.*nested deeper than 24 levels"):
        read_recipe_text(RECIPE, overrides=["model.set.a=" + _nested(22)])
    many = str([1] * 20_000)
    with pytest.raises(SpecError, match=r"--set.*more than 30,000 keys and values"):
        read_recipe_text(RECIPE, overrides=[f"model.set.a={many}", f"model.set.b={many}"])


def test_recipes_are_nested_as_deep_as_a_run_can_say_again() -> None:
    text = RECIPE.replace("model: lenet5", "model: {spec: lenet5, set: {a: DEEP}}")
    read = read_recipe_text(text.replace("DEEP", _nested(21)))
    assert loads(json.dumps({"began": {"recipe": json.loads(dump_recipe(read))}}))
    with pytest.raises(SpecError, match=r"recipe.yaml:2:.*nested deeper than 24 levels"):
        read_recipe_text(text.replace("DEEP", _nested(22)))


def test_many_patterns_of_many_letters() -> None:
    letters = ", ".join(f"'{number}{'a' * 900}'" for number in range(200))
    with little(), pytest.raises(SpecError, match="patterns of at most 100,000 characters together, found 180,"):
        read_recipe_text(f"{RECIPE}freeze: [{letters}]\n")
    with little(), pytest.raises(SpecError, match=r"recipe.yaml:8:9: .*freeze: expected at most 5,000 values"):
        read_recipe_text(f"{RECIPE}freeze: [{'a, ' * 6_000}]\n")
    with little(), pytest.raises(SpecError, match=r"augment: expected at most 100 values"):
        read_recipe_text(RECIPE.replace("{train: digits}", f"{{train: digits, augment: [{'noise, ' * 101}]}}"))


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("freeze: nothing*", "recipe.yaml:8:9: error.G609.: the pattern 'nothing.' fits no variable"),
        ("freeze: [net/*, {pattern: x}]", "recipe.yaml:8:27: error.G609.: the pattern 'x' fits no"),
        ("freeze: '*'", "recipe.yaml:8:9: error.G608.: nothing is left to learn"),
        ("multipliers: {'x*': 2}", "recipe.yaml:8:15: error.G609.: the pattern 'x.' fits no variable"),
    ],
)
def test_patterns_that_fit_nothing_have_a_place(line: str, sentence: str) -> None:
    recipe = read_recipe_text(f"{RECIPE}{line}\n")
    with pytest.raises(SpecError) as caught:
        ParamGroups.of({f"net/{name}": ParamSpec((1,), Zeros()) for name in ("a", "b")}, recipe)
    assert re.search(sentence, str(caught.value))


def _run(folder: Path, model: str = "model: net.yaml", data: str = "", rest: str = "") -> Path:
    """The recipe of a training that takes a moment."""
    spec = "graphc: 1\nname: net\nvars: {a: {}}\ninputs: {image: [N, 8, 8, 3]}\nlayers:\n  - global_avg_pool2d\n"
    (folder / "net.yaml").write_text(
        f"{spec}  - fully_connected: {{name: logits, units: 5}}\noutputs: {{logits: logits}}\n"
    )
    lines = RECIPE.replace("model: lenet5", model).replace(
        "{train: digits}", f"{{train: {{shapes: {{count: 8, size: [8, 8]}}}}{data}}}"
    )
    (folder / "r.yaml").write_text(lines + rest)
    return folder / "r.yaml"


BEFORE_THE_FIRST_STEP = {
    "many nodes": (
        {
            "model": f"model: {{spec: net.yaml, set: {{a: [{'1, ' * 6_000}]}}}}",
            "rest": f"freeze: [{'net/logits/b*, ' * 4_990}]\n",
        },
        "as the run keeps it, could not be read: more than 30,000",
    ),
    "aliases": (
        {"model": f"model: {{spec: net.yaml, set: {{a: [&a '{'x' * 4_000}'{', *a' * 2_000}]}}}}"},
        "r.yaml:2:.*more than 4,000,000 characters in texts",
    ),
    "separator": ({"data": ', flip_pairs: [["\\u2028", b]]'}, r"r.yaml:7:\d+: .*expected printable text, found U.2028"),
    "nothing": ({"data": ', flip_pairs: [["\\0", b]]'}, r"r.yaml:7:\d+: .*expected printable text, found U.0000"),
    "true": (
        {"data": ", test: {shapes: {count: 8, size: [8, 8], channels: true}}"},
        "a whole number, found true",
    ),
    "ignore": ({"rest": "heads: [{output: logits, loss: {dice: {ignore: 2147483648}}}]\n"}, "less than 2147483648"),
    "large": ({"rest": "clip: {global_norm: 1.0e+308}\n"}, r"r.yaml:8:21: .*float32 holds, up to 3e.38, found 1e.308"),
}


@pytest.mark.parametrize(("changes", "sentence"), BEFORE_THE_FIRST_STEP.values(), ids=BEFORE_THE_FIRST_STEP)
def test_what_a_run_could_not_say_again_is_refused_before_it(
    tmp_path: Path, changes: dict[str, str], sentence: str
) -> None:
    recipe = _run(tmp_path, **changes)
    with pytest.raises(SpecError, match=sentence):
        train(recipe, tmp_path / "run")
    assert not list((tmp_path / "run").glob("*.*"))


def test_what_a_model_could_not_say_is_refused_before_the_first_step(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.zeros((8, 8, 8, 3), np.uint8), y=np.zeros(8, np.int64))
    recipe = _run(tmp_path, data=", resize: {center_crop: {shorter_side: 4}}")
    recipe.write_text(recipe.read_text().replace("shapes: {count: 8, size: [8, 8]}", "npz: {path: d.npz}"))
    with pytest.raises(SpecError, match=r"r.yaml:7:1: .*center_crop expects a shorter side of 8 or more"):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run" / "recipe.json").exists()


def test_texts_that_say_recipe_are_found_in_linear_time(tmp_path: Path) -> None:
    (tmp_path / "n.yaml").write_text("\n" * 100_000 + "a:\n" + "- 1\n" * 30_001)
    with little():
        assert not is_recipe(tmp_path / "n.yaml")


def test_heads_have_names_of_their_own(tmp_path: Path) -> None:
    heads = ", ".join(f"{{output: {name}, loss: softmax_cross_entropy}}" for name in ("a", "a", "a_2"))
    recipe = _run(tmp_path, rest=f"heads: [{heads}]\n")
    recipe.write_text(recipe.read_text().replace("loss: softmax_cross_entropy\ndata", "data"))
    spec = (tmp_path / "net.yaml").read_text()
    (tmp_path / "net.yaml").write_text(spec.replace("{logits: logits}", "{a: logits, a_2: global_avg_pool2d}"))
    with pytest.raises(SpecError, match=r"r.yaml:7:.*expected a name of its own for each head: .*called 'a_2'"):
        train(recipe, tmp_path / "run")


def test_a_file_has_few_passes(tmp_path: Path) -> None:
    recipe = _run(tmp_path, rest="accumulate: 20000\n")
    with little(), pytest.raises(SpecError, match=r"r.yaml:8:13: .*at most 256 passes, found 20,000"):
        compile_training(recipe, tmp_path / "net.onnx")


def test_a_step_of_one_example(tmp_path: Path) -> None:
    assert compile_training(_run(tmp_path, rest="batch: 1\n"), tmp_path / "net.onnx").nodes > 0


def test_steps_that_resize_expect_images(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"resize expects images of height, width and channels, found 6"):
        Preprocess.model_validate({"steps": [{"resize": {"size": (8, 8)}}]}).output_shape((6,))


SHAPES = {
    "mask": ({"mask": (4,)}, "the target 'mask': expected a class a pixel of 8.8, found single numbers"),
    "boxes": ({"boxes": (4, 8)}, "the target 'boxes': expected 4 numbers each, found 8"),
    "no boxes": ({"boxes": (4, 0, 4)}, "the target 'boxes': expected 4 numbers each, found 0.4"),
    "a number": ({"boxes": (4,)}, "the target 'boxes': expected 4 numbers each, found single numbers"),
    "points": ({"points": (4, 6)}, "the target 'points': expected 2 numbers each, found 6"),
    "there": ({"points": (4, 3, 2), "points_there": (4, 2)}, "expected one number for each of points, 3, found 2"),
}


@pytest.mark.parametrize(("targets", "sentence"), SHAPES.values(), ids=SHAPES)
def test_annotations_have_their_shapes(targets: dict[str, tuple[int, ...]], sentence: str) -> None:
    arrays = {name: np.zeros(shape) for name, shape in targets.items()}
    with pytest.raises(DataError, match=sentence):
        check_annotations(Examples({"image": np.zeros((4, 8, 8, 3), np.uint8)}, arrays, source="d.npz"))


MEMORY = {
    "batch": ("", "batch: 1000\n", 20_000, r"r.yaml:8:8: .*5 batches of 8 examples take .*limit is 20,000"),
    "workers": (", workers: 64", "", 1_000_000, r"130 batches of 8 examples and 64 workers take"),
    "matrices": (
        ", preprocess: {steps: [{resize: {size: [100000, 250]}}, {resize: {size: [250, 100000]}}, "
        "{resize: {size: [8, 8]}}]}",
        "",
        2**33,
        "G407.*bytes with what makes them, the limit is 8,589,934,592",
    ),
}


@pytest.mark.parametrize(("data", "rest", "limit", "sentence"), MEMORY.values(), ids=MEMORY)
def test_batches_are_counted_before_they_are_made(
    tmp_path: Path, data: str, rest: str, limit: int, sentence: str
) -> None:
    recipe = _run(tmp_path, data=data, rest=rest)
    with little(), pytest.raises(DataError, match=sentence):
        train(recipe, tmp_path / "run", options=Options(max_memory=limit))


def test_sizes_are_compared_before_images_are_read(tmp_path: Path) -> None:
    recipe = _run(tmp_path)
    text = recipe.read_text().replace(
        "shapes: {count: 8, size: [8, 8]}", "image_folder: {path: none, size: [5000, 5000]}"
    )
    recipe.write_text(text)
    with little(), pytest.raises(DataError, match=r"r.yaml:7:15: error\[G404\]: the spec reads image of 8×8×3"):
        train(recipe, tmp_path / "run")
