"""Losses and metrics over a whole data set, and predictions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from graphc.data.batches import Batches
from graphc.execution.network import Network
from graphc.parallel.prefetch import prefetched
from graphc.train.loss_term import Values
from graphc.train.loss_terms import LossTerms
from graphc.train.sums import Sums
from graphc.types import Array


class Forwards(Protocol):
    """What runs a network in inference."""

    def forward(
        self, params: Mapping[str, Array], inputs: Mapping[str, Array], training: bool, *, keep: Iterable[str]
    ) -> Values:
        """The values of the nodes in `keep` for inputs [N, …]; `params` by full name, each in its own shape."""


def evaluate(
    network: Forwards,
    heads: LossTerms,
    params: Mapping[str, Array],
    batches: Batches,
    penalty: float = 0.0,
) -> dict[str, Any]:
    """`loss` (with the regularizers' `penalty`, as in training), each head's own where there are several, and each
    metric, by name. Means are over the data set: they do not depend on the size of its batches. `params`: by full name,
    each in its own shape."""
    sums = Sums(heads)
    rows = np.arange(len(batches.examples))
    with batches.ahead(batches.batch_rows(rows)) as made:
        for batch in made:
            run = network.forward(params, batch.inputs, training=False, keep=heads.nodes)
            sums.losses.add(heads.judge(run, batch).terms)
            sums.add_judged(heads.judged(run, batch))
    return {"loss": sums.losses.loss() + penalty, **sums.losses.by_head(), **sums.metrics()}


def predictions(
    network: Network, nodes: Sequence[str], params: Mapping[str, Array], batches: Batches
) -> Iterator[tuple[Array, dict[str, Array]]]:
    """(rows [n], values of the nodes [n, ...]) of each batch of the data set, in its order."""
    rows = np.arange(len(batches.examples))
    with prefetched(lambda some: (some, batches.make(some)), batches.batch_rows(rows)) as made:
        for some, batch in made:
            run = network.forward(params, batch.inputs, training=False, keep=nodes)
            yield some, {node: run.value(node) for node in nodes}
