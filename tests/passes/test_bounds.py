"""The least number of layers is counted block by block, never by expanding."""

from __future__ import annotations

import pytest

from graphc.errors import SpecError
from graphc.passes.bounds import check_bounds
from graphc.spec.model import read_spec_text

BLOCKS = """graphc: 1
inputs: {x: [N, 8]}
blocks:
  two: {layers: [relu, elu]}
  six: {layers: [two, two]}
  down: {params: [n], layers: [relu: {when: "${n > 0}"}, down: {n: "${n - 1}", when: "${n > 0}"}]}
"""


@pytest.mark.parametrize(
    ("layers", "least"),
    [
        ("[relu, elu]", 2),
        ("[two]", 3),
        ("[six]", 7),
        ("[six: {name: a}, relu]", 8),
        ("[group: {layers: [relu, two]}]", 5),
        ("[repeat: {times: 10, layer: relu}]", 11),
        ("[repeat: {times: 10, layers: [two, relu]}]", 41),
        ("[repeat: {times: '${2}', layer: relu}]", 3),
        ("[stack: {layer: fully_connected, args: [1, 2, 3]}]", 4),
        ("[stack: {layer: {repeat: {times: 9, layer: relu}}, args: [{times: 1}, {times: 2}]}]", 6),
        ("[stack: {layer: {down: {n: 9}}, args: [{n: 1}, {}]}]", 1 + 3 + 19),
        ("[stack: {layer: down, args: [1, [0], {n: 2}]}]", 1 + 3 + 1 + 5),
        ("[branches: {paths: {a: [relu], b: [two], c: []}}]", 5),
        ("[residual: {layers: [relu], shortcut: [two]}]", 5),
        ("[two: {when: false}, repeat: {times: 10, layer: {relu: {when: '${1}'}}}]", 1),
        ("[two: [1], 3, {a: 1, b: 2}, repeat: 3, stack: {args: 3}, branches: {paths: []}]", 6),
    ],
)
def test_the_least_count(layers, least):
    spec = read_spec_text(f"{BLOCKS}layers: {layers}\n")
    check_bounds(spec, least)
    with pytest.raises(SpecError, match=f"at least {least:,}") as caught:
        check_bounds(spec, least - 1)
    assert caught.value.place is not None
    assert caught.value.place.line == 7


def test_blocks_that_use_themselves_end():
    spec = read_spec_text(f"{BLOCKS}  a: {{layers: [b, b]}}\n  b: {{layers: [a, a]}}\nlayers: [a]\n")
    check_bounds(spec, 10)
