"""TF-Slim's arg_scope: its twenty test cases, told in the language, and the defects that are not copied."""

from __future__ import annotations

import pytest

from graphc.documented import field_texts
from graphc.errors import SpecError
from graphc.layers import CATALOGUE
from graphc.layers.base import Layer
from graphc.report.explain import explain_layer, explain_word
from tests.passes.specs import graph_of, nodes_of, plan_of


def layer(text: str, name: str = "a") -> Layer:
    return nodes_of(text)[name].layer


def conv(layer: Layer) -> dict[str, object]:
    return layer.model_dump(include={"filters", "kernel", "stride", "padding", "dilation"})


DEFAULT = {"filters": 8, "kernel": (3, 3), "stride": (1, 1), "padding": "same", "dilation": (1, 1)}


def test_01_empty() -> None:
    """An empty scope changes nothing."""
    assert conv(layer("arg_scope: {}\nlayers: [{conv2d: {name: a, filters: 8, kernel: 3}}]")) == DEFAULT


def test_02_clear() -> None:
    """`none` clears every default, and only inside its group."""
    nodes = nodes_of("""
        arg_scope: {conv2d: {stride: 2}}
        layers:
          - group: {arg_scope: none, layers: [{conv2d: {name: a, filters: 8, kernel: 3}}]}
          - conv2d: {name: b, filters: 8, kernel: 3}
    """)
    assert conv(nodes["a"].layer) == DEFAULT
    assert conv(nodes["b"].layer) == {**DEFAULT, "stride": (2, 2)}


def test_03_an_unknown_kind_is_an_error_at_the_scope() -> None:
    with pytest.raises(
        SpecError, match=r"net.yaml:4:13: error\[G110\]: no layer kind or block is named 'conv2dd'"
    ) as e:
        graph_of("arg_scope: {conv2dd: {stride: 2}}\nlayers: [flatten]")
    assert "did you mean 'conv2d'?" in str(e.value)


def test_04_an_unknown_argument_is_an_error_at_the_scope_even_when_unused() -> None:
    with pytest.raises(SpecError, match=r"net.yaml:4:22: error\[G111\]: conv2d has no argument 'kernal'"):
        graph_of("arg_scope: {conv2d: {kernal: 3}}\nlayers: [flatten]")


def test_05_the_current_scope_is_what_explain_tells() -> None:
    plan = plan_of("arg_scope: {conv2d: {stride: 2}}\nlayers: [{conv2d: {name: a, filters: 8, kernel: 3}}]")
    assert "[2, 2]" in explain_layer(plan, "a.stride", "csv")
    assert "the spec's arg_scope at net.yaml:4:30" in explain_layer(plan, "a.stride", "csv")


@pytest.mark.parametrize("kind", sorted(CATALOGUE))
def test_06_scoped_arguments_are_a_kinds_arguments(kind: str) -> None:
    """TF-Slim's arg_scoped_arguments lists local variables for most layers; explain lists every argument."""
    told = explain_word(kind, "csv")
    for name in CATALOGUE[kind].model_fields:
        assert f"\n{name}," in told


def test_07_the_current_scope_nested() -> None:
    plan = plan_of("""
        arg_scope: {conv2d: {stride: 2}}
        layers:
          - group: {name: g, arg_scope: {conv2d: {kernel: 5}}, layers: [{conv2d: {name: a, filters: 8}}]}
    """)
    told = explain_layer(plan, "g/a", "csv")
    assert "the spec's arg_scope" in told
    assert "arg_scope of group g" in told


def test_08_reuse() -> None:
    """A captured scope is entered again after it was left."""
    nodes = nodes_of("""
        layers:
          - group: {arg_scope: {conv2d: {stride: 2}}, as: sc, layers: [{conv2d: {name: a, filters: 8, kernel: 3}}]}
          - conv2d: {name: b, filters: 8, kernel: 3}
          - group: {arg_scope: sc, layers: [{conv2d: {name: c, filters: 8, kernel: 3}}]}
    """)
    assert [nodes[name].layer.stride for name in "abc"] == [(2, 2), (1, 1), (2, 2)]  # type: ignore[attr-defined]


def test_09_reuse_nested() -> None:
    nodes = nodes_of("""
        layers:
          - group:
              arg_scope: {conv2d: {stride: 2}}
              layers:
                - group: {arg_scope: {conv2d: {kernel: 5}}, as: both, layers: [{conv2d: {name: a, filters: 8}}]}
          - group: {arg_scope: both, layers: [{conv2d: {name: b, filters: 8}}]}
    """)
    assert conv(nodes["a"].layer) == conv(nodes["b"].layer) == {**DEFAULT, "kernel": (5, 5), "stride": (2, 2)}


def test_10_simple() -> None:
    found = layer("arg_scope: {conv2d: {kernel: 5, stride: 2}}\nlayers: [{conv2d: {name: a, filters: 8}}]")
    assert conv(found) == {**DEFAULT, "kernel": (5, 5), "stride": (2, 2)}


def test_11_one_entry_for_several_kinds() -> None:
    nodes = nodes_of("""
        arg_scope: {"max_pool2d, avg_pool2d": {kernel: 3}}
        layers: [{max_pool2d: {name: a}}, {avg_pool2d: {name: b}}]
    """)
    assert nodes["a"].layer.kernel == nodes["b"].layer.kernel == (3, 3)  # type: ignore[attr-defined]


def test_12_overwrite() -> None:
    """What is written on the layer wins, null too."""
    nodes = nodes_of("""
        arg_scope: {conv2d: {stride: 2, kernel: 3, activation: relu}}
        layers: [{conv2d: {name: a, filters: 8, stride: 1}}, {conv2d: {name: b, filters: 8, activation: none}}]
    """)
    assert nodes["a"].layer.stride == (1, 1)  # type: ignore[attr-defined]
    assert "a/Relu" in nodes
    assert "b/Relu" not in nodes


def test_13_nested_scopes_merge_argument_by_argument() -> None:
    nodes = nodes_of("""
        arg_scope: {conv2d: {stride: 2, kernel: 3}}
        layers:
          - group: {arg_scope: {conv2d: {kernel: 5}}, layers: [{conv2d: {name: a, filters: 8}}]}
    """)
    assert conv(nodes["a"].layer) == {**DEFAULT, "kernel": (5, 5), "stride": (2, 2)}


def test_14_a_scope_captured_outside_replaces_the_surrounding_one() -> None:
    nodes = nodes_of("""
        arg_scopes: {plain: {conv2d: {kernel: 5}}}
        layers:
          - group:
              arg_scope: {conv2d: {stride: 2, dilation: 1}}
              layers:
                - group: {arg_scope: plain, layers: [{conv2d: {name: a, filters: 8}}]}
    """)
    assert conv(nodes["a"].layer) == {**DEFAULT, "kernel": (5, 5)}


def test_15_a_scope_captured_inside_another_includes_it() -> None:
    nodes = nodes_of("""
        layers:
          - group:
              arg_scope: {conv2d: {stride: 2}}
              layers:
                - group: {arg_scope: {conv2d: {kernel: 5}}, as: sc, layers: []}
          - group:
              arg_scope: {conv2d: {padding: valid}}
              layers:
                - group: {arg_scope: sc, layers: [{conv2d: {name: a, filters: 8}}]}
    """)
    assert conv(nodes["a"].layer) == {**DEFAULT, "kernel": (5, 5), "stride": (2, 2)}


@pytest.mark.parametrize("kinds", ["max_pool2d, avg_pool2d", "avg_pool2d,max_pool2d"])
def test_16_and_17_shared_by_a_list_of_kinds(kinds: str) -> None:
    nodes = nodes_of(f"""
        arg_scope: {{"{kinds}": {{kernel: 3, stride: 2}}}}
        layers: [{{max_pool2d: {{name: a}}}}, {{avg_pool2d: {{name: b}}}}]
    """)
    assert [nodes[name].layer.stride for name in "ab"] == [(2, 2), (2, 2)]  # type: ignore[attr-defined]


def test_18_partly_shared() -> None:
    """An argument for one kind does not leak to another of the same scope."""
    nodes = nodes_of("""
        arg_scope: {"max_pool2d, avg_pool2d": {kernel: 3}, max_pool2d: {stride: 2}}
        layers: [{max_pool2d: {name: a}}, {avg_pool2d: {name: b, stride: 1}}]
    """)
    assert nodes["a"].layer.stride == (2, 2)  # type: ignore[attr-defined]
    assert nodes["b"].layer.stride == (1, 1)  # type: ignore[attr-defined]


def test_19_user_blocks_are_scoped_like_kinds_also_when_two_files_define_them() -> None:
    nodes = nodes_of("""
        blocks: {unit: {params: [depth, {stride: 1}], layers: [{conv2d: ["${depth}", 3, "${stride}"]}]}}
        arg_scope: {unit: {stride: 2, depth: 4}}
        layers: [{unit: {name: a}}, {unit: {name: b, stride: 1}}]
    """)
    assert nodes["a/conv2d"].layer.stride == (2, 2)  # type: ignore[attr-defined]
    assert nodes["b/conv2d"].layer.stride == (1, 1)  # type: ignore[attr-defined]
    with pytest.raises(SpecError, match=r"block unit has no parameter 'strid' \(did you mean 'stride'\?\)"):
        graph_of("""
            blocks: {unit: {params: [{stride: 1}], layers: [flatten]}}
            arg_scope: {unit: {strid: 2}}
            layers: [unit]
        """)


@pytest.mark.parametrize("kind", sorted(CATALOGUE))
def test_20_every_kind_keeps_its_documentation(kind: str) -> None:
    layer = CATALOGUE[kind]
    assert layer.__doc__
    assert set(field_texts(layer)) == set(layer.model_fields), "every argument says what it means"


def test_mapping_values_replace_and_never_merge() -> None:
    nodes = plan_of("""
        arg_scope: {conv2d: {kernel: 3, weights_regularizer: {l2: 0.1}}}
        layers:
          - group:
              arg_scope: {conv2d: {weights_regularizer: {l1: 0.2}}}
              layers: [{conv2d: {name: a, filters: 8}}]
    """)
    (regularizer,) = {each.params["weights"].regularizer for each in nodes.nodes}
    assert regularizer is not None
    assert (regularizer.l1, regularizer.l2) == (0.2, 0)


def test_a_list_enters_one_scope_after_the_other() -> None:
    nodes = nodes_of("""
        arg_scopes: {plain: {conv2d: {kernel: 5}}}
        layers:
          - group: {arg_scope: [plain, {conv2d: {stride: 2}}], layers: [{conv2d: {name: a, filters: 8}}]}
    """)
    assert conv(nodes["a"].layer) == {**DEFAULT, "kernel": (5, 5), "stride": (2, 2)}


def test_an_argument_by_position_wins_over_the_scope() -> None:
    """TF-Slim raises `multiple values for 'stride'` here."""
    found = layer("""
        arg_scope: {conv2d: {stride: 1}}
        layers: [{group: {name: g, layers: [{conv2d: [8, 3, 2]}]}}]
    """, "g/conv2d")  # fmt: skip
    assert conv(found) == {**DEFAULT, "stride": (2, 2)}


def test_an_error_in_an_inner_scope_leaves_the_outer_one() -> None:
    """TF-Slim loses the enclosing scope here; both errors are reported, the second with its scope intact."""
    with pytest.raises(SpecError) as error:
        graph_of("""
            arg_scope: {conv2d: {kernel: 3}}
            layers:
              - group: {arg_scope: {cnv2d: {stride: 2}}, layers: []}
              - conv2d: {filters: 8}
              - conv2d: {filters: x}
        """)
    lines = [line for line in str(error.value).splitlines() if "error[" in line]
    assert len(lines) == 2
    assert "'cnv2d'" in lines[0]
    assert "filters expects a whole number of at least 1, got 'x'" in lines[1]


def test_the_type_of_a_scoped_argument_is_checked_at_the_scope() -> None:
    with pytest.raises(SpecError, match=r"net.yaml:4:22: error\[G112\]: conv2d: stride"):
        graph_of("arg_scope: {conv2d: {stride: fast}}\nlayers: [flatten]")


def test_a_scope_that_was_not_captured() -> None:
    with pytest.raises(SpecError, match=r"no scope named 'comon' has been captured \(did you mean 'common'\?\)"):
        graph_of("arg_scopes: {common: {}}\nlayers: [{group: {arg_scope: comon, layers: [flatten]}}]")


def test_reuse_adds_no_regularized_variable() -> None:
    """TF-Slim's ReuseConvWithWD: a shared convolution has one variable, so one penalty."""
    plan = plan_of("""
        arg_scope: {conv2d: {kernel: 3, filters: 3, weights_regularizer: {l2: 0.01}}}
        layers: [{conv2d: {name: a}}, {conv2d: {name: b, share: a}}]
    """)
    assert sorted(plan.variables) == ["net/a/biases", "net/a/weights"]
    assert plan.nodes[1].node.variables == "a"


def test_a_normalizer_in_the_scope() -> None:
    """TF-Slim's ConvWithBatchNorm: two convolutions, no biases, three variables a batch norm."""
    plan = plan_of("""
        arg_scope: {conv2d: {kernel: 3, filters: 8, normalizer: batch_norm}, batch_norm: {decay: 0.9}}
        layers: [{conv2d: {name: a}}, {conv2d: {name: b}}]
    """)
    assert len(plan.variables) == 8
    assert "net/a/BatchNorm/moving_mean" in plan.variables
    assert plan.nodes[1].node.layer.decay == 0.9  # type: ignore[attr-defined]


def test_what_follows_a_layer_has_a_name_of_its_own() -> None:
    nodes = nodes_of("layers: [{conv2d: {name: a, filters: 8, kernel: 3, normalizer: relu, activation: relu}}]")
    assert list(nodes) == ["a", "a/Relu", "a/Relu_1"]


def test_what_follows_may_have_a_condition() -> None:
    nodes = nodes_of("""
        layers:
          - conv2d: {name: a, filters: 8, kernel: 3, activation: {relu: {when: false}}}
          - conv2d: {name: b, filters: 8, kernel: 3, normalizer: {batch_norm: {when: false}}, activation: relu}
    """)
    assert list(nodes) == ["a", "b", "b/Relu"]
    assert nodes["b"].layer.model_dump()["bias"] is None  # no normalizer makes it needless


@pytest.mark.parametrize(
    "form",
    [
        "residual: {arg_scope: SCOPE, layers: [LAYER], shortcut: [conv2d: {name: b}]}",
        "branches: {arg_scope: SCOPE, paths: {one: [LAYER], other: []}}",
        "repeat: {name: r, times: 1, arg_scope: SCOPE, layer: LAYER}",
        "stack: {name: s, arg_scope: SCOPE, layer: conv2d, args: [{}]}",
        "group: {arg_scope: SCOPE, layers: [LAYER]}",
    ],
)
def test_every_form_has_defaults_for_its_layers_alone(form: str) -> None:
    scope = '{conv2d: {filters: "${2 * width}", activation: relu}}'
    entry = form.replace("SCOPE", scope).replace("LAYER", "{conv2d: {name: a}}")
    graph = graph_of(f"""
        vars: {{width: 2}}
        arg_scope: {{conv2d: {{filters: 3, kernel: 3, stride: 1}}}}
        layers: [{{{entry}}}, {{conv2d: {{name: behind}}}}]
    """)
    inside = [node for node in graph.nodes if node.layer.kind == "conv2d" and node.name != "behind"]
    assert [(node.layer.filters, node.layer.kernel) for node in inside] == [(4, (3, 3))] * len(inside)
    assert f" {form.partition(':')[0]} " in inside[0].arguments["filters"].source
    assert [node.layer.kind for node in graph.nodes].count("relu") == len(inside)
    assert graph.nodes[-1].layer.filters == 3


def test_a_wrong_scope_of_a_form_is_told_once_at_its_place() -> None:
    with pytest.raises(SpecError, match="conv2d has no argument 'filtres'") as caught:
        graph_of("""
            layers:
              - repeat: {times: 3, arg_scope: {conv2d: {filtres: 4}}, layer: {conv2d: {filters: 4, kernel: 3}}}
        """)
    assert "likewise" not in str(caught.value)
