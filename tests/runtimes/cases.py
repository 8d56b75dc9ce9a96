"""The files of the matrix, with inputs and what should come out: `python -m tests.runtimes.cases FOLDER`.

A file a case, with raw arrays beside it and `manifest.json`, which any runner in any language can read. Expected are
NumPy's numbers, but for 8-bit integers onnxruntime's (with exact sums).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from graphc.compiler import Emission, compile_plan, plan_spec
from graphc.dims import Dim, Formula
from graphc.emit.float16 import Half, to_float16
from graphc.emit.front import Front
from graphc.emit.model import OnnxModel, write_model
from graphc.emit.operations import Affine
from graphc.emit.quantize import Quantization, quantize, quantize_weights, quantized_tensors
from graphc.emit.targets.rewrites import rewrite_for
from graphc.errors import GraphcError
from graphc.execution.network import evaluate
from graphc.graph import Plan
from graphc.initializers import initial_values
from graphc.layers import CATALOGUE
from graphc.quantization.ranges import find_ranges
from graphc.runtime import Session
from tests.layers.cases import Case, all_cases
from tests.layers.one_layer import emitted_nodes, initial_params, one_layer_plan

SMALL = ("resolution=64",)
NETS: Mapping[str, Sequence[str]] = {
    "lenet5": (),
    "resnet20": (),
    "shufflenet_v2_x1_0": SMALL,
    "regnet_x_400mf": SMALL,
    "resnext50_32x4d": ("resolution=32",),
    "mobilenet_v2_torch": SMALL,
    "convnext_atto": SMALL,
    "squeezenet1_1": SMALL,
}
"""Net -> variables that make it small."""
TOLERANCES = {"float32": 1e-4, "preprocess": 1e-4, "webgpu": 1e-4, "float16": 2e-2, "int8 weights": 1e-4}
"""Of the largest absolute value, by form. Of 8-bit integers it is twice what these themselves are off from the float
model: every runtime may round otherwise, which a net of random weights makes large (onnxruntime without its own
optimizations, of mobilenet_v2_torch: 0.10 of the largest value)."""
EXAMPLES = {"int8": 16}
"""Of a form; else one."""


@dataclass(frozen=True)
class Made:
    """A file to write."""

    what: str
    """A kind or a net."""
    form: str
    model: OnnxModel
    inputs: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]
    tolerance: float


def one_case_a_kind() -> list[Case]:
    first: dict[str, Case] = {}
    for case in all_cases():
        first.setdefault(case.layer.kind, case)
    assert set(first) == set(CATALOGUE)
    return list(first.values())


def further_forms(kind: str) -> list[Case]:
    """Cases of a kind that are emitted as other operators, with other attributes or other modes, than the first one."""
    return _one_a_form(case for case in all_cases() if case.layer.kind == kind)[1:]


def open_forms(kind: str) -> list[Case]:
    """Cases of a kind with as many of their heights, widths, depths and lengths open as the layer takes, one for each
    form in which they are emitted; none where it takes only fixed ones."""
    found = (_with_open_sizes(case) for case in all_cases() if case.layer.kind == kind)
    return _one_a_form(case for case in found if case is not None)


def _one_a_form(cases: Iterable[Case]) -> list[Case]:
    found: dict[str, Case] = {}
    for case in cases:
        found.setdefault(" ".join(map(_form, emitted_nodes(case))), case)
    return list(found.values())


def _form(node: Mapping[str, Any]) -> str:
    """A node's operator and the names of its attributes, of modes their values too."""
    said = (f"{key}={value!r}" if isinstance(value, bytes) else key for key, value in sorted(node.items()))
    return f"{node['op_type']}({','.join(said)})"


def _with_open_sizes(case: Case) -> Case | None:
    """Every size has one symbol, wherever it stands, so that what fitted fits still; where it has to be even, it is
    twice a symbol. 1 is what is broadcast."""
    sizes = sorted({size for shape in case.input_shapes for size in shape[:-1] if size > 1})
    for opened in (_symbol, _twice_a_symbol):
        for count in range(len(sizes), 0, -1):
            for some in combinations(sizes, count):
                dims = {size: opened(size) for size in some}
                shapes = tuple(
                    (*(dims.get(size, size) for size in shape[:-1]), shape[-1]) for shape in case.input_shapes
                )
                candidate = replace(case, input_shapes=shapes, id=case.id or "open")
                try:
                    one_layer_plan(candidate)
                except GraphcError:
                    continue
                return candidate
    return None


def _symbol(size: int) -> Dim:
    return Formula.symbol(f"S{size}")


def _twice_a_symbol(size: int) -> Dim:
    return 2 * _symbol(size // 2) if size > 2 and size % 2 == 0 else _symbol(size)


def sizes_of(plan: Plan, factor: int = 1) -> dict[str, int]:
    """The symbols of `open_forms` -> the sizes that they stand for, times a factor."""
    sizes = (size for given in plan.graph.inputs for size in given.shape if isinstance(size, Formula))
    return {symbol: factor * int(symbol[1:]) for size in sizes for symbol in size.symbols()}


def made(plan: Plan, params: Mapping[str, np.ndarray], what: str, form: str, positive: bool = False) -> Made:
    """A plan in one form, on random inputs."""
    rng = np.random.default_rng(0)
    count = EXAMPLES.get(form, 1)
    inputs = {each.name: rng.standard_normal((count, *each.shape)).astype(np.float32) for each in plan.graph.inputs}
    if positive:
        inputs = {name: np.abs(x) + np.float32(0.5) for name, x in inputs.items()}
    if form == "preprocess":
        return _with_preprocessing(plan, params, what)
    model = compile_plan(plan, params)
    nodes = plan.graph.outputs
    values = evaluate(plan, params, inputs, nodes.values())
    outputs = {name: values[node] for name, node in nodes.items()}
    tolerance = TOLERANCES.get(form, 0.0)
    if form == "webgpu":
        model = rewrite_for(model, ["webgpu"])
    elif form == "float16":
        model, _ = to_float16(model, Half(full_precision=lambda layer: _full_precision(plan, layer)))
    elif form == "int8 weights":
        model = quantize_weights(model)
        outputs = Session(model.serialize()).run(inputs)
    elif form == "int8":
        names = quantized_tensors(model)
        model = quantize(model, Quantization(find_ranges(model, names, lambda: [inputs])))
        whole = Session(model.serialize()).run(inputs)
        tolerance = 2 * max(furthest(array, outputs[name]) for name, array in whole.items())
        outputs = whole
    return Made(what, form, model, inputs, outputs, tolerance)


def furthest(found: np.ndarray, expected: np.ndarray) -> float:
    """How far arrays of one shape are apart, as a share of the largest absolute value expected."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def _full_precision(plan: Plan, layer: str) -> str:
    return plan.by_name[layer].node.layer.full_precision if layer in plan.by_name else ""


def _with_preprocessing(plan: Plan, params: Mapping[str, np.ndarray], what: str) -> Made:
    """Bytes in, and a factor and an offset a channel before the network."""
    (given,) = plan.graph.inputs
    channels = given.shape[-1]
    scale, offset = np.full(channels, 1 / 57), np.linspace(-2.2, -1.9, channels)
    front = Front(given.shape, (Affine(scale, offset),))
    raw = np.random.default_rng(0).integers(0, 256, (1, *given.shape)).astype(np.uint8)
    model = compile_plan(plan, params, Emission(preprocess=lambda plan: {given.name: front}))
    prepared = (raw * scale + offset).astype(np.float32)
    values = evaluate(plan, params, {given.name: prepared}, plan.graph.outputs.values())
    outputs = {name: values[node] for name, node in plan.graph.outputs.items()}
    return Made(what, "preprocess", model, {given.name: raw}, outputs, TOLERANCES["preprocess"])


def of_one_size(plan: Plan) -> dict[str, np.ndarray]:
    """Initial values, with weights under which values stay of one size from layer to layer: deep nets as they are
    initialized without training end in numbers that float16 does not hold."""
    params = initial_values(plan.variables, 0)
    for name, array in params.items():
        if array.ndim > 1:
            fan_in = np.prod(array.shape[:2] if "depthwise" in name and array.ndim == 4 else array.shape[:-1])
            np.multiply(array, np.sqrt(2 / fan_in) / max(array.std(), 1e-9), out=array)
    return params


def all_made() -> Iterator[Made]:
    """Layer kinds before nets: a slow runtime tries what is small before its time is up."""
    for form in ("float32", "float16"):
        for case in one_case_a_kind():
            params = initial_params(case, np.random.default_rng(0), "float32")
            plan = one_layer_plan(case)
            variables = {plan.graph.scoped(f"layer/{name}"): value for name, value in params.items()}
            yield made(plan, variables, case.layer.kind, form, case.positive)
    for net, settings in NETS.items():
        plan = plan_spec(net, settings)
        params = of_one_size(plan)
        forms = ["float32", "preprocess", "float16", "int8", "int8 weights", "webgpu"]
        yield from (made(plan, params, net, form) for form in forms)


def _written(arrays: Mapping[str, np.ndarray], folder: Path, start: str) -> list[dict[str, Any]]:
    found = []
    for number, (name, array) in enumerate(arrays.items()):
        file = f"{start}{number}.bin"
        np.ascontiguousarray(array).tofile(folder / file)
        found.append({"name": name, "dtype": str(array.dtype), "shape": list(array.shape), "file": file})
    return found


def write_cases(folder: Path) -> None:
    """All files, with the manifest as the last."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest = []
    for number, each in enumerate(all_made()):
        start = f"{number:03d}"
        write_model(each.model, folder / f"{start}.onnx")
        manifest.append(
            {
                "id": f"{each.what}, {each.form}",
                "what": each.what,
                "form": each.form,
                "tolerance": each.tolerance,
                "model": f"{start}.onnx",
                "inputs": _written(each.inputs, folder, f"{start}.in"),
                "outputs": _written(each.outputs, folder, f"{start}.out"),
            }
        )
    (folder / "manifest.json").write_text(json.dumps(manifest))


if __name__ == "__main__":
    write_cases(Path(sys.argv[1]))
