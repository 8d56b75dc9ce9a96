"""Maps found by order and shape: `graphc weights map`."""

from __future__ import annotations

import itertools
import random
import textwrap

import numpy as np
import pytest
import safetensors.numpy

from graphc import weights
from graphc.errors import WeightsError
from graphc.name_rules import name_rules
from graphc.weights.found_rules import rules_of
from graphc.weights.matching import matched
from tests.passes.specs import plan_of
from tests.test_cli import Run, graphc  # noqa: F401
from tests.weights import files

NET = """
    inputs: {image: [N, 8, 8, 3]}
    arg_scope: {conv2d: {normalizer: {batch_norm: {scale: true}}, activation: relu}}
    blocks:
      gated:
        params: [filters]
        layers:
          - residual:
              merge: multiply
              layers:
                - global_avg_pool2d: {name: pool, keep_dims: true}
                - conv2d: {name: gate, filters: "${filters}", kernel: 1, normalizer: none, activation: sigmoid}
    layers:
      - conv2d: {name: stem, filters: 8, kernel: 3}
      - residual:
          name: unit
          layers: [conv2d: {name: a, filters: 6, kernel: 3}, conv2d: {name: b, filters: 10, kernel: 3}]
          shortcut: [conv2d: {name: shortcut, filters: 10, kernel: 1}]
      - layer_scale: {name: gain}
      - gated: {name: gated, filters: 10}
      - branches:
          name: mixed
          paths:
            left: [conv2d: {name: left, filters: 4, kernel: 1}]
            middle: [conv2d: {name: one, filters: 3, kernel: 1}, conv2d: {name: two, filters: 4, kernel: 3}]
            right: [max_pool2d: {kernel: 3, stride: 1, padding: same}, conv2d: {name: right, filters: 5, kernel: 1}]
            whole: []
      - flatten
      - fully_connected: {name: logits, units: 4}
"""
PLAN = plan_of(NET)
VALUES = {name: np.random.default_rng(0).random(spec.shape, dtype="f4") for name, spec in PLAN.variables.items()}
UNIT, SHORTCUT = ("unit/a", "unit/b"), ("unit/shortcut",)
LEFT, MIDDLE, RIGHT = ("mixed/left/left",), ("mixed/middle/one", "mixed/middle/two"), ("mixed/right/right",)
ORDER = [
    ("stem", *UNIT, *SHORTCUT, "gated/gate", *LEFT, *MIDDLE, *RIGHT, "logits"),
    ("stem", *SHORTCUT, *UNIT, "gated/gate", *RIGHT, *MIDDLE, *LEFT, "logits"),
    ("stem", *UNIT, *SHORTCUT, "gated/gate", *MIDDLE, *RIGHT, *LEFT, "logits"),
]
LOCAL = {"weights": "weight", "biases": "bias", "gamma": "weight", "beta": "bias"}
LOCAL |= {"moving_mean": "running_mean", "moving_variance": "running_var"}


def theirs(order: tuple[str, ...]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """(arrays as PyTorch has them, numbered modules in this order; which variable each is)."""
    found: dict[str, np.ndarray] = {"gain": VALUES["net/gain/gamma"].reshape(-1, 1, 1)}
    of = {"gain": "net/gain/gamma"}
    for number, name in enumerate(order):
        for module, part in ((name, "conv"), (f"{name}/BatchNorm", "bn")):
            for ours in (each for each in VALUES if each.rpartition("/")[0] == f"net/{module}"):
                array = VALUES[ours]
                if array.ndim == 4:
                    array = array.transpose(3, 2, 0, 1)
                elif array.ndim == 2:
                    array = array.reshape(8, 8, -1, 4).transpose(3, 2, 0, 1).reshape(4, -1)
                their = f"block{number}.{part}.{LOCAL[ours.rpartition('/')[2]]}"
                found[their], of[their] = np.ascontiguousarray(array), ours
    return found, of


def found_in(path, plan=PLAN, rules=()):
    with weights.open_weights(path) as file:
        return matched(weights.Selection(file), plan, rules, None)


@pytest.mark.parametrize("order", ORDER)
def test_branches_in_any_order(tmp_path, order) -> None:
    arrays, _ = theirs(order)
    files.write_torch(tmp_path / "w.pth", arrays)
    rules = name_rules(rules_of(found_in(tmp_path / "w.pth")))
    values, report = weights.load_variables(tmp_path / "w.pth", PLAN, weights.LoadOptions(rules=rules))
    report.raise_if_incomplete()
    assert report.unused == ()
    assert all(np.array_equal(values[name], VALUES[name]) for name in VALUES)


def test_orders_that_shapes_do_not_tell_apart_are_asked_about(tmp_path) -> None:
    text = NET.replace("filters: 5, kernel: 1", "filters: 4, kernel: 1")
    plan = plan_of(text)
    arrays, _ = theirs(ORDER[0])
    right = next(name for name, array in arrays.items() if array.shape == (5, 10, 1, 1)).partition(".")[0]
    arrays |= {name: np.ascontiguousarray(a[:4]) for name, a in arrays.items() if name.startswith(right)}
    arrays["block9.conv.weight"] = np.ascontiguousarray(arrays["block9.conv.weight"][:, : 64 * 22])
    files.write_torch(tmp_path / "w.pth", arrays)
    with pytest.raises(
        WeightsError, match="expected one order of branches to fit everywhere, found several in 1 section"
    ) as caught:
        found_in(tmp_path / "w.pth", plan)
    assert caught.value.notes[0] == "block5.conv could be mixed/left/left, or mixed/right/right"
    known = name_rules([("block5.conv", "mixed/left/left"), ("block5.bn", "mixed/left/left/BatchNorm")])
    assert dict(found_in(tmp_path / "w.pth", plan, known))["block8.conv"] == "mixed/right/right"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"block0.conv.weight": (8, 3, 5, 5)}, "expected what fits stem \\(weights 3×3×3×8\\), found block0.conv"),
        ({"block2.conv.weight": (10, 6, 1, 1)}, "no order of the branches that begin with unit/shortcut fits"),
        ({"block9.conv.bias": None}, "expected what fits logits"),
        ({"block9.conv.weight": None, "block9.conv.bias": None}, "expected 18 modules with variables, found 17"),
        ({"more": (2,)}, "expected 1 module with variables, found 2"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path, change, told: str) -> None:
    arrays, _ = theirs(ORDER[0])
    arrays |= {name: np.ones(shape, "f4") for name, shape in change.items() if shape is not None}
    files.write_torch(tmp_path / "w.pth", {name: a for name, a in arrays.items() if change.get(name, ()) is not None})
    with pytest.raises(WeightsError, match=told):
        found_in(tmp_path / "w.pth")


def test_the_command_writes_rules_that_load(graphc: Run, tmp_path) -> None:  # noqa: F811
    (tmp_path / "net.yaml").write_text("graphc: 1\nname: net\n" + textwrap.dedent(NET))
    arrays, _ = theirs(ORDER[1])
    files.write_torch(tmp_path / "w.pth", arrays)
    safetensors.numpy.save_file(arrays, tmp_path / "w.safetensors", metadata={"format": "pt"})
    ended = graphc("weights", "map", "w.safetensors", "--for", "net.yaml")
    assert (ended.code, "found one whose names are sorted" in ended.err) == (2, True)
    ended = graphc("weights", "map", "w.pth", "--for", "net.yaml", "-o", "names.yaml")
    assert ended.code == 0, ended.err
    assert "45 variables by order and shape" in ended.err
    ended = graphc("verify", "net.yaml", "--weights", "w.pth", "--map", "names.yaml")
    assert ended.code == 0, ended.err
    assert graphc("compile", "net.yaml", "--weights", "w.safetensors", "--map", "names.yaml").code == 0


def test_rules_give_the_pairs_that_they_are_of() -> None:
    stages = [
        (f"layer{s}.{i}.{part}{c}", f"stage{s}/unit_{i + 1}/{name.format(c)}")
        for s, i, c in itertools.product(range(1, 5), range(3), range(1, 4))
        for part, name in (("conv", "conv{}"), ("bn", "conv{}/BatchNorm"))
    ]
    assert rules_of(stages) == [
        ("layer{i}.{j}.conv{k}", "stage{i}/unit_{j+1}/conv{k}"),
        ("layer{i}.{j}.bn{k}", "stage{i}/unit_{j+1}/conv{k}/BatchNorm"),
    ]
    every_second = [(f"features.{2 * i + 1}.{j}", f"stage{i + 1}/unit_{j}") for i in range(4) for j in range(2)]
    assert rules_of(every_second) == [("features.{2*i-1}.{j}", "stage{i}/unit_{j}")]
    rng = random.Random(0)
    for _ in range(300):
        count = rng.randint(1, 12)
        names = {f"{rng.choice('ab')}{rng.randint(0, 3)}.{rng.randint(0, 9)}" for _ in range(count)}
        pairs = [(name, f"{rng.choice('xy')}{place}/{rng.randint(0, 4)}") for place, name in enumerate(sorted(names))]
        made = name_rules(rules_of(pairs))
        for name, ours in pairs:
            assert next(found for rule in made if (found := rule.to_ours(name)) is not None) == ours
