"""The nets of the benchmarks are what they expect to be; the benchmarks themselves are run by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphc.compiler import plan_spec

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
NETS = (*sorted((BENCHMARKS / "nets").glob("*.yaml")), BENCHMARKS / "cifar10" / "resnet20.yaml")


@pytest.mark.parametrize("path", NETS, ids=lambda path: path.stem)
def test_nets_hold_their_expectations(path: Path) -> None:
    """Which are counted by hand: in vgg_cifar by 9*C*F a convolution and four numbers a channel of batch norm."""
    assert plan_spec(path).graph.nodes
