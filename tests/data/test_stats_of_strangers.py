"""What `data stats` says of numbers and names that nobody would have thought of."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.data.cifar import read_cifar
from graphc.data.examples import Examples
from graphc.data.npz import read_npz
from graphc.data.preview import chart
from graphc.data.sources import Npz
from graphc.data.stats import statistics
from graphc.errors import DataError
from graphc.report.look import LONGEST_CLASS, _cut
from tests.costs import little

LIMIT = 10_000_000


@pytest.mark.parametrize("shape", [(5, 0, 28), (5, 28, 0), (5, 0)])
def test_examples_without_a_value_are_refused(shape):
    with pytest.raises(DataError, match=f"expected values in 'image', found the shape {'×'.join(map(str, shape))}"):
        Examples({"image": np.zeros(shape)}, {})


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [1e300, -1e300, 2.0**53, 5e-324])
def test_large_and_small_numbers_are_described(value):
    images = np.full((3, 2, 2), value)
    assert statistics(Examples({"image": images}, {})).histogram.shape == (1, 32)
    images[0, 0, 0] = np.nextafter(value, np.inf)
    assert statistics(Examples({"image": images}, {})).facts["examples"] == 3


def test_many_channels_are_cut_off():
    with little():
        found = statistics(Examples({"image": np.zeros((2, 1, 1, 100_000), np.uint8)}, {}))
    assert "(100,000 in all)" in found.facts["channel means"]
    assert "channel correlations" not in found.facts


def test_a_chart_of_many_classes_takes_no_longer_than_in_proportion():
    found = statistics(Examples({"image": np.zeros((10_000, 1))}, {"label": np.arange(10_000)}))
    with little():
        chart({"train": found})


def test_a_long_name_of_a_class_makes_no_wide_table():
    assert len(_cut("x" * 100_000)) < LONGEST_CLASS + 9


def test_a_label_that_is_no_class_is_refused(tmp_path):
    records = np.zeros((3, 3073), np.uint8)
    records[1, 0] = 10
    (tmp_path / "a.bin").write_bytes(records.tobytes())
    with pytest.raises(DataError, match=r"expected labels from 0 to 9, found 10 in record 1 \(from 0\)"):
        read_cifar([tmp_path / "a.bin"], LIMIT, classes=10)


def test_a_mapped_array_lies_in_its_own_member(tmp_path):
    """Its header announces more than its member has: what follows in the file is another array's."""
    path = tmp_path / "a.npz"
    np.savez(path, x=np.zeros(100_000, np.uint8), y=np.ones(100_000, np.uint8))
    path.write_bytes(path.read_bytes().replace(b"'shape': (100000,)", b"'shape': (200000,)", 1))
    with pytest.raises(DataError, match="bytes for its shape"):
        read_npz(path, ["x"], LIMIT, mapped=True)
    with pytest.raises(DataError):
        Npz(path="a.npz", targets={}).load(tmp_path, LIMIT)
