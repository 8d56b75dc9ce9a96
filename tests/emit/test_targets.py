"""Files for one runtime: forms that work there give the same numbers; what is left is warned of, with its place."""

from __future__ import annotations

import json
import sys

import numpy as np
import onnxruntime
import pytest

from graphc.cli import run_command
from graphc.compiler import compile_plan
from graphc.emit.float16 import to_float16
from graphc.emit.quantize import Quantization, quantize, quantize_weights, quantized_tensors
from graphc.emit.targets import REFUSED, SILENT, TARGETS, TROUBLES, Targeting, seen_nodes, warnings_of
from graphc.emit.targets.rewrites import rewrite_for
from graphc.errors import SpecError
from graphc.initializers import initial_values
from graphc.kernels.integers import Range
from tests.passes.specs import plan_of
from tests.runtimes.matrix import PAGE, RESULTS, page, says

NET = """
scope: ""
inputs: {{image: [N, 9, 9, {channels}]}}
layers:
  - conv2d: {{name: conv, filters: {filters}, kernel: {kernel}, groups: {groups}}}
"""
WRONG, RIGHT = True, False
CONVOLUTIONS = [
    (6, 16, 3, 1, WRONG), (9, 8, 3, 1, WRONG), (15, 4, 5, 1, WRONG), (6, 6, 3, 1, RIGHT), (6, 16, 1, 1, RIGHT),
    (3, 16, 3, 1, RIGHT), (12, 16, 3, 1, RIGHT), (7, 16, 3, 1, RIGHT), (24, 24, 3, 4, WRONG), (6, 12, 1, 2, WRONG),
    (8, 10, 3, 2, WRONG), (16, 16, 3, 4, RIGHT), (18, 18, 3, 3, RIGHT), (5, 25, 3, 5, RIGHT), (24, 12, 3, 4, RIGHT),
    (6, 6, 3, 6, RIGHT),
]  # fmt: skip
"""Channels, filters, kernel, groups, and what onnxruntime-web 1.30 in Chromium made of it: measured, not worked out."""


def made(text):
    plan = plan_of(text)
    params = {
        name: array + 0.1 if array.ndim == 1 else array for name, array in initial_values(plan.variables, 0).items()
    }
    return compile_plan(plan, params), plan


def run(model, plan):
    (given,) = plan.graph.inputs
    feeds = {given.name: np.random.default_rng(1).normal(size=(2, *given.shape)).astype(np.float32)}
    session = onnxruntime.InferenceSession(model.serialize(), providers=["CPUExecutionProvider"])
    return session.run(None, feeds)[0]


@pytest.mark.parametrize(("channels", "filters", "kernel", "groups", "wrong"), CONVOLUTIONS)
def test_convolutions_that_webgpu_has_wrong_are_written_otherwise_with_the_same_numbers(
    channels, filters, kernel, groups, wrong
):
    model, plan = made(NET.format(channels=channels, filters=filters, kernel=kernel, groups=groups))
    found = rewrite_for(model, ["webgpu"])
    kinds = [node.op_type for node in found.body.graph.node]
    assert ("Pad" in kinds or "Gather" in kinds) == wrong
    np.testing.assert_allclose(run(found, plan), run(model, plan), atol=1e-5)
    assert [each.code for each in warnings_of(plan, ())] == [SILENT] * wrong
    assert warnings_of(plan, ["webgpu"]) == []
    for seen in seen_nodes(found):
        if seen.operator == "Conv":
            assert not any(each.target == "webgpu" and each.is_met(seen) for each in TROUBLES)


def test_convolutions_that_read_one_value_share_its_padding():
    text = """
inputs: {image: [N, 6, 6, 6]}
layers:
  - branches:
      name: both
      paths:
        left: [conv2d: {name: a, filters: 4, kernel: 3}]
        right: [conv2d: {name: b, filters: 4, kernel: 5}]
"""
    model, plan = made(text)
    found = rewrite_for(model, ["webgpu"])
    assert [node.op_type for node in found.body.graph.node].count("Pad") == 1
    np.testing.assert_allclose(run(found, plan), run(model, plan), atol=1e-5)


@pytest.mark.parametrize(("channels", "filters", "groups"), [(6, 8, 1), (8, 6, 2), (4, 8, 4)])
def test_volumes_in_groups_are_convolved_group_by_group_in_webgpu(channels, filters, groups):
    """Measured in Chromium: without groups 6 channels are right there, with groups all are refused."""
    text = f"""
inputs: {{clip: [N, 4, 5, 6, {channels}]}}
layers: [conv3d: {{name: deep, filters: {filters}, kernel: 3, stride: 2, groups: {groups}, activation: relu}}]
"""
    model, plan = made(text)
    found = rewrite_for(model, ["webgpu"])
    kinds = [node.op_type for node in found.body.graph.node]
    assert (kinds.count("Conv"), kinds.count("Split")) == (groups, int(groups > 1))
    np.testing.assert_allclose(run(found, plan), run(model, plan), atol=1e-5)
    assert [each.code for each in warnings_of(plan, ["webgpu"])] == []


def test_a_pooling_that_picks_pixels_is_a_slice_in_iree():
    text = """
scope: ""
inputs: {image: [N, 7, 8, 4]}
layers:
  - max_pool2d: {name: pick, kernel: 1, stride: 2}
  - max_pool2d: {name: pool, kernel: 2, stride: 2}
"""
    model, plan = made(text)
    found = rewrite_for(model, ["iree"])
    assert [node.op_type for node in found.body.graph.node] == ["Transpose", "Slice", "MaxPool", "Transpose"]
    np.testing.assert_array_equal(run(found, plan), run(model, plan))
    assert warnings_of(plan, ())[0].message.startswith("pick: IREE computes")
    assert warnings_of(plan, ["iree"]) == []


@pytest.mark.parametrize(
    ("target", "form", "layer", "said"),
    [
        ("iree", "float32", "local_response_norm", "wrong numbers"),
        ("iree", "float32", "blur_pool2d", "refuses them"),
        ("iree", "float32", "max_pool2d: {kernel: 2}", ""),
        ("tvm", "float16", "elu", "float32 alone"),
        ("tvm", "float32", "elu", ""),
        ("ncnn", "float32", "selu", "does not load"),
        ("ncnn", "float32", "pad: {padding: 1}", ""),
    ],
)
def test_what_converters_do(target, form, layer, said):
    """Measured, each behind a convolution."""
    head = "inputs: {image: [N, 6, 6, 3]}\nlayers:\n  - conv2d: {name: conv, filters: 4, kernel: 3}\n"
    model, plan = made(f"{head}  - {layer}\n")
    targeting = Targeting([target])
    targeting.look(model if form == "float32" else to_float16(model)[0], plan)
    assert [said in each.message for each in targeting.warnings] == [True] * bool(said)


def test_volumes_meet_what_iree_and_webgpu_lack():
    text = "inputs: {{clip: [N, 4, 5, 3, 2]}}\nlayers: [{}]"
    met = {
        "max_pool3d: {kernel: 2}": [SILENT],
        "conv3d: {filters: 4, kernel: 3, groups: 2, padding: valid}": [REFUSED],
        "conv3d: {filters: 4, kernel: 3, groups: 2}": [],  # with padding it is right
    }
    for layer, codes in met.items():
        assert [each.code for each in warnings_of(plan_of(text.format(layer)), ["iree"])] == codes
    transposed = plan_of(text.format("conv3d_transpose: {filters: 4, kernel: 2}"))
    assert [each.code for each in warnings_of(transposed, ["webgpu"])] == [REFUSED]


def test_a_warning_names_the_layer_at_its_place_and_how_to_write_it():
    plan = plan_of(NET.format(channels=6, filters=16, kernel=3, groups=1))
    (warning,) = warnings_of(plan, ())
    assert warning.place is not None
    assert warning.place.column == 5
    assert warning.message.startswith("conv: onnxruntime's WebGPU gives wrong numbers")
    assert "--target webgpu writes channels of zeros" in warning.message


def test_what_is_refused_is_said_of_the_targets_alone():
    plan = plan_of("inputs: {words: [N, 5, 3]}\nlayers: [lstm: {name: memory, units: 4}]")
    assert warnings_of(plan, ()) == []
    (warning,) = warnings_of(plan, ["tract"])
    assert warning.code == "G247"
    assert "memory: tract" in warning.message
    assert "--batch 1" in warning.message


@pytest.mark.parametrize("layer", ["conv2d: {filters: 4, kernel: 3}", "max_pool2d: {kernel: 2}", "batch_norm"])
def test_ncnn_is_named_where_nothing_says_which_axis_the_batch_is(layer):
    """Measured: a softmax alone is wrong there, and right before and behind these."""
    alone = "scope: ''\ninputs: {image: [N, 6, 7, 3]}\nlayers:\n  - softmax: {name: share}\n"
    (warning,) = warnings_of(plan_of(alone), ())
    assert warning.message.startswith("share: pnnx may take another axis")
    assert warnings_of(plan_of(f"{alone}  - {layer}\n"), ()) == []
    assert warnings_of(plan_of(alone.replace("  - softmax", f"  - {layer}\n  - softmax")), ()) == []


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ("unit_norm: {name: one}", "one: ncnn sums over other axes"),
        ("reduce_sum: {name: one, axes: [channels]}", "one: ncnn sums over other axes"),
        ("power: {name: one, exponent: 3}", "one: ncnn has powers of positive numbers alone"),
        ("space_to_depth: {name: one, block: 2}", "one: ncnn gives wrong numbers"),
        ("reduce_sum: {axes: [height, width]}", ""),
        ("global_response_norm", ""),
        ("selu", ""),  # refused
    ],
)
def test_what_ncnn_has_silently_wrong_behind_a_convolution_too(layer, said):
    """Measured, each behind and before a convolution."""
    head = "scope: ''\ninputs: {image: [N, 6, 6, 3]}\nlayers:\n  - conv2d: {name: conv, filters: 4, kernel: 3}\n"
    found = warnings_of(plan_of(f"{head}  - {layer}\n"), ())
    assert [each.message.startswith(said) for each in found] == [True] * bool(said)


def test_tensorrt_takes_symmetric_integers_and_coreml_what_its_list_has():
    model, plan = made(NET.format(channels=4, filters=16, kernel=3, groups=1) + "  - flatten")
    names = quantized_tensors(model)
    ranges = dict.fromkeys(names, Range(-1, 1))
    met = {}
    for form in ("asymmetric", "symmetric"):
        targeting = Targeting(["tensorrt"])
        targeting.look(quantize(model, Quantization(ranges, form)), plan)
        met[form] = [each.trouble.name for each in targeting.met]
    assert met == {"asymmetric": ["zero-points"], "symmetric": []}
    (flatten,) = warnings_of(plan, ["coreml"])
    assert flatten.message.startswith("flatten: onnxruntime's CoreML provider does not run such operators")
    volume = plan_of("inputs: {clip: [N, 4, 4, 4, 3]}\nlayers: [conv3d: {name: deep, filters: 4, kernel: 3}]")
    assert [each.message.split(":")[0] for each in warnings_of(volume, ["coreml"])] == ["deep"]


def test_conversions_are_seen():
    model, plan = made(NET.format(channels=6, filters=16, kernel=3, groups=1))
    conv = next(seen for seen in seen_nodes(to_float16(model)[0]) if seen.operator == "Conv")
    assert conv.numbers == "float16"
    whole = next(seen for seen in seen_nodes(quantize_weights(model)) if seen.operator == "Conv")
    assert (whole.channels, whole.filters) == (6, 16), "weights in integers are seen"
    targeting = Targeting(())
    targeting.look(quantize_weights(model), plan)
    assert [(each.trouble.target, each.layer) for each in targeting.met] == [("mnn", "conv"), ("webgpu", "conv")]


def test_of_runtimes_that_nobody_asked_for_one_warning_names_the_layers():
    text = """
scope: ""
inputs: {image: [N, 9, 9, 6]}
layers:
  - conv2d: {name: a, filters: 12, kernel: 3}
  - conv2d: {name: b, filters: 6, kernel: 1}
  - conv2d: {name: c, filters: 4, kernel: 3}
  - max_pool2d: {name: pick, kernel: 1, stride: 2}
"""
    _, plan = made(text)
    (warning,) = warnings_of(plan, ())
    assert warning.code == SILENT
    assert warning.message == (
        "wrong numbers, and no error, in webgpu (a and 1 more), iree (pick): --target NAME writes what is right there, "
        "or says of each"
    )
    assert warnings_of(plan, ["webgpu", "iree"]) == []
    (only,) = warnings_of(plan_of(text.replace("kernel: 1, stride: 2", "kernel: 2")), ())
    assert only.message.startswith("wrong numbers, and no error, in webgpu (a and 1 more): --target webgpu writes")


def test_what_is_met_by_the_numbers_of_a_file_is_said_once():
    model, plan = made(NET.format(channels=6, filters=16, kernel=3, groups=1) + "  - conv2d: {filters: 4, kernel: 1}")
    targeting = Targeting(["mnn"])
    targeting.look(quantize_weights(model), plan)
    assert len(targeting.warnings) == 1


def test_no_such_target():
    with pytest.raises(SpecError, match=r"no target 'webgpus' \(did you mean 'webgpu'\?\); there are onnxruntime"):
        Targeting(["webgpus"])


def test_the_command_warns_and_writes_what_works(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.yaml").write_text("graphc: 1\nname: net\n" + NET.format(channels=6, filters=8, kernel=3, groups=1))

    def graphc(*arguments):
        monkeypatch.setattr(sys, "argv", ["graphc", *arguments])
        return run_command(), capsys.readouterr().err

    code, said = graphc("compile", "net.yaml")
    assert code == 0
    assert "net.yaml:7:5: warning[G246]: conv: onnxruntime's WebGPU" in said
    code, said = graphc("compile", "net.yaml", "--target", "webgpu")
    assert code == 0
    assert "G246" not in said
    code, said = graphc("check", "net.yaml", "--target", "opencl")
    assert code == 2
    assert "no target 'opencl'" in said


def test_rows_are_of_known_targets_and_have_names_of_their_own():
    assert {each.target for each in TROUBLES} <= set(TARGETS)
    names = [(each.target, each.name) for each in TROUBLES]
    assert len(set(names)) == len(names)


def test_what_is_wrong_without_an_error_is_explained_by_a_row_that_says_so():
    rows = {each.effect: each for each in TROUBLES}
    happened = (None, 0.001, 0.5, "SHAPE (1, 2) for (2,)")
    said = {effect: [says(row, off) for off in happened] for effect, row in rows.items()}
    assert said == {
        "refused": [True, False, False, False],
        "imprecise": [True, True, False, False],
        "wrong": [True, True, True, True],
    }


def test_the_page_is_as_the_table_and_the_results_have_it(request):
    written = page(json.loads(RESULTS.read_text(encoding="utf-8")))
    if request.config.getoption("--update-golden"):
        PAGE.write_text(written, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == written, "run this test with --update-golden"
