"""A warning where validation lags far behind training because what layers collect in training is young."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from graphc.graph import Node
from graphc.layers.protocols import CollectsStatistics

LAG = 0.15
"""Of a share such as accuracy: training's above validation's."""
TIMES = 2.0
"""Of a loss: validation's over training's."""


def lag_warning(nodes: Iterable[Node], record: Mapping[str, Any], batches: int) -> str | None:
    """A sentence where an epoch's record has a validation far worse than training and a layer's statistics, after so
    many batches, explain it."""
    lag = _lag(record)
    if lag is None:
        return None
    for node in nodes:
        if isinstance(node.layer, CollectsStatistics) and (reason := node.layer.young(batches)):
            return f"{lag}: the {reason} ({node.name} and its like)"
    return None


def _lag(record: Mapping[str, Any]) -> str | None:
    """How far validation is behind, in words; None where it is not."""
    for name, judged in record.items():
        trained = record.get(name.removeprefix("validation_"))
        if not name.startswith("validation_") or not isinstance(judged, float) or not isinstance(trained, float):
            continue
        if name == "validation_loss":
            behind = judged > TIMES * trained > 0
        else:
            behind = 0 <= judged < trained - LAG and trained <= 1
        if behind:
            return f"{name} {judged:.3f} lags behind training's {trained:.3f}"
    return None
