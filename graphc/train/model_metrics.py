"""A run's data for an ONNX file with its network: what the file reads, and the run's metrics of what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graphc.data.batch import Batch
from graphc.data.batches import Batches
from graphc.data.examples import Examples
from graphc.graph import Plan
from graphc.runtime import Session
from graphc.signature import Signature
from graphc.train.batching import make_batches
from graphc.train.datasets import read_test
from graphc.train.image_values import from_facts
from graphc.train.inputs import fit_inputs
from graphc.train.run_folder import RunFolder
from graphc.train.sums import Sums
from graphc.train.targets import classes_in
from graphc.train.task import Task
from graphc.train.trained import DEFAULT, task_of_run
from graphc.types import Array


@dataclass(frozen=True, slots=True)
class RunData:
    """Examples of a run's test set, or of what it was validated on."""

    task: Task
    examples: Examples
    batches: Batches
    set: str
    """Which of them: test, validation or validation_share."""

    @staticmethod
    def of(run: Path | str, together: int) -> RunData:
        """`together`: rows that are made at once, at most."""
        folder = RunFolder(run)
        facts = folder.read_facts()
        task, base = task_of_run(folder, facts)
        values = from_facts(facts, task.plan)
        name, examples = read_test(task, base, classes_in(facts), values, DEFAULT.max_memory)
        task.heads.check(examples)
        batches = make_batches(task, examples, size=together)
        return RunData(task, fit_inputs(examples, task.plan, task.recipe.data), batches, name)

    def feeds(self, rows: Array, signature: Signature) -> dict[str, Array]:
        """What the file of this signature reads of some rows [n]: raw images where it prepares them itself, else what
        the network reads, in float32."""
        return self._read(rows, self.batches.make(rows), signature)

    def _read(self, rows: Array, made: Batch, signature: Signature) -> dict[str, Array]:
        """The same of the batch that was made of these rows."""
        own = {name for name, each in signature.inputs.items() if each.preprocess is None}
        return {
            name: self._raw(name, rows, signature) if name in own else array.astype(np.float32, copy=False)
            for name, array in made.inputs.items()
        }

    def _raw(self, name: str, rows: Array, signature: Signature) -> Array:
        images = np.stack([self.examples.inputs[name][row] for row in rows])
        return signature.inputs[name].prepared(images, "float32")

    def metrics(self, session: Session, plan: Plan, signature: Signature) -> dict[str, Any]:
        """The run's metrics of a file with the outputs of a plan, over all examples; none where an output that is
        judged is not among them."""
        names = {node: name for name, node in plan.graph.outputs.items()}
        if any(node not in names for node in self.task.heads.by_node):
            return {}
        sums = Sums(self.task.heads)
        for rows in self.batches.batch_rows(np.arange(len(self.examples))):
            batch = self.batches.make(rows)
            results = session.run_all(session.as_read(self._read(rows, batch, signature)))
            answers = Answers({node: in_float32(results[names[node]]) for node in self.task.heads.by_node})
            sums.add_judged(self.task.heads.judged(answers, batch))
        return sums.metrics()


def in_float32(array: Array) -> Array:
    """Half precision as float32, of any shape; all else as it is."""
    return array.astype(np.float32) if array.dtype == np.float16 else array


@dataclass(frozen=True, slots=True)
class Answers:
    """What a file's outputs are, by the network's nodes."""

    values: Mapping[str, Array]

    def value(self, node: str) -> Array:
        return self.values[node]
