"""Data at the edge of what can be learned from: a result that is finite, or a sentence; never a warning of NumPy's."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

from graphc.errors import DataError, DivergedError

from .test_train import _train

WITHOUT = ("data.validation=", "epochs=1")


def write(project, labels, images=None):
    labels = np.asarray(labels)
    if images is None:
        images = np.random.default_rng(0).normal(size=(len(labels), 6, 6, 1))
    np.savez(project / "train.npz", x=np.asarray(images, np.float32), y=labels)


@pytest.fixture(autouse=True)
def warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        yield


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([0, 1, 2, 7], "expected labels from 0 to 2, found 7 at example 3"),
        ([0, 1, -1, 2], "expected labels from 0 to 2, found -1 at example 2"),
        ([0.0, 1.5, 2.0], "expected labels that are whole numbers from 0 to 2, found float64"),
        ([], "found no examples"),
    ],
    ids=["too large", "negative", "a fraction", "none"],
)
def test_labels_that_are_no_classes_are_refused_with_their_example(project, labels, words):
    """A negative one would be counted from the end, by NumPy's rule."""
    write(project, labels)
    with pytest.raises(DataError, match=words):
        _train(project, *WITHOUT)


@pytest.mark.parametrize(
    ("count", "settings"),
    [
        (5, ("batch=64",)),
        (5, ("batch=64", "drop_last=true")),
        (17, ("batch=4",)),
        (17, ("batch=4", "drop_last=true")),
        (3, ("batch=2", "shards=8")),
        (7, ("batch=4", "accumulate=3")),
        (6, ("batch=64", "data.workers=2")),
    ],
)
def test_batches_that_the_data_do_not_fill(project, count, settings):
    write(project, np.arange(count) % 3)
    last = _train(project, *WITHOUT, *settings)
    assert math.isfinite(last["loss"])
    assert last["step"] >= 1


@pytest.mark.parametrize("share", [0.01, 0.99])
def test_a_share_that_leaves_a_part_empty(project, share):
    write(project, [0, 1, 2])
    with pytest.raises(DataError, match=rf"a share of {share} of 3 examples leaves one part empty"):
        _train(project, *WITHOUT, f"data.validation_share={share}")


@pytest.mark.parametrize(
    ("labels", "images"),
    [
        (np.arange(12) % 3, np.zeros((12, 6, 6, 1))),
        (np.arange(12) % 3, np.full((12, 6, 6, 1), 1e30)),
        (np.arange(12) % 3, np.full((12, 6, 6, 1), 1e-40)),
        (np.zeros(12, int), None),
    ],
    ids=["all zero", "huge", "denormal", "one class"],
)
@pytest.mark.parametrize("fit", [False, True], ids=["as they are", "standardized"])
def test_inputs_without_information(project, labels, images, fit):
    write(project, labels, images)
    settings = ("data.preprocess={mean: fit, std: fit}",) if fit else ()
    try:
        last = _train(project, *WITHOUT, *settings)
    except (DivergedError, DataError) as error:
        assert error.exit_code in (2, 4)  # noqa: PT017  either is an answer
        return
    assert math.isfinite(last["loss"])
