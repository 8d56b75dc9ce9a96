"""One spec after every stage, as text: what expand, the analyses, simplify and the emitter make of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import onnx

from graphc.compiler import compile_plan, plan_spec
from graphc.dims import format_shape
from graphc.graph import Node, Plan, PlannedNode
from graphc.initializers import initial_values
from graphc.passes.expectations import totals
from graphc.passes.simplify import inference, simplify
from graphc.report.show import field_cells

SPEC = Path(__file__).parent / "golden" / "every_form.yaml"
Golden = Callable[[str, str], None]


def node_line(node: Node) -> str:
    arguments = ", ".join(f"{name}={argument.value}" for name, argument in sorted(node.arguments.items()))
    shared = "" if node.variables == node.name else f"  variables of {node.variables}"
    return f"{node.name} = {node.layer.kind}({arguments}) <- {', '.join(node.inputs)}{shared}"


def plan_line(planned: PlannedNode) -> str:
    size, stride, padding = field_cells(planned.receptive_field)
    seen = f"sees {size}" + (f" stride {stride} padding {padding}" if stride else "")
    costs = f"{planned.param_count} parameters, {planned.macs} MACs, {planned.flops} FLOPs"
    return f"{planned.node.name}: {format_shape(planned.shape)}; {seen}; {costs}"


def text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def test_expand(golden: Golden) -> None:
    graph = plan_spec(SPEC).graph
    ends = [f"output {name} = {node}" for name, node in graph.outputs.items()]
    ends += [f"end point {name} = {node}" for name, node in graph.end_points.items()]
    golden("expand.txt", text([*map(node_line, graph.nodes), *ends]))


def test_plan(golden: Golden) -> None:
    plan = plan_spec(SPEC)
    golden("plan.txt", text([*map(plan_line, plan.nodes), *(f"warning {each.message}" for each in plan.warnings)]))
    check_sums(plan)


def check_sums(plan: Plan) -> None:
    """A golden file cannot bless a wrong sum."""
    assert totals(plan)["params"] == sum(size for spec in plan.variables.values() for size in [spec_size(spec.shape)])
    assert totals(plan)["macs"] == sum(each.macs or 0 for each in plan.nodes)


def spec_size(shape: tuple[int, ...]) -> int:
    size = 1
    for each in shape:
        size *= each
    return size


def test_simplify(golden: Golden) -> None:
    plan = plan_spec(SPEC)
    simplified = simplify(inference(plan, initial_values(plan.variables, 0)))
    lines = [f"{node.name} = {node.layer.kind} <- {', '.join(node.inputs)}" for node in simplified.nodes]
    lines += [f"output {name} = {node}" for name, node in simplified.outputs.items()]
    golden("simplify.txt", text(lines))


def test_onnx(golden: Golden) -> None:
    plan = plan_spec(SPEC)
    model = onnx.load_from_string(compile_plan(plan, initial_values(plan.variables, 0)).serialize())
    onnx.checker.check_model(model, full_check=True)
    lines = [
        f"{node.op_type} {node.name} ({', '.join(node.input)}) -> {', '.join(node.output)}" for node in model.graph.node
    ]
    lines += [f"initializer {each.name} {list(each.dims)}" for each in model.graph.initializer]
    golden("onnx.txt", text(lines))
