"""The model of what a step takes on many hosts."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.cluster_model import (
    BATCH,
    NETS,
    STEP_OF_HOSTS,
    Cluster,
    Net,
    Part,
    fitted,
    net_of,
    step_seconds,
    tables,
)

PAGE = Path(__file__).parents[2] / "docs" / "cluster.md"


@pytest.fixture(scope="module", name="net")
def make_net() -> Net:
    return net_of(NETS["resnet20"])


def test_the_page_has_what_the_script_prints() -> None:
    assert tables() in PAGE.read_text(encoding="utf-8")


def test_measured_steps_come_out(net: Net) -> None:
    rate, exchange = fitted(net)
    assert step_seconds(net, BATCH, Cluster(2, 1, rate, exchange)) == pytest.approx(STEP_OF_HOSTS, rel=1e-6)
    assert 4 * 270_000 < net.packed + sum(sum(part.streamed) for part in net.parts) < 4 * 275_000
    assert sum(part.norm_bytes > 0 for part in net.parts) == 21


def test_no_more_hosts_than_speed_and_no_harm_by_a_wider_link(net: Net) -> None:
    one = step_seconds(net, 1024, Cluster(1, 1, 1e10, 1e-3))
    for hosts in (2, 8, 64):
        steps = [step_seconds(net, 1024, Cluster(hosts, gigabits, 1e10, 1e-3)) for gigabits in (0.1, 1, 10)]
        assert steps == sorted(steps, reverse=True)
        assert one / steps[-1] < hosts


def test_gradients_travel_while_the_backward_pass_goes_on() -> None:
    """By hand: one layer at the end whose gradient is sent during the other's backward pass."""
    early, late = Part(1e9, 0, ()), Part(0, 0, (10**6,))
    cluster = Cluster(2, 1, 1e9, 0)
    around = 4 * cluster.exchanged(0)
    hidden = step_seconds(Net((early, late), 0, 0), 2, cluster)
    assert hidden == pytest.approx(3 + around + cluster.summed(0), rel=1e-3)
    shown = step_seconds(Net((late, early), 0, 0), 2, cluster)
    assert shown - hidden == pytest.approx(cluster.summed(10**6), rel=0.05)
