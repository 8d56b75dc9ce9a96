"""Metrics, fed batch by batch, against scikit-learn on everything at once."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.errors import DataError
from graphc.train.metrics import (
    F1,
    METRICS,
    Accuracy,
    Auc,
    ConfusionMatrix,
    MeanAbsoluteError,
    MeanIou,
    Precision,
    Recall,
    TopK,
)

sklearn = pytest.importorskip("sklearn.metrics", reason="the metrics are compared with scikit-learn's")
rng = np.random.default_rng(11)
LOGITS = rng.normal(size=(203, 5)) * 2
LABELS = np.where(rng.random(203) < 0.5, LOGITS.argmax(axis=1), rng.integers(0, 5, 203))
FOUND = LOGITS.argmax(axis=1)


def _stream(metric, prediction, target, batch=32):
    totals = metric.start(prediction.shape[1:])
    for start in range(0, len(prediction), batch):
        metric.add(totals, prediction[start : start + batch], target[start : start + batch])
    return metric.result(totals)


def test_accuracy_and_top_k():
    assert _stream(Accuracy(), LOGITS, LABELS) == pytest.approx(sklearn.accuracy_score(LABELS, FOUND))
    assert _stream(TopK(k=2), LOGITS, LABELS) == pytest.approx(sklearn.top_k_accuracy_score(LABELS, LOGITS, k=2))
    assert _stream(TopK(k=1), LOGITS, LABELS) == _stream(Accuracy(), LOGITS, LABELS)
    assert TopK(k=5).name == "top_5"


def test_equal_predictions_do_not_all_count():
    assert _stream(TopK(k=2), np.zeros((4, 4)), np.arange(4)) == 0.5


def test_confusion_matrix():
    assert _stream(ConfusionMatrix(), LOGITS, LABELS) == sklearn.confusion_matrix(LABELS, FOUND).tolist()


@pytest.mark.parametrize("average", ["macro", "weighted", "micro"])
@pytest.mark.parametrize(
    ("metric", "theirs"),
    [(Precision, sklearn.precision_score), (Recall, sklearn.recall_score), (F1, sklearn.f1_score)],
)
def test_precision_recall_f1(metric, theirs, average):
    expected = theirs(LABELS, FOUND, average=average, zero_division=0)
    assert _stream(metric(average=average), LOGITS, LABELS) == pytest.approx(expected)


def test_binary_from_a_single_logit():
    logit, label = LOGITS[:, :1], (LABELS > 2).astype(int)
    expected = sklearn.f1_score(label, logit[:, 0] > 0)
    assert _stream(F1(average="binary"), logit, label) == pytest.approx(expected)
    auc = sklearn.roc_auc_score(label, logit[:, 0])
    assert _stream(Auc(bins=1_000_000), logit, label) == pytest.approx(auc, abs=1e-4)


def test_auc_one_against_the_rest():
    p = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
    expected = sklearn.roc_auc_score(LABELS, p, multi_class="ovr")
    assert _stream(Auc(bins=1_000_000), LOGITS, LABELS) == pytest.approx(expected, abs=1e-4)


def test_auc_is_exact_where_scores_lie_in_bins():
    scores = rng.integers(0, 10, (100, 1)) / 10 + 0.05
    label = rng.integers(0, 2, 100)
    expected = sklearn.roc_auc_score(label, scores[:, 0])
    assert _stream(Auc(bins=10, logits=False), scores, label) == pytest.approx(expected, rel=1e-12)


def test_mean_iou_per_pixel():
    logits, labels = rng.normal(size=(6, 4, 4, 3)), rng.integers(0, 3, (6, 4, 4))
    labels[0, 0] = 255
    kept = labels.ravel() != 255
    expected = sklearn.jaccard_score(labels.ravel()[kept], logits.argmax(-1).ravel()[kept], average="macro")
    assert _stream(MeanIou(ignore=255), logits, labels, 2) == pytest.approx(expected)


def test_mean_absolute_error():
    target = rng.normal(size=(203, 5))
    expected = sklearn.mean_absolute_error(target, LOGITS)
    assert _stream(MeanAbsoluteError(), LOGITS, target) == pytest.approx(expected)
    assert _stream(MeanAbsoluteError(), LOGITS[:, :1], target[:, 0]) > 0


def test_distributions_count_by_their_highest_class():
    assert _stream(Accuracy(), LOGITS, np.eye(5)[LABELS]) == _stream(Accuracy(), LOGITS, LABELS)


@pytest.mark.parametrize("metric", [metric() for metric in METRICS], ids=lambda m: m.kind)
def test_nothing_seen_is_zero(metric):
    result = metric.result(metric.start((3,)))
    assert not np.any(result)


@pytest.mark.parametrize("metric", [Accuracy(), MeanAbsoluteError()], ids=lambda m: m.kind)
def test_shapes_that_do_not_fit_are_named(metric):
    with pytest.raises(DataError, match=r"got \[4, 2\] for predictions \[4, 3\]"):
        metric.add(metric.start((3,)), np.zeros((4, 3)), np.zeros((4, 2)))
