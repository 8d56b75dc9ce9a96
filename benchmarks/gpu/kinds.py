"""Every layer kind's training graph on the provider, beside NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.gpu.measured import table
from graphc.errors import GraphcError
from graphc.layers import CATALOGUE
from graphc.runtime import Session
from graphc.train.onnxruntime_engine import TARGETS
from tests.layers.cases import Case, all_cases
from tests.layers.one_layer import initial_params, random_inputs
from tests.training_graph.one_layer import BATCH, emitted, in_numpy, run_by

if TYPE_CHECKING:
    from benchmarks.gpu.run import Asked

TOLERANCE = 1e-4
"""Of the largest value: devices sum in other orders than NumPy."""


def report(asked: Asked) -> Iterator[str]:
    rows, right = [], 0
    for kind in sorted(CATALOGUE)[: 5 if asked.tiny else None]:
        cases = [case for case in all_cases() if case.layer.kind == kind]
        smallest = min(cases, key=lambda case: sum(map(np.prod, case.input_shapes)))
        try:
            worst, name = difference(smallest, asked)
        except GraphcError as error:
            rows.append([kind, "refused", str(error)])
            continue
        if worst <= TOLERANCE:
            right += 1
        else:
            rows.append([kind, f"{worst:.1e}", name])
    yield f"{right} kinds have NumPy's output and gradients within {TOLERANCE} of the largest value; the others:"
    yield ""
    yield from table(["kind", "furthest off", "what"], rows)


def difference(case: Case, asked: Asked) -> tuple[float, str]:
    """(the largest difference from NumPy, as a share of the largest value; of what)."""
    rng = np.random.default_rng(1)
    params, inputs = initial_params(case, rng, "float32"), random_inputs(case, BATCH, rng, "float32")
    dy = rng.standard_normal((BATCH, *case.layer.infer_shape(*case.input_shapes))).astype(np.float32)
    model = emitted(case, BATCH, TARGETS.get(asked.kind, "cpu"))
    session = Session(model.serialize(), asked.exact)
    theirs = dict(run_by(session.run, {port.name: port.shape for port in session.inputs}, params, inputs, dy).named())
    found = []
    for name, ours in in_numpy(case, params, inputs, dy).named():
        largest = max(float(np.abs(ours).max(initial=0)), 1e-20)
        found.append((float(np.abs(theirs[name] - ours).max(initial=0)) / largest, name))
    return max(found)
