"""`graphc compile --float16` and `--int8 weights`: conversions that need no calibration, and are compared on examples
where some are given.

The forms of the files stand in `graphc.emit.float16` and `graphc.emit.quantize`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from graphc.emit import float16
from graphc.emit.inner import float_tensors
from graphc.emit.model import OnnxModel
from graphc.emit.quantize import has_weights, quantize_weights
from graphc.errors import SpecError, counted
from graphc.graph import Plan
from graphc.passes.expectations import check_int8_drop
from graphc.passes.kept_in_float import kept_in_float
from graphc.quantization.cost import Cost, cost_of
from graphc.quantization.ranges import examples_together
from graphc.quantization.source import source_of
from graphc.runtime import Session


@dataclass
class Narrowing:
    """What both conversions share: what `compile_plan` calls with the float32 model."""

    compare: Sequence[str] = ()
    """What the outputs are compared on: a run's folder; images, .npy files and folders."""
    in_float: Sequence[str] = ()
    """Patterns of layers that stay in float32."""
    examples: int = 100
    say: Callable[[str], None] = lambda message: None
    cost: Cost | None = field(default=None, init=False)
    told: list[str] = field(default_factory=list, init=False)
    """What was done, in sentences."""

    def compared(self, form: str, model: OnnxModel, found: OnnxModel, plan: Plan) -> None:
        """Work out the cost, where there are examples."""
        if not self.compare:
            return
        names = float_tensors(model)
        together = examples_together(model, names)
        source = source_of(self.compare, Session(model.serialize(), threads=1), self.examples, self.say)
        self.cost = cost_of(form, model, found, plan, names, source, together)


@dataclass
class ToFloat16(Narrowing):
    """Half precision, with float32 where operators need it."""

    form: float16.Form = "inside"

    def __call__(self, model: OnnxModel, plan: Plan) -> OnnxModel:
        layers = {each.node.name: each.node.layer for each in plan.nodes}

        def full_precision(name: str) -> str:
            return layers[name].full_precision if name in layers else ""

        how = float16.Half(self.form, kept_in_float(plan, self.in_float), full_precision)
        found, report = float16.to_float16(model, how)
        self.told += _told(report)
        self.compared("float16", model, found, plan)
        return found


def _told(report: float16.HalfReport) -> list[str]:
    kept = sum(report.float32.values())
    lines = [f"float16: {report.nodes - kept} of {counted(report.nodes, 'operator')}"]
    lines += [f"  {counted(count, 'operator')} in float32: {why}" for why, count in report.float32.items()]
    lines += [
        f"  warning[G353]: {layer}: {name} has {largest:,.6g}, and float16 ends at {float16.LARGEST:,.0f}: in float32"
        for name, (layer, largest) in report.too_large.items()
    ]
    lines += [
        f"  warning[G353]: {name}: {share:.0%} of its numbers become 0 in float16: --in-float keeps its layer"
        for name, share in report.lost.items()
    ]
    small = _counts({"become 0": report.zeros, "lose digits, being below 6e-5": report.subnormal})
    return [*lines, f"  of {counted(report.numbers, 'weight')} in float16 {small}"]


def _counts(of: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {what}" if count else f"none {what}" for what, count in of.items())


@dataclass
class WeightsToInt8(Narrowing):
    """Weights alone in 8-bit integers."""

    def __call__(self, model: OnnxModel, plan: Plan) -> OnnxModel:
        stays = kept_in_float(plan, self.in_float)
        found = quantize_weights(model, stays)
        weighted = [node for node in model.body.graph.node if has_weights(node, model.tensors)]
        count = sum(node.op_type == "DequantizeLinear" for node in found.body.graph.node)
        if not count:
            raise SpecError("G351", "no layer has weights that can be 8-bit integers", plan.graph.inputs[0].place)
        self.told.append(f"int8 weights: {count} arrays, of {counted(len(weighted), 'operator')} with constant weights")
        self.compared("int8", model, found, plan)
        if self.cost is None:
            self.told.append(f"  {model.size:,} bytes -> {found.size:,}")
        check_int8_drop(plan, None if self.cost is None else self.cost.points)
        return found
