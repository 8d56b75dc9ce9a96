"""Which metric can judge which head: known from the loss before anything is read, and from the data afterwards."""

from __future__ import annotations

from collections.abc import Iterable

from graphc.data.target_kind import TargetKind
from graphc.errors import SpecError
from graphc.train.metrics import METRICS, Head, Metric

WORDS = {
    TargetKind.CLASS: "classes",
    TargetKind.DISTRIBUTION: "shares of classes",
    TargetKind.MULTI_LABEL: "labels of which several may hold",
    TargetKind.BOXES: "boxes with classes",
    TargetKind.VALUES: "values",
    TargetKind.SEQUENCE: "labels in order",
}


def check_pairing(metric: Metric, head: Head, name: str, kind: TargetKind | None = None) -> None:
    """A SpecError where the metric cannot judge the head called `name`; `kind`: of its targets, once they are known."""
    kinds = head.loss.kinds(head.shape) if kind is None else frozenset({kind})
    if not metric.judges & kinds:
        outputs = "one output" if head.outputs == 1 else f"{head.outputs} outputs"
        fitting = ", ".join(each.kind for each in METRICS if each.judges & kinds)
        message = (
            f"{metric.kind} judges {_words(metric.judges)}, but {name} ({head.loss.kind}, {outputs}) predicts "
            f"{_words(kinds)}: expected one of {fitting}"
        )
        raise SpecError("G618", message)
    metric.check(head)


def _words(kinds: Iterable[TargetKind]) -> str:
    return " or ".join(words for kind, words in WORDS.items() if kind in kinds)
