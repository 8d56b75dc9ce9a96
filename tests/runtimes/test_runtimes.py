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
from graphc.dims import evaluate_shape
from graphc.emit.model import OnnxModel, write_model
from graphc.emit.quantize import Quantization, quantize, quantized_tensors
from graphc.emit.targets import TROUBLES, Trouble, seen_nodes
from graphc.emit.targets.rewrites import fuses_sums
from graphc.execution.network import evaluate
from graphc.graph import Plan
from graphc.initializers import initial_values
from graphc.layers import CATALOGUE
from graphc.quantization.ranges import find_ranges
from graphc.runtime import cuts_sums_off
from tests.layers.cases import Case
from tests.layers.one_layer import initial_params, one_layer_plan
from tests.runtimes.cases import further_forms, one_case_a_kind, open_forms, sizes_of
from tests.runtimes.runners import RUNTIMES

pytestmark = pytest.mark.runtimes

TOLERANCE = 1e-4
"""Of the largest absolute value."""
NETS = ("lenet5", "alexnet_v2", "vgg_16", "inception_v1", "resnet_v1_50", "mobilenet_v1")

OLD = metadata.version("onnxruntime").startswith("1.15")
"""Whether it is the oldest onnxruntime, whose rows of the table are of a target of its own."""


def explained(runtime: str, model: OnnxModel) -> Trouble | None:
    """The row of the table that says why a runtime cannot run a model; None: it has to."""
    names = {runtime, "onnxruntime-1.15"} if OLD and runtime == "onnxruntime" else {runtime}
    for seen in seen_nodes(model):
        for trouble in TROUBLES:
            elsewhere = trouble.without_vnni and not cuts_sums_off()
            if trouble.target in names and not elsewhere and trouble.is_met(seen):
                return trouble
    return None


def compare(
    plan: Plan,
    params: Mapping[str, np.ndarray],
    runtime: str,
    batch: int,
    folder: Path,
    positive: bool = False,
    sizes: Mapping[str, int] | None = None,
) -> Trouble | None:
    """Hold a runtime to NumPy, with these numbers for open sizes; or the row that says why it cannot run the plan, with
    an open batch or a fixed one."""
    rng = np.random.default_rng(batch)
    shapes = {each.name: (batch, *evaluate_shape(each.shape, sizes or {})) for each in plan.graph.inputs}
    inputs = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    if positive:
        inputs = {name: np.abs(x) + np.float32(0.5) for name, x in inputs.items()}
    model = compile_plan(plan, params)
    if explained(runtime, model) is not None:
        model = compile_plan(plan, params, Emission(batch=batch))
    trouble = explained(runtime, model)
    if trouble is not None:
        return trouble
    path = folder / "model.onnx"
    write_model(model, path)
    found = RUNTIMES[runtime](path, inputs)
    nodes = plan.graph.outputs
    expected = evaluate(plan, params, inputs, nodes.values())
    for name, node in nodes.items():
        ours = expected[node]
        theirs = found[name]
        assert theirs.shape == ours.shape
        assert np.abs(theirs - ours).max() <= TOLERANCE * np.abs(ours).max()
    return None


def one_layer(case: Case) -> tuple[Plan, dict[str, np.ndarray]]:
    """The network of a case, and values of its variables."""
    plan = one_layer_plan(case)
    params = initial_params(case, np.random.default_rng(0), "float32")
    return plan, {plan.graph.scoped(f"layer/{name}"): value for name, value in params.items()}


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("case", one_case_a_kind(), ids=lambda case: case.layer.kind)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_one_model_a_kind(runtime: str, case: Case, batch: int, tmp_path: Path) -> None:
    trouble = compare(*one_layer(case), runtime, batch, tmp_path, case.positive)
    if trouble is not None:
        pytest.skip(trouble.says)


@pytest.mark.parametrize("kind", CATALOGUE)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_every_form_of_a_kind(runtime: str, kind: str, tmp_path: Path) -> None:
    for case in further_forms(kind):
        plan, variables = one_layer(case)
        for batch in (1, 3):
            compare(plan, variables, runtime, batch, tmp_path, positive=case.positive)


@pytest.mark.parametrize("kind", CATALOGUE)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_every_form_with_open_sizes(runtime: str, kind: str, tmp_path: Path) -> None:
    for case in open_forms(kind):
        plan, variables = one_layer(case)
        for factor in (1, 2):
            compare(plan, variables, runtime, 3, tmp_path, case.positive, sizes_of(plan, factor))


FOLLOWING = {
    "resize": "resize: {like: image}",
    "resize-bilinear": "resize: {like: image, method: bilinear}",
    "resize-cubic": "resize: {like: image, method: bicubic}",
    "resize-scale": "resize: {scale: 2, method: bilinear}",
    "transposed": "conv2d_transpose: {filters: 3, kernel: 3, stride: 2, padding: 1, like: image}",
    "pad": "pad: {like: image}",
    "crop": "crop: {like: last}",
}


@pytest.mark.parametrize("layer", FOLLOWING)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_sizes_that_follow_open_ones(runtime: str, layer: str, tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    last = "max_pool2d: {name: last, kernel: 3, stride: 2, padding: 1}"
    then = f"{FOLLOWING[layer][:-1]}, inputs: image}}" if layer == "crop" else FOLLOWING[layer]
    path.write_text(f"graphc: 1\nname: net\ninputs: {{image: [N, H, W, 3]}}\nlayers: [{last}, {then}]\n")
    plan = plan_spec(path)
    for sizes in ({"H": 6, "W": 9}, {"H": 11, "W": 8}):
        compare(plan, initial_values(plan.variables, 0), runtime, 3, tmp_path, sizes=sizes)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_six_nets(runtime: str, net: str, batch: int, tmp_path: Path) -> None:
    plan = plan_spec(net)
    compare(plan, initial_values(plan.variables, 0), runtime, batch, tmp_path)


@pytest.mark.parametrize("net", ["lenet5", "resnet20", "shufflenet_v2_x1_0"])
@pytest.mark.parametrize("runtime", [name for name in RUNTIMES if name != "reference"])  # which has opset 19's pairs
def test_integers_choose_onnxruntimes_classes(runtime: str, net: str, tmp_path: Path) -> None:
    plan = plan_spec(net)
    model = compile_plan(plan, initial_values(plan.variables, 0))
    (given,) = plan.graph.inputs
    rng = np.random.default_rng(0)
    feeds = {given.name: rng.standard_normal((64, *given.shape)).astype(np.float32)}
    ranges = find_ranges(model, quantized_tensors(model), lambda: [feeds])
    path = tmp_path / "int8.onnx"
    whole = quantize(model, Quantization(ranges, fused_sums=fuses_sums([runtime])))
    trouble = explained(runtime, whole)
    if trouble is not None:
        pytest.skip(trouble.says)
    write_model(whole, path)
    expected, found = (next(iter(RUNTIMES[each](path, feeds).values())) for each in ("onnxruntime", runtime))
    np.testing.assert_allclose(found, expected, atol=0.04 * np.abs(expected).max())
    assert np.mean(found.argmax(1) == expected.argmax(1)) >= 0.99
