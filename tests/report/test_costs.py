"""What is shown of networks that are large, or built to be hard to show."""

from __future__ import annotations

import random

import pytest

from graphc.compiler import plan_model
from graphc.errors import SpecError
from graphc.graph import Plan
from graphc.report.diff import diff, in_both
from graphc.report.picture.svg import draw_svg
from graphc.spec.model import read_spec_text
from tests.costs import little

HEAD = "graphc: 1\nname: net\ninputs: {x: [N, 8, 8, 3]}\nlayers:\n"


def plan(layers: list[str]) -> Plan:
    return plan_model(read_spec_text(HEAD + "".join(f" - {each}\n" for each in layers), "net.yaml"))


def test_layers_that_are_called_otherwise_in_turn_are_compared_in_proportion() -> None:
    old = plan([f"relu: {{name: l{number}}}" for number in range(2_000)])
    new = plan([f"relu: {{name: {'lm'[number % 2]}{number}}}" for number in range(2_000)])
    with little():
        rows = diff(old, new, "csv").splitlines()
    assert [row.split(",")[:2] for row in rows[1:4]] == [["removed", "l1"], ["added", "m1"], ["changed", "l2"]]
    assert len(rows) == 1 + 2 * 1_000 + 999


def test_the_longest_that_is_in_both() -> None:
    draw = random.Random(1)
    for _ in range(200):
        before = draw.sample("abcdefg", draw.randrange(8))
        after = draw.sample("abcdefg", draw.randrange(8))
        found = in_both(before, after)
        assert [before[i] for i, _ in found] == [after[j] for _, j in found]
        assert found == sorted(found)
        table = [[0] * (len(after) + 1) for _ in range(len(before) + 1)]
        for i, one in enumerate(before):
            for j, other in enumerate(after):
                table[i + 1][j + 1] = table[i][j] + 1 if one == other else max(table[i][j + 1], table[i + 1][j])
        assert len(found) == table[-1][-1]


def test_paths_within_paths_without_end_are_not_drawn() -> None:
    depth = 600
    down = [f"relu: {{name: d{number}}}" for number in range(depth)]
    up = [f"add: {{name: u{number}, inputs: [{f'u{number + 1}' if number < depth - 1 else 'mid'}, d{number}]}}"
          for number in reversed(range(depth))]  # fmt: skip
    network = plan([*down, "relu: {name: mid}", *up])
    with (
        little(),
        pytest.raises(SpecError, match=r"error\[G334\]: paths of the network lie too deep within each other"),
    ):
        draw_svg(network)


def test_layers_that_all_read_each_other_are_not_drawn() -> None:
    network = plan(["relu: {name: l0}", *(f'add: {{name: l{number}, inputs: "l*"}}' for number in range(1, 150))])
    with little(), pytest.raises(SpecError, match=r"error\[G334\]: 11,\d\d\d lines between \d+ layers are more"):
        draw_svg(network)


def test_columns_are_no_more_than_the_tallest_group_lets_them_be() -> None:
    group = "".join(f"\n     - conv2d: [{number + 1}, 1]" for number in range(1_000))
    network = plan(
        [f"group:\n    name: g\n    layers:{group}", *(f"conv2d: [{number + 1}, 1]" for number in range(1_000))]
    )
    with little():
        draw_svg(network)
