"""`graphc compile --int8`: a model calibrated on examples, in integers, and what that has cost.

The form of the file stands in `graphc.emit.quantize`. Half precision, and weights alone in integers, are
`graphc.quantization.narrow`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from graphc.emit.model import OnnxModel
from graphc.emit.quantize import Quantization, integer_layers, quantize, quantized_tensors
from graphc.emit.targets.rewrites import fuses_sums
from graphc.errors import SpecError, counted
from graphc.graph import Plan
from graphc.kernels.integers import LARGEST, REDUCED, Form, Range
from graphc.passes.expectations import check_int8_drop
from graphc.passes.kept_in_float import kept_in_float
from graphc.quantization.cost import Cost, cost_of
from graphc.quantization.ranges import examples_together, find_ranges, read_ranges, write_ranges
from graphc.quantization.source import Source, source_of
from graphc.runtime import Session
from graphc.train.fake_quantization import learned_ranges
from graphc.weights import open_weights

EXAMPLES = 100
RANGES = ".json"


@dataclass
class Quantizer:
    """What `compile_plan` calls with the float model; `cost` says what came of it."""

    data: Sequence[str]
    """A run's folder; images, .npy files and folders; or a file of ranges that was kept."""
    form: Form = "asymmetric"
    in_float: Sequence[str] = ()
    """Patterns of layers that stay in float."""
    examples: int = EXAMPLES
    percentile: float | None = None
    keep: str | None = None
    """Where the ranges are written."""
    say: Callable[[str], None] = lambda message: None
    weights: str | Path | None = None
    """The file of the weights: ranges that were learned with them (`fake_quantize`) hold before calibrated ones."""
    reduce_range: bool = False
    """Weights of 7 bits, for processors that cut sums of two products off at 16."""
    targets: Sequence[str] = ()
    """Runtimes that the file is for."""
    cost: Cost | None = field(default=None, init=False)
    told: list[str] = field(default_factory=list, init=False)
    """What was done, in sentences."""

    def __call__(self, model: OnnxModel, plan: Plan) -> OnnxModel:
        stays = kept_in_float(plan, self.in_float)
        names = quantized_tensors(model, stays)
        if not names:
            raise SpecError("G351", "no layer can be computed in 8-bit integers", plan.graph.inputs[0].place)
        together = examples_together(model, names)
        source, ranges = self._calibrated(model, names, together)
        learned = self._learned(plan, names)
        most = REDUCED if self.reduce_range else LARGEST
        how = Quantization(ranges, self.form, stays, learned, most, fuses_sums(self.targets))
        found = quantize(model, how)
        if self.keep is not None:
            write_ranges(self.keep, ranges | learned)
        if source is not None:
            kinds = [whole for _, _, whole in integer_layers(model, stays)]
            of = f"{sum(kinds)} of {len(kinds)} layers with weights"
            self.told.append(f"int8: {of}, calibrated on {counted(source.count, 'example')}")
            self.cost = cost_of("int8", model, found, plan, names, source, together)
            check_int8_drop(plan, self.cost.points)
        return found

    def _learned(self, plan: Plan, names: Sequence[str]) -> dict[str, Range]:
        if self.weights is None:
            return {}
        with open_weights(self.weights) as file:
            learned = learned_ranges(file, plan)
        found = {name: learned[name] for name in names if name in learned}
        if found:
            self.told.append(f"int8: {counted(len(found), 'range')} as learned")
        return found

    def _calibrated(
        self, model: OnnxModel, names: Sequence[str], together: int
    ) -> tuple[Source | None, dict[str, Range]]:
        if len(self.data) == 1 and self.data[0].lower().endswith(RANGES):
            return None, read_ranges(self.data[0], names)
        session = Session(model.serialize(), threads=1)
        source = source_of(self.data, session, self.examples, self.say)
        return source, find_ranges(model, names, lambda: source.batches(together), self.percentile)


__all__ = ["EXAMPLES", "Cost", "Quantizer"]
