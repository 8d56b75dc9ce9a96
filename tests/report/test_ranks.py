"""Sequences and volumes in tables, budgets, warnings, pictures, and in what an output sees."""

from __future__ import annotations

import csv
import io

import pytest

from graphc.compiler import lints
from graphc.errors import SpecError
from graphc.passes.expectations import check_expectations
from graphc.report.kernels import kernels
from graphc.report.picture.blocks import title
from graphc.report.seen import seen
from graphc.report.show import show
from graphc.report.summary import layer_summary
from tests.passes.specs import plan_of

SEQUENCE = """
inputs: {wave: [N, 64, 2]}
arg_scope: {conv1d: {kernel: 5, stride: 2, activation: relu}}
layers:
  - conv1d: {name: one, filters: 8}
  - conv1d: {name: two, filters: 16, padding: [4, 0]}
"""
VOLUME = """
inputs: {clip: [N, 8, 12, 12, 1]}
layers:
  - conv3d: {name: one, filters: 8, kernel: [3, 5, 5], stride: [1, 2, 2], activation: relu}
  - max_pool3d: {name: two, kernel: 2}
"""


def rows(text: str) -> dict[str, dict[str, str]]:
    return {row["layer"]: row for row in csv.DictReader(io.StringIO(show(plan_of(text), "csv")))}


@pytest.mark.parametrize(
    ("text", "shape", "field", "stride", "padding"),
    [(SEQUENCE, "16×16", "13", "4", "9"), (VOLUME, "4×3×3×8", "4×7×7", "2×4×4", "1×1×1")],
    ids=["sequence", "volume"],
)
def test_a_table_has_every_axis(text: str, shape: str, field: str, stride: str, padding: str) -> None:
    row = rows(text)["two"]
    found = row["shape"], row["receptive field"], row["stride"], row["padding"]
    assert found == (shape, field, stride, padding.replace("1×1×1", "1"))


def test_json_and_budgets_have_every_axis() -> None:
    plan = plan_of(VOLUME + "expect: {receptive_field: {two: [4, 7, 7]}, stride: {two: [2, 4, 4]}}")
    check_expectations(plan)
    assert layer_summary(plan, plan.by_name["two"])["receptive_field"]["size"] == [4, 7, 7]
    with pytest.raises(SpecError, match="receptive_field of two in depth: expected 5, got 4"):
        check_expectations(plan_of(VOLUME + "expect: {receptive_field: {two: [5, 7, 7]}}"))
    with pytest.raises(SpecError, match="receptive_field of two in length: expected 12, got 13"):
        check_expectations(plan_of(SEQUENCE + "expect: {receptive_field: {two: 12}}"))


def test_what_an_output_sees() -> None:
    assert seen(plan_of(SEQUENCE), "two", 0)["wave"] == ((0, 3),)
    assert seen(plan_of(VOLUME), "two", 1, 1, 1)["clip"] == ((1, 4), (3, 9), (3, 9))


def test_paths_of_a_sequence_that_are_not_aligned_are_told() -> None:
    text = """
    inputs: {wave: [N, 64, 4]}
    layers:
      - conv1d: {name: a, filters: 4, kernel: 3, padding: [0, 2], activation: relu}
      - add: {inputs: [a, wave]}
    """
    (warning,) = plan_of(text).warnings
    assert "not aligned in length" in warning.message


def test_a_net_of_a_sequence_has_no_warnings_but_its_own() -> None:
    assert [warning.code for warning in lints(plan_of(SEQUENCE))] == []
    both = plan_of("inputs: {wave: [N, 64, 4]}\nlayers: [conv1d: [8, 3], conv1d: [8, 3]]")
    assert [warning.code for warning in lints(both)] == ["G245"]


def test_titles_say_what_is_not_the_usual() -> None:
    layers = [each.node.layer for each in (*plan_of(SEQUENCE).nodes, *plan_of(VOLUME).nodes)]
    titles = [title(layer) for layer in layers if layer.kind != "relu"]
    assert titles == ["conv1d 5, 8 /2", "conv1d 5, 16 /2", "conv3d 3×5×5, 8 /1×2×2", "max_pool3d 2×2×2"]


def test_kernels_of_a_volume_are_told_for_each_tap_along_the_depth() -> None:
    table = kernels(plan_of(VOLUME), "csv", batch=2, training=True)
    computed = [row["computes"] for row in csv.DictReader(io.StringIO(table)) if row["kind"] == "conv3d"]
    assert computed == [f"depth {tap} output, weight gradient" for tap in range(3)]


def test_a_kind_of_another_rank_says_what_it_expects() -> None:
    with pytest.raises(SpecError, match=r"conv1d expects a sequence \(length, channels\), got 32×32×3"):
        plan_of("inputs: {image: [N, 32, 32, 3]}\nlayers: [conv1d: [8, 3]]")
    with pytest.raises(SpecError, match=r"conv3d expects a volume \(depth, height, width, channels\), got 64×2"):
        plan_of("inputs: {wave: [N, 64, 2]}\nlayers: [conv3d: [8, 3]]")
