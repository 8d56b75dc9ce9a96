"""Six nets and one model a kind give NumPy's numbers in every runtime that is installed.

A group of its own (`python -m pytest tests/runtimes --runtimes`): `.ci/runtimes` runs it with the newest of all
runtimes, and again with the oldest onnxruntime.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from graphc.compiler import Emission, compile_plan, plan_spec
from graphc.emit.model import write_model
from graphc.emit.quantize import Quantization, quantize, quantized_tensors
from graphc.execution.network import evaluate
from graphc.graph import Plan
from graphc.initializers import initial_values
from graphc.layers import CATALOGUE, FAMILIES
from graphc.quantization.ranges import find_ranges
from tests.layers.cases import Case, all_cases
from tests.layers.one_layer import emitted_nodes, initial_params, one_layer_plan
from tests.runtimes.runners import RUNTIMES

pytestmark = pytest.mark.runtimes

TOLERANCE = 1e-4
"""Of the largest absolute value."""
NETS = ("lenet5", "alexnet_v2", "vgg_16", "inception_v1", "resnet_v1_50", "mobilenet_v1")

NOT_THERE: dict[tuple[str, str], str] = {
    ("reference", "local_response_norm"): "its sum leaves out the last channel: 6e-4 away, in every version tried",
    (
        "opencv",
        "gru",
    ): "it leaves out the axis of directions and says so at the next Transpose; the last state is right",
}
"""(runtime, kind) -> why that runtime cannot run that operator at all."""
FORMS_NOT_THERE: dict[tuple[str, str], str] = {
    ("reference", "conv2d_transpose: ConvTranspose(group,"): "it reads the weights of all groups as those of one",
    ("reference", "conv2d_transpose: ConvTranspose(dilations,group,"): "the same, and no error",
    ("reference", "global_max_pool1d: "): "its GlobalMaxPool keeps no axes but an image's",
    ("reference", "global_max_pool3d: "): "its GlobalMaxPool keeps no axes but an image's",
    ("opencv", "global_max_pool3d: GlobalMaxPool"): "it pools images and sequences alone",
    ("opencv", "global_avg_pool3d: GlobalAveragePool"): "it pools images and sequences alone",
    ("onnxruntime 1.15", "resize: Resize(coordinate_transformation_mode,cubic_coeff_a,"): "it refuses bicubic images",
}
"""(runtime, how a kind and its form begin) -> why it cannot run that form, where it can run others of the kind."""
FIXED_BATCH: frozenset[tuple[str, str]] = frozenset({("tract", "lstm"), ("tract", "gru")})
"""(runtime, kind) that it takes for a fixed number of examples only (`--batch`): with an open one it panics."""


NOT_IN_INTEGERS = {("opencv", "resnet20"): "it ends with an assertion of its own about buffers, version 5.0"}
"""(runtime, net) that it cannot run in 8-bit integers."""


def one_case_a_kind() -> list[Case]:
    first: dict[str, Case] = {}
    for case in all_cases():
        first.setdefault(case.layer.kind, case)
    assert set(first) == set(CATALOGUE)
    return list(first.values())


def compare(
    plan: Plan,
    params: Mapping[str, np.ndarray],
    runtime: str,
    batch: int,
    folder: Path,
    fixed: bool = False,
    positive: bool = False,
) -> None:
    rng = np.random.default_rng(batch)
    inputs = {each.name: rng.standard_normal((batch, *each.shape)).astype(np.float32) for each in plan.graph.inputs}
    if positive:
        inputs = {name: np.abs(x) + np.float32(0.5) for name, x in inputs.items()}
    path = folder / "model.onnx"
    write_model(compile_plan(plan, params, Emission(batch=batch if fixed else None)), path)
    found = RUNTIMES[runtime](path, inputs)
    nodes = plan.graph.outputs
    expected = evaluate(plan, params, inputs, nodes.values())
    for name, node in nodes.items():
        ours = expected[node]
        theirs = found[name]
        assert theirs.shape == ours.shape
        assert np.abs(theirs - ours).max() <= TOLERANCE * np.abs(ours).max()


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("case", one_case_a_kind(), ids=lambda case: case.layer.kind)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_one_model_a_kind(runtime: str, case: Case, batch: int, tmp_path: Path) -> None:
    reason = NOT_THERE.get((runtime, case.layer.kind))
    if reason is not None:
        pytest.skip(reason)
    params = initial_params(case, np.random.default_rng(0), "float32")
    plan = one_layer_plan(case)
    variables = {plan.graph.scoped(f"layer/{name}"): value for name, value in params.items()}
    fixed = (runtime, case.layer.kind) in FIXED_BATCH
    compare(plan, variables, runtime, batch, tmp_path, fixed, case.positive)


def further_forms(kind: str) -> list[tuple[Case, str]]:
    """Cases of a kind that are emitted as other operators, or with other attributes, than the first one, and these."""
    found: dict[str, Case] = {}
    for case in all_cases():
        if case.layer.kind == kind:
            nodes = emitted_nodes(case)
            form = " ".join(f"{node['op_type']}({','.join(sorted(node.keys() - {'op_type'}))})" for node in nodes)
            found.setdefault(form, case)
    return [(case, form) for form, case in list(found.items())[1:]]


@pytest.mark.parametrize("kind", [kind for family in ("convolution", "pooling", "shape") for kind in FAMILIES[family]])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_every_form_of_a_kind(runtime: str, kind: str, tmp_path: Path) -> None:
    old = runtime == "onnxruntime" and metadata.version("onnxruntime").startswith("1.15")
    here = {runtime, "onnxruntime 1.15"} if old else {runtime}
    for case, form in further_forms(kind):
        if any(name in here and f"{kind}: {form}".startswith(start) for name, start in FORMS_NOT_THERE):
            continue
        params = initial_params(case, np.random.default_rng(0), "float32")
        plan = one_layer_plan(case)
        variables = {plan.graph.scoped(f"layer/{name}"): value for name, value in params.items()}
        for batch in (1, 3):
            compare(plan, variables, runtime, batch, tmp_path, positive=case.positive)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_six_nets(runtime: str, net: str, batch: int, tmp_path: Path) -> None:
    plan = plan_spec(net)
    compare(plan, initial_values(plan.variables, 0), runtime, batch, tmp_path)


@pytest.mark.parametrize("net", ["lenet5", "resnet20", "shufflenet_v2_x1_0"])
@pytest.mark.parametrize("runtime", [name for name in RUNTIMES if name != "reference"])  # which has opset 19's pairs
def test_integers_choose_onnxruntimes_classes(runtime: str, net: str, tmp_path: Path) -> None:
    if (runtime, net) in NOT_IN_INTEGERS:
        pytest.skip(NOT_IN_INTEGERS[runtime, net])
    plan = plan_spec(net)
    model = compile_plan(plan, initial_values(plan.variables, 0))
    (given,) = plan.graph.inputs
    rng = np.random.default_rng(0)
    feeds = {given.name: rng.standard_normal((64, *given.shape)).astype(np.float32)}
    ranges = find_ranges(model, quantized_tensors(model), lambda: [feeds])
    path = tmp_path / "int8.onnx"
    write_model(quantize(model, Quantization(ranges)), path)
    expected, found = (next(iter(RUNTIMES[each](path, feeds).values())) for each in ("onnxruntime", runtime))
    np.testing.assert_allclose(found, expected, atol=0.04 * np.abs(expected).max())
    assert np.mean(found.argmax(1) == expected.argmax(1)) >= 0.99
