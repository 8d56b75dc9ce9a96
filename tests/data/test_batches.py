"""Order, batches, preprocessing, and the thread that works ahead."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from graphc.data.batches import AHEAD, Batches, prefetched
from graphc.data.examples import Examples, epoch_order, split
from graphc.data.preprocess import FittedPreprocess, Preprocess, channel_statistics
from graphc.errors import DataError


def _examples(count=10, dtype=np.uint8):
    images = np.arange(count * 4).reshape(count, 2, 2, 1).astype(dtype)
    return Examples({"image": images}, {"label": np.arange(count)})


def _batches(size, dtype=np.float32, **preprocess):
    how = {"image": FittedPreprocess(Preprocess(**preprocess))}
    return Batches(_examples(), size, {"image": (2, 2, 1)}, dtype, how)


def test_the_order_depends_on_seed_and_epoch_alone():
    orders = [epoch_order(seed, epoch, 50).tolist() for seed, epoch in ((1, 1), (1, 2), (2, 1))]
    assert orders[0] == epoch_order(1, 1, 50).tolist()
    assert orders[0] != orders[1] != orders[2]
    assert sorted(orders[0]) == list(range(50))


def test_every_row_comes_once_and_the_last_batch_is_short():
    batches = _batches(4)
    made = [batches.make(part) for part in batches.batch_rows(epoch_order(0, 0, 10))]
    assert [len(batch) for batch in made] == [4, 4, 2]
    assert sorted(np.concatenate([batch.targets["label"] for batch in made])) == list(range(10))


def test_an_epoch_can_go_on_in_its_middle():
    batches = _batches(4)
    order = epoch_order(0, 0, 10)
    parts = [part.tolist() for part in batches.batch_rows(order)]
    assert [part.tolist() for part in batches.batch_rows(order, 1)] == parts[1:]


def test_bytes_become_numbers_up_to_one():
    batch = _batches(10).make(np.arange(10))
    assert batch.inputs["image"].dtype == np.float32
    np.testing.assert_allclose(batch.inputs["image"].ravel(), np.arange(40) / 255, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fitted_preprocessing_centers(dtype):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (500, 4, 4, 3)).astype(np.uint8)
    fitted = Preprocess(mean="fit", std="fit").fitted(images)
    out = np.empty(images.shape, dtype)
    fitted.apply(images, out)
    mean, std = channel_statistics(out)
    np.testing.assert_allclose(mean, 0, atol=1e-5)
    np.testing.assert_allclose(std, 1, atol=1e-5)
    assert fitted.settings.fitted(images).settings == fitted.settings


def test_numbers_that_do_not_fit_the_channels():
    with pytest.raises(DataError, match="expected 1 or 1 numbers to preprocess with, got 3"):
        _batches(4, mean=(1, 2, 3)).make(np.arange(4))


def test_a_batch_outlives_the_ones_made_ahead():
    batches = _batches(1)
    first = batches.make(np.array([5]))
    before = first.inputs["image"].copy()
    for row in range(AHEAD + 1):
        batches.make(np.array([row]))
    np.testing.assert_array_equal(first.inputs["image"], before)


def test_the_thread_gives_what_it_makes_in_order():
    with prefetched(lambda part: int(part[0]), iter(np.arange(20).reshape(20, 1))) as made:
        assert list(made) == list(range(20))


def test_the_threads_error_arrives():
    def make(part):
        raise DataError("G401", "no such file")

    with pytest.raises(DataError, match="no such file"), prefetched(make, iter([np.arange(1)])) as made:
        next(made)


def test_leaving_early_ends_the_thread():
    with prefetched(lambda part: part, iter(np.zeros((100, 1)))) as made:
        next(made)
    assert not any(thread.name == "graphc-batches" for thread in threading.enumerate())


def test_a_split_is_a_partition():
    rest, drawn = split(_examples(), 0.3, seed=4)
    assert len(drawn) == 3
    assert sorted([*rest.targets["label"], *drawn.targets["label"]]) == list(range(10))
    with pytest.raises(DataError, match="leaves one part empty"):
        split(_examples(), 0.01, seed=4)


def test_fingerprints_tell_data_apart():
    changed = Examples({"image": _examples().inputs["image"] + 1}, {"label": np.arange(10)})
    assert _examples().fingerprint() == _examples().fingerprint() != changed.fingerprint()


def test_counts_must_agree():
    with pytest.raises(DataError, match="found 3 of image, 2 of label"):
        Examples({"image": np.zeros((3, 1))}, {"label": np.zeros(2)})
    with pytest.raises(DataError, match="found no examples"):
        Examples({"image": np.zeros((0, 1))}, {"label": np.zeros(0)})
