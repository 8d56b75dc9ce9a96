"""How long training is, and how many examples its batches have."""

from __future__ import annotations

from dataclasses import dataclass

from graphc.errors import RuleError
from graphc.graph import Plan
from graphc.layers.protocols import LimitsBatch
from graphc.passes.infer_shapes import at_node
from graphc.train.recipe import Recipe


@dataclass(frozen=True, slots=True)
class StepCounts:
    """How many steps training has, and of how many examples."""

    rows: int
    """Examples of an epoch; fewer than there are where a short batch is dropped."""
    batch: int
    """Examples of a batch; the last one of an epoch may have fewer."""
    step_rows: int
    """Examples of a step."""
    steps: int
    """In all."""

    @staticmethod
    def of(recipe: Recipe, examples: int) -> StepCounts:
        step_rows = recipe.batch * recipe.accumulate
        rows = examples
        if recipe.drop_last:
            whole = step_rows if examples > step_rows else recipe.batch
            rows = examples // whole * whole or examples
        per_epoch = -(-rows // step_rows)
        return StepCounts(rows, recipe.batch, step_rows, recipe.steps or (recipe.epochs or 0) * per_epoch)

    @property
    def epoch_steps(self) -> int:
        return -(-self.rows // self.step_rows)

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """Every number of examples that a batch has in an epoch, the usual one first."""
        usual = min(self.batch, self.rows)
        short = self.rows % self.batch
        return (usual, short) if short not in (0, usual) else (usual,)


def check_batches(plan: Plan, length: StepCounts) -> None:
    """An error where a layer cannot train on batches of the sizes that an epoch has: batch norm on one value a
    channel."""
    for size in length.batch_sizes:
        for planned in plan.nodes:
            node = planned.node
            if not isinstance(node.layer, LimitsBatch):
                continue
            inputs = plan.input_shapes(node)
            try:
                node.layer.check_batch(size, *inputs)
            except RuleError as error:
                what_to_do = _advice(size, length)
                raise at_node(node, RuleError(error.code, f"{error.message} {what_to_do}"), inputs) from None


def _advice(size: int, length: StepCounts) -> str:
    if size > 1:
        return "(whatever the batch)"
    if length.batch == 1:
        return "(a batch has 1 example: set `batch` to 2 or more)"
    return (
        f"(the last batch of an epoch has 1 example, {length.rows:,} in batches of {length.batch:,}: set `drop_last: "
        "true`, or another `batch`)"
    )
