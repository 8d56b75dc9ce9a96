"""Files that graphc compiled: they hold the spec that they were made from, which is given back."""

from __future__ import annotations

from collections.abc import Mapping

from graphc.compiler import plan_model
from graphc.dims import Shape, is_image
from graphc.errors import GraphcError
from graphc.graph import Plan
from graphc.importers.check import EXAMPLES, TOLERANCE, Port, check_inputs, check_values, difference, ours, theirs
from graphc.importers.flat import LETTERS
from graphc.importers.imported import Imported
from graphc.importers.source import Source
from graphc.spec.model import read_spec_text
from graphc.types import Array
from graphc.verify import random_inputs
from graphc.weights import load_variables

SETTING = "# --set "


def own_spec(source: Source, reasons: list[str]) -> Imported | None:
    """The spec that the file holds, with all of its variables; None, and a reason, where not all is there."""
    text = source.facts.get("graphc.spec")
    if text is None:
        return None
    settings = [line.removeprefix(SETTING).strip() for line in text.splitlines() if line.startswith(SETTING)]
    try:
        plan = plan_model(read_spec_text(text, source.path.with_suffix(".yaml"), settings))
    except GraphcError:
        reasons.append("the spec inside consists of several files: imported from the graph")
        return None
    if source.facts.get("graphc.fold") != "false":
        reasons.append("the file holds its spec, but batch norms are folded into its weights: imported from the graph")
        return None
    try:
        variables, _ = load_variables(source.path, plan)
        whole = plan.graph.outputs.keys() >= {each.name for each in source.model.graph.output}
        whole = whole and variables.keys() == plan.variables.keys() and _is_equal(source, plan, variables)
    except GraphcError:
        whole = False
    if not whole:
        reasons.append(
            "the file holds its spec, but not its outputs, or variables, under their names: imported from the graph"
        )
        return None
    said = ["the spec that the file was compiled from, with its variables"]
    said += [f"it was compiled with --set {' --set '.join(settings)}"] if settings else []
    return Imported(text, variables, tuple(said))


def _is_equal(source: Source, plan: Plan, variables: Mapping[str, Array]) -> bool:
    """Whether the spec with these variables gives what the file gives."""
    layout = source.facts.get("graphc.layout", "nhwc")
    behind = source.facts.get("graphc.output_layout", "nchw")
    check_inputs(source.path, EXAMPLES, [[s for s in each.shape if isinstance(s, int)] for each in plan.graph.inputs])
    check_values(source.path, EXAMPLES, plan.shapes.values())
    feeds = random_inputs(plan, EXAMPLES, 0)
    inputs = [Port(each.name, each.name, _axes(each.shape, layout)) for each in plan.graph.inputs]
    outputs = [Port(name, name, _axes(plan.shapes[node], behind)) for name, node in plan.graph.outputs.items()]
    expected = theirs(source.session([port.theirs for port in outputs]), inputs, outputs, feeds)
    return difference(ours(plan, variables, outputs, feeds), expected) <= TOLERANCE


def _axes(shape: Shape, layout: str) -> str:
    return layout if is_image(shape) else f"n{LETTERS[len(shape)]}"
