"""A batch: what the network reads, what losses and metrics compare with, and what only a teacher asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from graphc.types import Array


class Field(NamedTuple):
    """Where an array stands in a batch: an input and a target may have one name."""

    part: Literal["inputs", "targets", "raw"]
    name: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """Arrays of one batch, each with one row an example."""

    inputs: Mapping[str, Array]
    """By input name, preprocessed."""
    targets: Mapping[str, Array]
    """By target name; which boxes and key points count is a target of its own (`graphc.data.sample.VALID`)."""
    raw: Array | None = None
    """Images before preprocessing, N H W C, where a teacher reads them."""
    teacher: Array | None = None
    """The teacher's logits, N and its classes, where there is one."""

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    @staticmethod
    def of(fields: Mapping[Field, Array]) -> Batch:
        """A batch of these arrays, [N, …] each."""
        parts: dict[str, dict[str, Array]] = {"inputs": {}, "targets": {}, "raw": {}}
        for field, array in fields.items():
            parts[field.part][field.name] = array
        return Batch(parts["inputs"], parts["targets"], next(iter(parts["raw"].values()), None))

    def fields(self) -> Iterator[tuple[Field, Array]]:
        """What a worker fills, [N, …] each: everything but the teacher's logits."""
        yield from ((Field("inputs", name), array) for name, array in self.inputs.items())
        yield from ((Field("targets", name), array) for name, array in self.targets.items())
        if self.raw is not None:
            yield Field("raw"), self.raw

    def with_answers(self, logits: Array) -> Batch:
        """The batch with its teacher's logits [N, classes], for which the raw images were."""
        return replace(self, raw=None, teacher=logits)

    def with_own_inputs(self) -> Batch:
        """The batch with copies of its inputs, which stay when other batches are made."""
        return replace(self, inputs={name: array.copy() for name, array in self.inputs.items()})

    def with_own_targets(self) -> Batch:
        """The batch with copies of its targets."""
        return replace(self, targets={name: array.copy() for name, array in self.targets.items()})
