"""Metrics, fed batch by batch, against scikit-learn on everything at once."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from graphc.data.target_kind import TargetKind
from graphc.errors import DataError, SpecError
from graphc.train.losses import LOSSES, Log, MeanSquared, SigmoidCrossEntropy, SoftmaxCrossEntropy
from graphc.train.metrics import (
    F1,
    METRICS,
    R2,
    Accuracy,
    Auc,
    AveragePrecision,
    ConfusionMatrix,
    Head,
    MeanAbsoluteError,
    MeanIou,
    MeanSquaredError,
    Precision,
    Recall,
    RootMeanSquaredError,
    TopK,
)
from graphc.train.pairing import check_pairing

sklearn = pytest.importorskip("sklearn.metrics", reason="the metrics are compared with scikit-learn's")
rng = np.random.default_rng(11)
LOGITS = rng.normal(size=(203, 5)) * 2
LABELS = np.where(rng.random(203) < 0.5, LOGITS.argmax(axis=1), rng.integers(0, 5, 203))
FOUND = LOGITS.argmax(axis=1)
DRAWS = 60
SOFTMAX = SoftmaxCrossEntropy()


def _stream(metric, prediction, target, batch=32, loss=SOFTMAX, classes=()):
    head = Head(prediction.shape[1:], loss, classes)
    totals = metric.start(head)
    for start in range(0, len(prediction), batch):
        metric.add(totals, prediction[start : start + batch], target[start : start + batch], head)
    return metric.result(totals, head)


def _softmax(logits):
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponents / exponents.sum(axis=1, keepdims=True)


# classes ---------------------------------------------------------------------------------------------------


def test_accuracy_and_top_k():
    assert _stream(Accuracy(), LOGITS, LABELS) == pytest.approx(sklearn.accuracy_score(LABELS, FOUND))
    assert _stream(TopK(k=2), LOGITS, LABELS) == pytest.approx(sklearn.top_k_accuracy_score(LABELS, LOGITS, k=2))
    assert _stream(TopK(k=1), LOGITS, LABELS) == _stream(Accuracy(), LOGITS, LABELS)
    assert TopK(k=5).name == "top_5"


def test_equal_predictions_do_not_all_count():
    assert _stream(TopK(k=2), np.zeros((4, 4)), np.arange(4)) == 0.5


def test_confusion_matrix():
    assert _stream(ConfusionMatrix(), LOGITS, LABELS) == sklearn.confusion_matrix(LABELS, FOUND).tolist()


@pytest.mark.parametrize(
    ("metric", "theirs"),
    [(Precision, sklearn.precision_score), (Recall, sklearn.recall_score), (F1, sklearn.f1_score)],
)
def test_precision_recall_f1_of_classes(metric, theirs):
    for draw in range(DRAWS):
        some = np.random.default_rng(draw)
        classes = int(some.integers(2, 7))
        logits, labels = some.normal(size=(40, classes)), some.integers(0, some.integers(1, classes + 1), 40)
        for average in ("macro", "weighted", "micro"):
            expected = theirs(labels, logits.argmax(axis=1), average=average, zero_division=0)
            assert _stream(metric(average=average), logits, labels, 7) == pytest.approx(expected, abs=1e-6)
        each = theirs(labels, logits.argmax(axis=1), average=None, labels=range(classes), zero_division=0)
        found = _stream(metric(per_class=True), logits, labels, 7, classes=("a", "b"))
        assert list(found)[:2] == ["a", "b"]
        assert list(found.values()) == pytest.approx(each.tolist(), abs=1e-6)


@pytest.mark.parametrize(
    ("metric", "theirs"),
    [(Precision, sklearn.precision_score), (Recall, sklearn.recall_score), (F1, sklearn.f1_score)],
)
def test_one_output_answers_yes_or_no(metric, theirs):
    for draw in range(DRAWS):
        some = np.random.default_rng(draw)
        logit, label = some.normal(size=(30, 1)), some.integers(0, 2, 30)
        expected = theirs(label, logit[:, 0] > 0, zero_division=0)
        assert _stream(metric(), logit, label, 7, SigmoidCrossEntropy()) == pytest.approx(expected, abs=1e-6)
        probability = 1 / (1 + np.exp(-logit))
        assert _stream(metric(), probability, label[:, None], 7, Log()) == pytest.approx(expected, abs=1e-6)
        macro = theirs(label, logit[:, 0] > 0, average="macro", zero_division=0)
        assert _stream(metric(average="macro"), logit, label, 7, SigmoidCrossEntropy()) == pytest.approx(macro)


def test_mean_iou_per_pixel():
    logits, labels = rng.normal(size=(6, 4, 4, 3)), rng.integers(0, 3, (6, 4, 4))
    labels[0, 0] = 255
    kept = labels.ravel() != 255
    args = labels.ravel()[kept], logits.argmax(-1).ravel()[kept]
    assert _stream(MeanIou(ignore=255), logits, labels, 2) == pytest.approx(
        sklearn.jaccard_score(*args, average="macro")
    )
    each = _stream(MeanIou(ignore=255, per_class=True), logits, labels, 2)
    assert list(each.values()) == pytest.approx(sklearn.jaccard_score(*args, average=None).tolist())


def test_distributions_count_by_their_highest_class():
    assert _stream(Accuracy(), LOGITS, np.eye(5)[LABELS]) == _stream(Accuracy(), LOGITS, LABELS)


# labels of which several may hold --------------------------------------------------------------------------


def _multi_label(draw):
    some = np.random.default_rng(draw)
    count = int(some.integers(2, 6))
    logits, labels = some.normal(size=(40, count)), some.integers(0, 2, (40, count))
    labels[0], labels[1] = 0, 1  # both answers occur, so that everything is defined
    return logits.round(1), labels


def test_multi_label_accuracy():
    for draw in range(DRAWS):
        logits, labels = _multi_label(draw)
        args = {"batch": 9, "loss": SigmoidCrossEntropy()}
        assert _stream(Accuracy(), logits, labels, **args) == pytest.approx(sklearn.accuracy_score(labels, logits > 0))
        hamming = sklearn.hamming_loss(labels, logits > 0)
        assert _stream(Accuracy(labels="each"), logits, labels, **args) == pytest.approx(1 - hamming)


@pytest.mark.parametrize(
    ("metric", "theirs"),
    [(Precision, sklearn.precision_score), (Recall, sklearn.recall_score), (F1, sklearn.f1_score)],
)
def test_multi_label_precision_recall_f1(metric, theirs):
    for draw in range(DRAWS):
        logits, labels = _multi_label(draw)
        labels[:, 0] = 0 if draw % 5 == 0 else labels[:, 0]  # a label that never holds
        for average in ("macro", "weighted", "micro"):
            expected = theirs(labels, logits > 0, average=average, zero_division=0)
            found = _stream(metric(average=average), logits, labels.astype(np.float32), 9, SigmoidCrossEntropy())
            assert found == pytest.approx(expected, abs=1e-6)
        each = _stream(metric(per_class=True), logits, labels, 9, SigmoidCrossEntropy())
        expected = theirs(labels, logits > 0, average=None, zero_division=0).tolist()
        assert list(each.values()) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("metric", "theirs"), [(Auc, sklearn.roc_auc_score), (AveragePrecision, sklearn.average_precision_score)]
)
def test_multi_label_ranking(metric, theirs):
    for draw in range(DRAWS):
        logits, labels = _multi_label(draw)
        for average in ("macro", "weighted", "micro"):
            found = _stream(metric(average=average), logits, labels, 9, SigmoidCrossEntropy())
            assert found == pytest.approx(theirs(labels, logits, average=average), abs=1e-6)
        each = _stream(metric(per_class=True), logits, labels, 9, SigmoidCrossEntropy())
        assert list(each.values()) == pytest.approx(theirs(labels, logits, average=None).tolist(), abs=1e-6)


# order -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "theirs"), [(Auc, sklearn.roc_auc_score), (AveragePrecision, sklearn.average_precision_score)]
)
def test_ranking_of_one_output(metric, theirs):
    for draw in range(DRAWS):
        some = np.random.default_rng(draw)
        label = np.r_[0, 1, some.integers(0, 2, 50)]
        logit = some.normal(size=(52, 1)).round(int(some.integers(0, 3)))  # with ties
        expected = theirs(label, logit[:, 0])
        assert _stream(metric(), logit, label, 7, SigmoidCrossEntropy()) == pytest.approx(expected, abs=1e-6)


def test_auc_one_against_the_rest():
    for draw in range(DRAWS):
        some = np.random.default_rng(draw)
        logits, labels = some.normal(size=(60, 4)), np.r_[0:4, some.integers(0, 4, 56)]
        for average in ("macro", "weighted"):
            expected = sklearn.roc_auc_score(labels, _softmax(logits), multi_class="ovr", average=average)
            assert _stream(Auc(average=average), logits, labels, 7) == pytest.approx(expected, abs=1e-6)
        expected = np.mean([sklearn.average_precision_score(labels == c, _softmax(logits)[:, c]) for c in range(4)])
        assert _stream(AveragePrecision(), logits, labels, 7) == pytest.approx(expected, abs=1e-6)


def test_auc_of_many_examples_with_ties_and_a_rare_class():
    label = (rng.random(100_000) < 1 / 2000).astype(int)
    score = (rng.normal(size=(100_000, 1)) + 1.2 * label[:, None]).round(2).astype(np.float32)
    for shift in (0, 30):  # a sigmoid of 30 is 1 in float32: the order is in the logits
        expected = sklearn.roc_auc_score(label, score[:, 0] + np.float32(shift))
        found = _stream(Auc(), score + np.float32(shift), label, 4096, SigmoidCrossEntropy())
        assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("label", [0, 1])
def test_auc_of_one_class_is_undefined(label):
    labels = np.full(20, label)
    assert _stream(Auc(), rng.normal(size=(20, 1)), labels, 7, SigmoidCrossEntropy()) is None
    assert _stream(Auc(), rng.normal(size=(20, 3)), labels, 7) is None
    each = _stream(Auc(per_class=True), rng.normal(size=(20, 3)), np.r_[0, 1, np.zeros(18, int)], 7)
    assert each["2"] is None
    assert each["0"] is not None


# values ----------------------------------------------------------------------------------------------------


def test_values():
    for draw in range(DRAWS):
        some = np.random.default_rng(draw)
        shape = (30, int(some.integers(1, 4)))
        target = some.normal(size=shape) * some.choice([1e-3, 1, 1e3]) + some.choice([0, 1e4])
        prediction = target + some.normal(size=shape)
        if draw % 10 == 0:
            target[:, 0] = 3.0
            prediction[:, 0] = 3.0 if draw % 20 else 4.0
        args = {"batch": 7, "loss": MeanSquared()}
        assert _stream(R2(), prediction, target, **args) == pytest.approx(
            sklearn.r2_score(target, prediction), rel=1e-9, abs=1e-6
        )
        mse = sklearn.mean_squared_error(target, prediction)
        assert _stream(MeanSquaredError(), prediction, target, **args) == pytest.approx(mse)
        assert _stream(RootMeanSquaredError(), prediction, target, **args) == pytest.approx(mse**0.5)
        mae = sklearn.mean_absolute_error(target, prediction)
        assert _stream(MeanAbsoluteError(), prediction, target, **args) == pytest.approx(mae)


def test_one_value_may_come_without_its_axis():
    target, prediction = rng.normal(size=203), LOGITS[:, :1]
    for metric, theirs in ((R2(), sklearn.r2_score), (MeanAbsoluteError(), sklearn.mean_absolute_error)):
        assert _stream(metric, prediction, target, 32, MeanSquared()) == pytest.approx(theirs(target, prediction[:, 0]))


# all -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", [metric() for metric in METRICS], ids=lambda m: m.kind)
def test_nothing_seen_is_undefined(metric):
    head = Head((3,), SoftmaxCrossEntropy() if metric.judges & SoftmaxCrossEntropy.target_kinds else MeanSquared())
    result = metric.result(metric.start(head), head)
    assert result is None or not np.any(result)


def test_the_size_of_batches_does_not_matter():
    for metric in (Accuracy(), F1(), Auc(), AveragePrecision(), MeanIou()):
        assert len({_stream(metric, LOGITS, LABELS, size) for size in (1, 4, 8, 203)}) == 1
    for metric in (R2(), RootMeanSquaredError()):
        values = [_stream(metric, LOGITS, LOGITS[::-1] + 3, size, MeanSquared()) for size in (1, 4, 8, 203)]
        assert values == pytest.approx([values[0]] * 4, rel=1e-12)


TARGETS = {
    "indices": np.arange(12) % 3,
    "column": rng.integers(0, 2, (12, 1)),
    "hot": np.eye(3, dtype=np.float32)[rng.integers(0, 3, 12)],
    "answers": rng.integers(0, 2, (12, 3)),
    "values": rng.normal(size=(12, 3)),
    "value": rng.normal(size=12),
}


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("loss", [loss() for loss in LOSSES if loss.kind != "dice"], ids=lambda loss: loss.kind)
@pytest.mark.parametrize(
    "metric", [TopK(k=2), *(metric() for metric in METRICS if metric is not TopK)], ids=lambda m: m.kind
)
def test_every_pairing_is_a_number_or_a_sentence(metric, loss, target, outputs):
    """A metric on a head either judges its targets, or is refused before it sees one."""
    head, labels = Head((outputs,), loss), TARGETS[target]
    kind = loss.kind_of((outputs,), labels.shape[1:], np.issubdtype(labels.dtype, np.integer))
    if kind is None:
        return
    try:
        check_pairing(metric, head, "logits", kind)
    except SpecError:
        return
    check_pairing(metric, head, "logits")  # what may be judged is not refused before the data are read
    largest = 9 if kind is TargetKind.VALUES or outputs > 1 else 1  # others do not come this far
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        seen = np.minimum(np.abs(labels).round(), largest)
        assert _stream(metric, rng.random((12, outputs)), seen, 5, loss) is not None


def test_a_pairing_is_refused_in_words():
    with pytest.raises(SpecError, match=r"accuracy judges classes or .* but age \(mean_squared, one output\) predicts"):
        check_pairing(Accuracy(), Head((1,), MeanSquared()), "age")
    with pytest.raises(SpecError, match=r"expected k below the number of classes, 5, found 5"):
        check_pairing(TopK(k=5), Head((5,), SoftmaxCrossEntropy()), "logits")
    with pytest.raises(SpecError, match="expected macro, micro or weighted for 5 outputs, found binary"):
        check_pairing(F1(average="binary"), Head((5,), SoftmaxCrossEntropy()), "logits")


@pytest.mark.parametrize("metric", [Accuracy(), MeanAbsoluteError()], ids=lambda m: m.kind)
def test_shapes_that_do_not_fit_are_named(metric):
    head = Head((3,), SoftmaxCrossEntropy() if metric.kind == "accuracy" else MeanSquared())
    with pytest.raises(DataError, match=r"got \[4, 2\] for predictions \[4, 3\]"):
        metric.add(metric.start(head), np.zeros((4, 3)), np.zeros((4, 2)), head)
