"""Which tensor was the first that is not finite: said when training ends because of it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from graphc.execution.network import Network
from graphc.types import Array, Gradient


def first_bad_array(arrays: Mapping[str, Gradient]) -> str | None:
    """The name of the first array with a NaN or an infinity."""
    return next((name for name, array in arrays.items() if not np.isfinite(array).all()), None)


def first_bad_value(
    network: Network, params: Mapping[str, Array], inputs: Mapping[str, Array], step: int
) -> str | None:
    """The first of inputs [N, ...], variables [...] and values, in this order, that is not finite: the step is run once
    more."""
    if (name := first_bad_array(inputs)) is not None:
        return f"the input {name}"
    if (name := first_bad_array(params)) is not None:
        return f"the variable {name}"
    nodes = [node.name for node in network.graph.nodes]
    run = network.forward(params, inputs, True, step, keep=nodes)
    name = first_bad_array({node: run.value(node) for node in nodes})
    return None if name is None else f"the output of layer {name}"
