"""Receptive fields through branches, uneven padding, upsampling; warnings where paths do not meet."""

from __future__ import annotations

import pytest

from graphc.graph import Plan
from graphc.layers.elementwise_merge import Add
from graphc.receptive_field import ReceptiveField
from tests.passes.specs import plan_of


def field(plan: Plan, name: str) -> ReceptiveField:
    found = {each.node.name: each.receptive_field for each in plan.nodes}[name]
    assert found is not None
    return found


def two_paths(size: int | str, left: str, right: str) -> Plan:
    return plan_of(f"""
        inputs: {{image: [N, {size}, {size}, 1]}}
        arg_scope: {{conv2d: {{filters: 1}}}}
        layers:
          - branches:
              name: both
              merge: add
              paths:
                left: [{left}]
                right: [{right}]
    """)


def test_aligned_paths() -> None:
    """The published tool's own example: (3, 4, 1)."""
    plan = two_paths(
        32,
        "{conv2d: {kernel: 1, stride: 4, padding: valid}}",
        "{conv2d: {kernel: 3, stride: 2, padding: 1}}, {conv2d: {kernel: 1, stride: 2, padding: valid}}",
    )
    found = field(plan, "both/add")
    assert (found.size, found.stride, found.padding) == ((3, 3), (4, 4), (1, 1))
    assert not plan.warnings


def test_paths_that_do_not_meet_are_named() -> None:
    plan = two_paths(
        32,
        "{conv2d: {name: a, kernel: 1, stride: 2, padding: valid}}",
        "{conv2d: {name: b, kernel: 3, stride: 2, padding: [[0, 1], [0, 1]]}}",
    )
    (warning,) = plan.warnings
    assert warning.code == "G231"
    assert "the paths through both/left/a and both/right/b are not aligned in height" in warning.message
    assert "centre 0 and stride 2, centre 1" in warning.message
    assert field(plan, "both/add").size == (3, 3)


@pytest.mark.parametrize(("size", "warnings"), [(9, 0), (8, 1)])
def test_same_padding_may_meet_at_one_size_and_not_at_another(size: int, warnings: int) -> None:
    """Odd sizes pad 3×3 stride 2 on both sides, even ones only after."""
    plan = two_paths(size, "{conv2d: {kernel: 1, stride: 2}}", "{conv2d: {kernel: 3, stride: 2}}")
    assert len(plan.warnings) == warnings


def test_padding_that_depends_on_the_size_is_not_known() -> None:
    plan = two_paths("H", "{conv2d: {kernel: 1, stride: 2}}", "{conv2d: {kernel: 3, stride: 2}}")
    found = field(plan, "both/add")
    assert (found.size, found.stride, found.padding) == ((3, 3), (2, 2), None)
    assert not plan.warnings


def test_each_axis_for_itself() -> None:
    """The published tool mixes up the axes here and reports x=0, y=2."""
    plan = plan_of("""
        inputs: {image: [N, 33, 17, 1]}
        layers:
          - conv2d: {filters: 1, kernel: [3, 1], stride: 2, padding: valid}
          - conv2d: {name: last, filters: 1, kernel: 3, stride: 2}
    """)
    assert field(plan, "last").padding == (0, 2)
    assert field(plan, "last").size == (7, 5)


def test_dilation_upsampling_and_cropping() -> None:
    plan = plan_of("""
        layers:
          - conv2d: {name: dilated, filters: 4, kernel: 3, dilation: 4}
          - conv2d_transpose: {name: up, filters: 4, kernel: 4, stride: 2}
          - conv2d: {name: after, filters: 4, kernel: 3}
          - crop: {name: cut, cut: 1}
    """)
    assert (field(plan, "dilated").size, field(plan, "dilated").padding) == ((9, 9), (4, 4))
    assert (field(plan, "up").size, float(field(plan, "up").stride[0])) == ((10, 10), 0.5)
    assert field(plan, "after").size == (11, 11)
    assert field(plan, "cut").axes[0].first(0) == field(plan, "after").axes[0].first(1)


def test_nothing_is_told_where_all_is_seen() -> None:
    plan = plan_of("""
        layers:
          - conv2d: {name: c, filters: 4, kernel: 3}
          - global_avg_pool2d: {name: gate, keep_dims: true}
          - multiply: {name: gated, inputs: [c, gate]}
    """)
    fields = {each.node.name: each.receptive_field for each in plan.nodes}
    assert fields["c"] is not None
    assert fields["gate"] is None
    assert fields["gated"] is None


def test_many_inputs_of_a_merge_are_compared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """50,000 of them took minutes, as each was compared with the shape of all."""
    inferred: list[int] = []
    infer_shape = Add.infer_shape
    monkeypatch.setattr(
        Add, "infer_shape", lambda self, *inputs: inferred.append(len(inputs)) or infer_shape(self, *inputs)
    )
    calls = []
    for count in (2, 40):
        inferred.clear()
        names = ", ".join(["a"] * count)
        plan_of(f"inputs: {{image: [N, 8, 8, 4]}}\nlayers: [relu: {{name: a}}, add: {{inputs: [{names}]}}]")
        calls.append(len(inferred))
    assert calls[0] == calls[1] > 0
