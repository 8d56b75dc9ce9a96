"""What `graphc new` writes is a network that holds its own budgets, whatever is set."""

from __future__ import annotations

import pytest

from graphc.passes.expand import expand
from graphc.passes.expectations import check_expectations
from graphc.passes.plan import plan
from graphc.spec.model import read_spec_text
from graphc.spec.starter import STARTER


@pytest.mark.parametrize("settings", [[], ["classes=3"], ["width=8"]])
def test_the_starter_compiles_without_a_warning(settings):
    planned = plan(expand(read_spec_text(STARTER, "net.yaml", settings)))
    check_expectations(planned)
    assert planned.warnings == planned.graph.warnings == ()
    assert [node.node.name for node in planned.nodes][:3] == [
        "conv1/conv1_1",
        "conv1/conv1_1/BatchNorm",
        "conv1/conv1_1/Relu",
    ]
