"""The language: blocks, branches, residuals, names, conditions, sharing."""

from __future__ import annotations

import pytest

from graphc.errors import GraphcError, SpecError, SpecErrors
from tests.passes.specs import graph_of, nodes_of, plan_of


def wiring(text: str, *settings: str) -> dict[str, tuple[str, ...]]:
    return {node.name: node.inputs for node in graph_of(text, *settings).nodes}


def test_sugar_becomes_layers_in_tf_slims_order() -> None:
    found = wiring("""
        layers:
          - conv2d: {name: a, filters: 8, kernel: 3, normalizer: batch_norm, activation: {leaky_relu: 0.2}}
          - flatten
    """)
    assert found == {
        "a": ("image",),
        "a/BatchNorm": ("a",),
        "a/LeakyRelu": ("a/BatchNorm",),
        "flatten": ("a/LeakyRelu",),
    }


def test_a_normalizer_drops_the_bias_unless_it_is_asked_for() -> None:
    plan = plan_of("""
        layers:
          - conv2d: {name: a, filters: 8, kernel: 3, normalizer: batch_norm}
          - conv2d: {name: b, filters: 8, kernel: 3, normalizer: batch_norm, bias: true}
          - conv2d: {name: c, filters: 8, kernel: 3}
    """)
    assert [name for name in plan.variables if name.endswith("biases")] == ["net/b/biases", "net/c/biases"]


def test_branches() -> None:
    text = """
        layers:
          - branches:
              name: mixed
              paths:
                left: [{conv2d: {name: conv, filters: 4, kernel: 1}}]
                right: [max_pool2d: {kernel: 3, stride: 1, padding: same}]
                straight: []
          - relu
    """
    assert wiring(text) == {
        "mixed/left/conv": ("image",),
        "mixed/right/max_pool2d": ("image",),
        "mixed/concat": ("mixed/left/conv", "mixed/right/max_pool2d", "image"),
        "relu": ("mixed/concat",),
    }
    assert plan_of(text).nodes[-1].shape == (32, 32, 10)


def test_residual() -> None:
    found = wiring("""
        layers:
          - residual:
              name: unit
              layers: [{conv2d: {name: conv, filters: 8, kernel: 3}}]
              shortcut: [{conv2d: {name: shortcut, filters: 8, kernel: 1}}]
              activation: relu
    """)
    assert found["unit/add"] == ("unit/shortcut", "unit/conv")
    assert found["unit/add/Relu"] == ("unit/add",)


def test_blocks_with_parameters_and_several_inputs() -> None:
    found = wiring(
        """
        vars: {wide: 4}
        blocks:
          up:
            params: [filters, {scale: 2}]
            inputs: [x, skip]
            layers:
              - resize: {inputs: x, scale: "${scale}"}
              - concat: {inputs: [resize, skip]}
              - conv2d: {name: conv, filters: "${filters * wide}", kernel: 3}
        layers:
          - conv2d: {name: a, filters: 8, kernel: 3}
          - max_pool2d: {name: p, kernel: 2}
          - up: {name: u, inputs: [p, a], filters: 2}
    """,
        "wide=8",
    )
    assert found["u/resize"] == ("p",)
    assert found["u/concat"] == ("u/resize", "a")


def test_blocks_see_the_specs_variables_and_their_own_parameters_only() -> None:
    with pytest.raises(SpecError, match="'depth'"):
        graph_of("""
            blocks:
              inner: {layers: [{conv2d: ["${depth}", 3]}]}
              outer: {params: [depth], layers: [inner]}
            layers: [{outer: {depth: 4}}]
        """)


def test_names_are_looked_up_from_the_inside_out() -> None:
    found = wiring("""
        layers:
          - conv2d: {name: a, filters: 3, kernel: 1}
          - group:
              name: g
              layers:
                - relu: {name: a}
                - add: {name: sum, inputs: [a, image]}
          - add: {name: sum, inputs: [a, g/a]}
          - add: {name: all, inputs: [g, sum]}
    """)
    assert found["g/sum"] == ("g/a", "image")
    assert found["sum"] == ("a", "g/a")
    assert found["all"] == ("g/sum", "sum")


def test_later_layers_may_be_named_and_come_first_then() -> None:
    graph = graph_of("""
        layers:
          - add: {name: sum, inputs: [image, late]}
          - relu: {name: late, inputs: image}
        outputs: {y: sum}
    """)
    assert [node.name for node in graph.nodes] == ["late", "sum"]


UNITS = """inputs: {x: [N, 8, 8, 4]}
arg_scope: {conv2d: {filters: 4, kernel: 1, activation: relu}}
layers:
  - group: {name: part, layers: [conv2d: {name: skip}, conv2d: {name: out}]}
  - repeat: {name: unit, times: 3, layers: [conv2d: {name: skip}, conv2d: {name: out}]}
  - LAST
"""


def test_patterns_stand_for_what_is_above_in_its_order() -> None:
    def read_by(last: str) -> tuple[str, ...]:
        return wiring(UNITS.replace("LAST", last))["last"]

    skips = tuple(f"unit/unit_{i}/skip/Relu" for i in (1, 2, 3))
    assert read_by('add: {name: last, inputs: ["unit/*/skip"]}') == skips
    assert read_by('concat: {name: last, inputs: [x, "unit/unit_?/skip", part]}') == ("x", *skips, "part/out/Relu")
    assert read_by('add: {name: last, inputs: ["p*/skip"]}') == ("part/skip/Relu",)
    assert read_by('concat: {name: last, inputs: ["*/skip", "uni?/unit_2/*"]}') == (
        "part/skip/Relu",
        "unit/unit_2/skip/Relu",
        "unit/unit_2/out/Relu",
    )


@pytest.mark.parametrize(
    ("last", "sentence"),
    [
        ('add: {inputs: ["unit/*/skips"]}', "no layer or group above matches 'unit/.*/skips'"),
        ('relu: {inputs: ["unit/*/skip"]}', "relu takes 1 input, got 3"),
        (f'add: {{inputs: ["{"*" * 1001}"]}}', "a pattern has at most 1,000 characters"),
    ],
)
def test_patterns_that_fit_nothing_or_too_much(last: str, sentence: str) -> None:
    with pytest.raises(GraphcError, match=sentence):
        wiring(UNITS.replace("LAST", last))


def test_patterns_of_many_names_are_bounded() -> None:
    many = 'repeat: {times: 4000, layers: [relu, add: {inputs: ["relu", "*"]}]}'
    with pytest.raises(GraphcError, match="arguments after expansion"):
        wiring(UNITS.replace("LAST", many))


def test_a_cycle_is_told() -> None:
    with pytest.raises(SpecError, match=r"G122.*a -> b -> a|G122.*b -> a -> b"):
        graph_of("layers: [{add: {name: a, inputs: [image, b]}}, {relu: {name: b}}]")


def test_when() -> None:
    text = """
        vars: {aux: true}
        layers:
          - conv2d: {name: a, filters: 8, kernel: 3}
          - relu: {when: "${aux}", name: extra}
    """
    assert list(wiring(text)) == ["a", "extra"]
    assert list(wiring(text, "aux=false")) == ["a"]


def test_several_inputs_and_outputs() -> None:
    graph = graph_of("""
        inputs: {left: [N, 8, 8, 1], right: [N, 8, 8, 1]}
        layers:
          - concat: {name: both, inputs: [left, right]}
          - conv2d: {name: y, filters: 4, kernel: 3}
        outputs: {pair: both, features: y}
    """)
    assert graph.outputs == {"pair": "both", "features": "y"}
    with pytest.raises(SpecError, match=r"relu needs inputs: the spec has several \(left, right\)"):
        graph_of("inputs: {left: [N, 8, 8, 1], right: [N, 8, 8, 1]}\nlayers: [relu]")


def test_all_inputs_share_one_batch() -> None:
    with pytest.raises(SpecError, match="all inputs share one batch, got N and M"):
        graph_of("inputs: {left: [N, 8, 8, 1], right: [M, 8, 8, 1]}\nlayers: [{concat: {inputs: [left, right]}}]")


def test_a_shared_block_is_a_siamese_net() -> None:
    plan = plan_of("""
        inputs: {left: [N, 8, 8, 3], right: [N, 8, 8, 3]}
        blocks: {tower: {layers: [{conv2d: {name: conv, filters: 4, kernel: 3, normalizer: batch_norm}}]}}
        layers:
          - tower: {name: one, inputs: left}
          - tower: {name: two, inputs: right, share: one}
          - concat: {inputs: [one, two]}
    """)
    assert all(name.startswith("net/one/conv") for name in plan.variables)
    assert {each.node.variables for each in plan.nodes if each.node.name.startswith("two")} == {
        "one/conv",
        "one/conv/BatchNorm",
    }


def test_sharing_needs_equal_shapes() -> None:
    with pytest.raises(SpecError, match="b: sharing the variables of a needs weights 3×3×8×8"):
        plan_of(
            "layers: [{conv2d: {name: a, filters: 8, kernel: 3}}, {conv2d: {name: b, filters: 8, kernel: 3, share: a}}]"
        )


def test_end_points() -> None:
    text = """
        layers:
          - conv2d: {name: Conv_1, filters: 8, kernel: 3, activation: relu}
          - group: {name: Mixed_2b, layers: [{conv2d: {name: Conv_1, filters: 8, kernel: 3}}]}
    """
    assert graph_of(text).end_points == {
        "net/Conv_1": "Conv_1/Relu",
        "net/Mixed_2b/Conv_1": "Mixed_2b/Conv_1",
        "net/Mixed_2b": "Mixed_2b/Conv_1",
    }
    chosen = graph_of(text + '\nend_points: ["Conv_*", "Mixed_2?", {first: Conv_1}]'.replace("\n", "\n" + " " * 8))
    assert chosen.end_points == {"Conv_1": "Conv_1/Relu", "Mixed_2b": "Mixed_2b/Conv_1", "first": "Conv_1/Relu"}


def test_several_errors_are_reported_at_once_with_their_trail() -> None:
    with pytest.raises(SpecErrors) as error:
        graph_of("""
            layers:
              - conv2d: {filters: 8, kernel: 3, strid: 2}
              - con2d: {filters: 8}
              - fully_connected: {}
              - add: {inputs: [image, nowhere]}
        """)
    told = str(error.value)
    assert "net.yaml:5:37: error[G111]: conv2d has no argument 'strid' (did you mean 'stride'?)" in told
    assert "net.yaml:6:5: error[G110]: no layer kind or block is named 'con2d' (did you mean 'conv2d'?)" in told
    assert "fully_connected needs 'units'" in told


def test_shape_errors_name_layer_argument_and_what_it_reads() -> None:
    with pytest.raises(SpecError) as error:
        plan_of("""
            blocks: {unit: {layers: [{conv2d: {name: c, filters: 8, kernel: 3, groups: 2}}]}}
            layers: [{unit: {name: u}}]
        """)
    told = str(error.value)
    assert "error[G204]: u/c: groups=2 must divide" in told
    assert "it reads image 32×32×3" in told
    assert "in block unit used at net.yaml:5:" in told


def test_blocks_may_not_use_themselves() -> None:
    with pytest.raises(SpecError, match="blocks may not use themselves: a -> b -> a"):
        graph_of("blocks: {a: {layers: [b]}, b: {layers: [a]}}\nlayers: [a]")


def test_doubling_blocks_are_bounded() -> None:
    blocks = ", ".join(f"b{i}: {{layers: [b{i + 1}, b{i + 1}]}}" for i in range(40))
    with pytest.raises(SpecError, match="expected at most 50,000 layers"):
        graph_of(f"blocks: {{{blocks}, b40: {{layers: []}}}}\nlayers: [b0]")


def test_symbolic_sizes() -> None:
    plan = plan_of("""
        inputs: {image: [N, H, "16*W", 3]}
        layers:
          - conv2d: {name: a, filters: 8, kernel: 3, stride: 2}
          - max_pool2d: {name: b, kernel: 2}
          - conv2d: {name: c, filters: 8, kernel: 3, stride: 2, padding: valid}
    """)
    assert [tuple(map(str, each.shape[:2])) for each in plan.nodes] == [
        ("(H + 1)//2", "8*W"),
        ("(H + 1)//4", "4*W"),
        ("(H - 3)//8", "2*W - 1"),
    ]
    assert nodes_of("layers: [{relu: {name: a}}]")["a"].inputs == ("image",)
