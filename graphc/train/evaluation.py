"""Losses and metrics over a whole data set, and predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from graphc.data.batches import Batches, prefetched
from graphc.train.heads import Heads
from graphc.train.learning import Learning
from graphc.train.metrics import Metric
from graphc.train.network import Network
from graphc.types import Array


def evaluate(
    network: Network,
    heads: Heads,
    params: Mapping[str, Array],
    batches: Batches,
    metrics: Sequence[Metric],
    learning: Learning | None = None,
) -> dict[str, Any]:
    """`loss` (regularizers included, as in training) and each metric, by name."""
    totals = [(metric, metric.start(heads.first.shape)) for metric in metrics]
    loss = 0.0
    rows = np.arange(len(batches.examples))
    with batches.ahead(batches.parts(rows)) as made:
        for batch in made:
            run = network.forward(params, batch.inputs, training=False, keep=heads.nodes)
            loss += heads.judge(run, batch.targets).loss * len(batch)
            prediction, target = heads.judged(run, batch.targets)
            for metric, sums in totals:
                metric.add(sums, prediction, target)
    penalty = learning.penalty(params) if learning is not None else 0.0
    return {"loss": loss / len(rows) + penalty, **{metric.name: metric.result(sums) for metric, sums in totals}}


def predictions(
    network: Network, nodes: Sequence[str], params: Mapping[str, Array], batches: Batches
) -> Iterator[tuple[Array, dict[str, Array]]]:
    """(rows, values of the nodes) of each batch of the data set, in its order."""
    rows = np.arange(len(batches.examples))
    with prefetched(lambda part: (part, batches.make(part)), batches.parts(rows)) as made:
        for part, batch in made:
            run = network.forward(params, batch.inputs, training=False, keep=nodes)
            yield part, {node: run.value(node) for node in nodes}
