"""Every kind in every operator set: a model that onnx takes, or a sentence."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.emit.model import OPSETS, emit
from graphc.errors import SpecError
from graphc.layers import CATALOGUE
from graphc.testing.case import initial_params, one_layer_plan
from tests.layers.cases import all_cases

FIRST = {case.layer.kind: case for case in reversed(all_cases())}


@pytest.mark.parametrize("kind", sorted(CATALOGUE))
def test_every_kind_is_written_in_every_opset_or_refused(kind: str) -> None:
    case = FIRST[kind]
    params = initial_params(case, np.random.default_rng(0), "float32")
    plan = one_layer_plan(case)
    for opset in (OPSETS[0], 18, OPSETS[-1]):
        try:
            emit(plan, {f"net/layer/{name}": value for name, value in params.items()}, opset=opset)
        except SpecError as error:
            assert error.code == "G321", error  # noqa: PT017  (others must not come)
