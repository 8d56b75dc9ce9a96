"""Rewrites for inference: the golden graphs, and that no value changes."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.compiler import plan_model
from graphc.emit.model import emit
from graphc.graph import Plan
from graphc.passes.simplify import Inference, inference, simplify
from graphc.runtime import Session
from graphc.spec.model import read_spec_text
from graphc.verify import verify
from tests.passes.specs import plan_of


def random_params(plan: Plan) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        name: (rng.uniform(0.5, 1.5, s.shape) if "variance" in name else rng.standard_normal(s.shape)).astype(
            np.float32
        )
        for name, s in plan.variables.items()
    }


def simplified(plan: Plan, outputs: dict[str, str] | None = None) -> Inference:
    return simplify(inference(plan, random_params(plan), outputs))


def kinds(graph: Inference) -> list[str]:
    return [node.layer.kind for node in graph.nodes]


CHAIN = """
    layers:
      - conv2d: {name: conv1, filters: 6, kernel: 3, normalizer: batch_norm, activation: relu}
      - dropout: {name: drop, rate: 0.5}
      - flatten: {name: flat}
      - fully_connected: {name: fc, units: 4}
      - dropout: {name: drop2, rate: 0.5}
"""


def test_batch_norm_and_dropout_go_and_names_stay():
    plan = plan_of(CHAIN)
    graph = simplified(plan)
    assert kinds(graph) == ["conv2d", "relu", "flatten", "fully_connected"]
    assert set(graph.params["conv1"]) == {"weights", "biases"}
    assert graph.outputs == {"output": "fc"}
    assert graph.end_points["net/conv1"] == "conv1/Relu"
    assert graph.end_points["net/drop"] == "conv1/Relu"
    assert graph.end_points["net/drop2"] == "fc"


def test_without_fold_the_graph_is_as_written():
    plan = plan_of(CHAIN)
    params = random_params(plan)
    written = [node.op_type for node in emit(plan, params, fold=False).proto().graph.node]
    folded = [node.op_type for node in emit(plan, params).proto().graph.node]
    assert written == ["Transpose", "Conv", "BatchNormalization", "Relu", "Flatten", "Gemm"]
    assert folded == ["Transpose", "Conv", "Relu", "Flatten", "Gemm"]


WEIGHTED = [
    "conv2d: {filters: 6, kernel: 3, bias: BIAS}",
    "conv2d: {filters: 6, kernel: 3, groups: 3, bias: BIAS}",
    "depthwise_conv2d: {kernel: 3, depth_multiplier: 2, bias: BIAS}",
    "separable_conv2d: {filters: 5, kernel: 3, bias: BIAS}",
    "separable_conv2d: {kernel: 3, depth_multiplier: 2, bias: BIAS}",
    "conv2d_transpose: {filters: 5, kernel: 4, stride: 2, bias: BIAS}",
]


@pytest.mark.parametrize("bias", ["true", "false"])
@pytest.mark.parametrize("layer", WEIGHTED)
def test_folding_changes_no_value(layer, bias):
    plan = plan_of(f"""
        inputs: {{image: [N, 7, 6, 3]}}
        layers:
          - {layer.replace("BIAS", bias)}
          - batch_norm: {{name: bn, scale: true}}
          - batch_norm: {{name: again, center: false}}
    """)
    assert len(kinds(simplified(plan))) == 1
    rows = verify(plan, random_params(plan), threads=1)
    assert max(row.error for row in rows) < 1e-5
    alone = only_output(plan, fold=True)
    assert alone == pytest.approx(only_output(plan, fold=False), rel=1e-3, abs=1e-4)


def only_output(plan: Plan, fold: bool) -> np.ndarray:
    x = np.random.default_rng(1).standard_normal((2, 7, 6, 3), np.float32)
    return Session(emit(plan, random_params(plan), fold=fold).serialize()).run({"image": x})["output"]


def test_a_fully_connected_layer_absorbs_its_batch_norm():
    plan = plan_of("""
        inputs: {x: [N, 5]}
        layers: [{fully_connected: {name: fc, units: 3, normalizer: {batch_norm: {scale: true}}}}]
    """)
    assert kinds(simplified(plan)) == ["fully_connected"]
    assert max(row.error for row in verify(plan, random_params(plan), threads=1)) < 1e-5


def test_what_others_read_or_is_an_output_is_not_folded():
    branching = """
        layers:
          - conv2d: {name: c, filters: 4, kernel: 1}
          - batch_norm: {name: bn}
          - add: {name: sum, inputs: [c, bn]}
    """
    assert kinds(simplified(plan_of(branching))) == ["conv2d", "batch_norm", "add"]
    wanted = """
        layers:
          - conv2d: {name: c, filters: 4, kernel: 1}
          - batch_norm: {name: bn}
        outputs: {raw: c, normal: bn}
    """
    assert kinds(simplified(plan_of(wanted))) == ["conv2d", "batch_norm"]


def test_a_folded_layer_is_no_end_point_any_more():
    plan = plan_of("layers: [{conv2d: {name: c, filters: 4, kernel: 1}}, {batch_norm: {name: bn}}]")
    assert simplified(plan).end_points == {"net/bn": "c"}
    kept = simplified(plan, {"c": "c", "bn": "bn"})
    assert kept.end_points == {"net/c": "c", "net/bn": "bn"}


def test_batch_norm_before_the_convolution_stays():
    plan = plan_of("layers: [batch_norm, relu, {conv2d: {filters: 4, kernel: 3}}]")
    assert kinds(simplified(plan)) == ["batch_norm", "relu", "conv2d"]


def test_layers_that_share_weights_fold_each_its_own_batch_norm():
    plan = plan_of("""
        inputs: {a: [N, 4, 4, 3], b: [N, 4, 4, 3]}
        layers:
          - conv2d: {name: one, filters: 5, kernel: 1, inputs: a}
          - batch_norm: {name: bn1}
          - conv2d: {name: two, filters: 5, kernel: 1, inputs: b, share: one}
          - batch_norm: {name: bn2}
          - add: {name: sum, inputs: [bn1, bn2]}
    """)
    assert kinds(simplified(plan)) == ["conv2d", "conv2d", "add"]
    names = list(emit(plan, random_params(plan)).tensors)
    assert names == ["net/one/weights", "net/one/biases", "net/one/weights_2", "net/one/biases_2"]
    a, b = (np.random.default_rng(i).standard_normal((2, 4, 4, 3), np.float32) for i in range(2))
    folded, plain = (
        Session(emit(plan, random_params(plan), fold=fold).serialize()).run({"a": a, "b": b})["output"]
        for fold in (True, False)
    )
    assert folded == pytest.approx(plain, rel=1e-4, abs=1e-4)


def test_weights_are_written_over_only_where_they_may_be():
    """The same file, and in it the memory of the variables themselves; not of those that two layers have."""
    plan = plan_of("""
        inputs: {a: [N, 4, 4, 3], b: [N, 4, 4, 3]}
        layers:
          - conv2d: {name: one, filters: 5, kernel: 1, inputs: a}
          - batch_norm: {name: bn1}
          - conv2d: {name: two, filters: 5, kernel: 1, inputs: b, share: one}
          - add: {name: sum, inputs: [bn1, two]}
          - conv2d: {name: three, filters: 7, kernel: 3}
          - batch_norm: {name: bn3}
    """)
    params, before = random_params(plan), random_params(plan)
    expected = emit(plan, params).serialize()
    assert all(np.array_equal(params[name], before[name]) for name in before)
    model = emit(plan, params, overwrite=True)
    assert model.serialize() == expected
    changed = {name for name in before if not np.array_equal(params[name], before[name])}
    assert changed == {"net/three/weights"}
    assert np.shares_memory(model.tensors["net/three/weights"], params["net/three/weights"])
    for value in before.values():
        value.setflags(write=False)
    assert emit(plan, before, overwrite=True).serialize() == expected


def test_layers_that_do_nothing_go():
    plan = plan_of("""
        layers:
          - relu: {name: a}
          - pad: {name: p, padding: 0}
          - concat: {name: c, inputs: p}
          - tanh: {name: t}
    """)
    assert kinds(simplified(plan)) == ["relu", "tanh"]


def test_batch_norm_goes_through_a_concatenation():
    plan = plan_of("""
        layers:
          - branches:
              name: mixed
              paths:
                left: [conv2d: {name: conv, filters: 3, kernel: 1}]
                right: [conv2d: {name: conv, filters: 5, kernel: 3, normalizer: batch_norm}]
          - batch_norm: {name: norm, scale: true}
          - relu: {name: last}
    """)
    assert kinds(simplified(plan)) == ["conv2d", "conv2d", "concat", "relu"]
    assert simplified(plan).end_points.keys() == {"net/norm", "net/last"}
    image = np.random.default_rng(1).standard_normal((2, 32, 32, 3), dtype=np.float32)
    found = [
        Session(emit(plan, random_params(plan), fold=fold).serialize()).run({"image": image})["output"]
        for fold in (True, False)
    ]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4, atol=1e-4)


def test_batch_norm_stays_where_a_concatenated_layer_is_read_elsewhere():
    plan = plan_of("""
        layers:
          - conv2d: {name: a, filters: 3, kernel: 1}
          - conv2d: {name: b, filters: 3, kernel: 1}
          - concat: {inputs: [a, b]}
          - batch_norm: {name: norm}
    """)
    assert "batch_norm" in kinds(simplified(plan))


PARALLEL = {
    "repvgg": ("conv2d: {filters: 4, kernel: 3, padding: 1}", "conv2d: {filters: 4, kernel: 1}", "batch_norm: {}"),
    "strided": (
        "conv2d: {filters: 6, kernel: 1, stride: 2, padding: 0}",
        "conv2d: {filters: 6, kernel: 3, stride: 2, padding: 1}",
    ),
    "grouped": (
        "conv2d: {filters: 4, kernel: 3, groups: 2}",
        "conv2d: {filters: 4, kernel: 1, groups: 2}",
        "scale: 0.5",
    ),
    "depthwise": ("depthwise_conv2d: {kernel: 5}", "depthwise_conv2d: {kernel: 3}", "batch_norm: {scale: true}"),
    "dilated": ("conv2d: {filters: 3, kernel: 3, dilation: 2}", "conv2d: {filters: 3, kernel: 1}"),
    "standardized": (
        "conv2d: {filters: 4, kernel: 3, weight_standardization: true}",
        "conv2d: {filters: 4, kernel: [1, 3], weight_standardization: true, bias: false}",
    ),
}
"""Layers side by side that are one."""


def parallel(*layers: str) -> Plan:
    paths = ", ".join(f"p{i}: [{{{each}}}]" for i, each in enumerate(layers))
    return plan_of(f"""
        inputs: {{image: [N, 8, 6, 4]}}
        layers:
          - branches: {{name: sides, paths: {{{paths}}}, merge: add, activation: relu}}
    """)


@pytest.mark.parametrize("layers", PARALLEL.values(), ids=PARALLEL)
def test_convolutions_side_by_side_are_one(layers):
    plan = parallel(*layers)
    assert len(kinds(simplified(plan))) == 2
    x = np.random.default_rng(1).standard_normal((2, 8, 6, 4), np.float32)
    one, all_ = (
        Session(emit(plan, random_params(plan), fold=fold).serialize()).run({"image": x})["output"]
        for fold in (True, False)
    )
    np.testing.assert_allclose(one, all_, rtol=0, atol=2e-6 * np.abs(all_).max())


@pytest.mark.parametrize(
    "layers",
    [
        ("conv2d: {filters: 4, kernel: 3}", "conv2d: {filters: 4, kernel: 3, stride: 2, padding: [[4, 5], [3, 4]]}"),
        ("conv2d: {filters: 4, kernel: 3}", "conv2d: {filters: 4, kernel: 3, padding: [[0, 2], [1, 1]]}"),
        ("conv2d: {filters: 4, kernel: 3}", "conv2d: {filters: 4, kernel: 1, groups: 2}"),
        ("conv2d: {filters: 4, kernel: 3}", "conv2d: {filters: 4, kernel: 3, padding_mode: edge}"),
        ("conv2d: {filters: 4, kernel: 3, dilation: 2}", "conv2d: {filters: 4, kernel: 3}"),
        ("conv2d: {filters: 4, kernel: 3}", "separable_conv2d: {filters: 4, kernel: 3}"),
        ("conv2d: {filters: 4, kernel: 3, activation: relu}", "conv2d: {filters: 4, kernel: 3}"),
    ],
)
def test_what_is_no_one_window_stays(layers):
    assert "add" in kinds(simplified(parallel(*layers)))


def test_what_others_read_stays_beside_what_is_merged():
    plan = plan_of("""
        inputs: {image: [N, 8, 6, 4]}
        layers:
          - conv2d: {name: a, filters: 4, kernel: 3}
          - conv2d: {name: b, filters: 4, kernel: 1, inputs: image}
          - conv2d: {name: c, filters: 4, kernel: 1, inputs: image}
          - add: {name: sum, inputs: [a, b, c]}
        outputs: {sum: sum, c: c}
    """)
    graph = simplified(plan)
    assert [node.name for node in graph.nodes] == ["a", "c", "sum"]
    assert graph.end_points == {"net/c": "c", "net/sum": "sum"}
    assert simplified(plan, {"sum": "sum"}).end_points == {"net/sum": "a"}


CONCATS = "graphc: 1\ninputs: {x: [N, 2, 2, 1]}\nlayers:"


def test_a_batch_norm_is_folded_through_concats_within_concats():
    layers = ["conv2d: {name: a, filters: 1, kernel: 1}"]
    for number in range(600):
        layers.append(f"conv2d: {{name: b{number}, inputs: x, filters: 1, kernel: 1}}")
        layers.append(f"concat: {{name: c{number}, inputs: [{f'c{number - 1}' if number else 'a'}, b{number}]}}")
    plan = plan_model(read_spec_text("\n - ".join([CONCATS, *layers, "batch_norm\n"]), "net.yaml"))
    assert set(kinds(simplified(plan))) == {"conv2d", "concat"}
