"""Classes by name: how they are ordered, spelled and matched, between sets and between kinds of sources."""

from __future__ import annotations

import random

import numpy as np
import pytest

from graphc.data.classes import ClassIndex, class_names, class_text, labeled_alike, ordered, typed_alike
from graphc.data.examples import Examples
from graphc.data.target_kind import TargetKind
from graphc.data.wanted import Want, Wanted
from graphc.errors import DataError


def _refuse(message, name):
    return DataError("G405", message)


def _examples(labels, classes=(), **others):
    return Examples(
        {"image": np.zeros((len(labels), 2))}, {"label": np.array(labels), **others}, tuple(classes), "here"
    )


@pytest.mark.parametrize(
    ("value", "name"),
    [(3, "3"), (3.0, "3"), (np.int64(3), "3"), ("007", "007"), (" a ", "a"), (True, "true"), (False, "false"),
     (0.5, "0.5"), ("e\u0301", "é"), ("3.0", "3.0")],
)  # fmt: skip
def test_the_name_of_a_value(value, name):
    assert class_text(value) == name


@pytest.mark.parametrize(
    ("labels", "classes", "names"),
    [
        (["b", "a", "b"], 2, ["a", "b"]),
        (["2", "10", "1"], None, ["1", "2", "10"]),
        (["2", "10", "x"], None, ["10", "2", "x"]),
        (["10", "2", "007"], 3, ["007", "10", "2"]),
        (["0", "2"], 4, ["0", "1", "2", "3"]),
        (["1", "2", "3"], 3, ["1", "2", "3"]),
        (["0.0", "1.0", "2"], 3, ["0", "1", "2"]),
        (["-1", "1"], 2, ["-1", "1"]),
        (["-0", "0", "-0.0", "3"], None, ["0", "3"]),
        (["1"], 2, ["0", "1"]),
        (["True"], 2, ["false", "true"]),
        (["FALSE", "true"], 9, ["false", "true"]),
        (["1e3", "x"], 2, ["1e3", "x"]),
        ([], 3, []),
    ],
)
def test_classes_that_labels_name(labels, classes, names):
    random.Random(1).shuffle(labels)
    assert class_names(labels, classes, _refuse) == tuple(names) or not labels
    assert ordered(names) == tuple(names)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["0.5", "1"], "found '0.5': a loss such as mean_squared predicts numbers"),
        (["3.14", "x"], "found '3.14'"),
        (["Dog", "cat", "dog"], "differ in more than case, found 'Dog' and 'dog'"),
        (["cat", "cat dog", "dog"], "found 'cat dog', which is several"),
        (["a", "b", "a|b"], "label_separator"),
    ],
)
def test_labels_that_are_no_names_of_classes(labels, words):
    with pytest.raises(DataError, match=words):
        class_names(labels, None, _refuse)


@pytest.mark.parametrize(
    ("names", "numbered", "found"),
    [
        (["10", "20"], False, {"10": 0, "20.0": 1, "0": None, "1": None}),
        (["10", "20"], True, {"10": 0, "0": None, "1": None}),  # a number is the name that it is, never an index
        (["cat", "dog"], True, {"dog": 1, "0": 0, "1.0": 1, "2": None, "-1": None}),
        (["cat", "dog"], False, {"0": None, "Cat": None}),
        (["false", "true"], False, {"True": 1, "FALSE": 0}),
        (["1.0", "1"], False, {"1.0": 0, "1": 1}),
        (["007", "7"], False, {"007": 0, "7": 1, "7.0": 1, "07": None}),
        (["é"], False, {"é": 0}),
    ],
)
def test_names_find_their_class(names, numbered, found):
    index = ClassIndex(names, numbered)
    assert {name: index.get(class_text(name)) for name in found} == found


@pytest.mark.parametrize("seed", range(10))
def test_sets_are_counted_alike_whatever_their_order(seed):
    rng = np.random.default_rng(seed)
    training = [["10", "2", "007", "1"], ["cat", "dog", "eel", "fox"]][seed % 2]
    names = [training[n] for n in rng.permutation(4)]
    labels, boxes = rng.integers(0, 4, 20), rng.integers(-1, 4, (20, 3))
    found = labeled_alike(_examples(labels, names, box_label=boxes), {"label": training})
    assert found.classes == tuple(training)
    assert [training[n] for n in found.targets["label"]] == [names[n] for n in labels]
    for row in range(20):
        assert [n if n < 0 else training[n] for n in found.targets["box_label"][row]] == [
            n if n < 0 else names[n] for n in boxes[row]
        ]


def test_only_classes_that_occur_must_be_known():
    assert labeled_alike(_examples([1, 1], ["x", "b"]), {"label": ["a", "b"]}).targets["label"].tolist() == [1, 1]
    with pytest.raises(DataError, match=r"training set's classes \(cat, dog\), found 'dgo' \(did you mean 'dog'\?\)"):
        labeled_alike(_examples([0, 1], ["cat", "dgo"]), {"label": ["cat", "dog"]})


def test_columns_of_several_labels_are_put_in_order():
    found = labeled_alike(_examples([[1.0, 0], [1, 1]], ["b", "a"]), {"label": ["a", "b", "c"]})
    assert found.targets["label"].tolist() == [[0, 1, 0], [1, 1, 0]]
    with pytest.raises(DataError, match="found 'x'"):
        labeled_alike(_examples([[1.0, 0]], ["x", "a"]), {"label": ["a", "b"]})
    assert labeled_alike(_examples([[0.0, 1]], ["x", "a"]), {"label": ["a"]}).targets["label"].tolist() == [[1]]


def test_numbers_without_names_are_not_guessed_to_be_names():
    labels = _examples([0, 1, 2])
    for training in (["cat", "dog", "eel"], ["0", "1", "2"]):
        assert labeled_alike(labels, {"label": training}).targets["label"].tolist() == [0, 1, 2]
    for training in (["10", "20", "30"], ["0", "1", "10"], ["1", "2", "3"]):
        with pytest.raises(DataError, match="say with `classes` which number stands for which name"):
            labeled_alike(labels, {"label": training})


CLASS, VALUES = frozenset({TargetKind.CLASS}), frozenset({TargetKind.VALUES})


@pytest.mark.parametrize("dtype", [np.float16, np.float64, bool, np.int64])
def test_whole_numbers_of_any_type_are_classes(dtype):
    found = typed_alike(_examples(np.array([0, 1, 1]).astype(dtype)), Wanted({"label": Want(CLASS, (2,))}))
    assert found.targets["label"].dtype == np.int64
    assert found.targets["label"].tolist() == [0, 1, 1]


def test_what_is_no_class_stays_to_be_refused():
    found = typed_alike(_examples([0.0, 0.5]), Wanted({"label": Want(CLASS, (2,))}))
    assert found.targets["label"].tolist() == [0, 0.5]


def test_names_that_are_numbers_are_values_for_a_loss_of_values():
    ages = _examples([0, 2, 1], ["18", "25", "9.5"])
    assert typed_alike(ages, Wanted({"label": Want(VALUES, (1,))})).targets["label"].tolist() == [18, 9.5, 25]
    with pytest.raises(DataError, match="label: the loss predicts numbers, found the class 'cat'"):
        typed_alike(_examples([0, 0], ["cat", "dog"]), Wanted({"label": Want(VALUES, (1,))}))
    plain = _examples([5, 7])
    assert typed_alike(plain, Wanted({"label": Want(VALUES, (1,))})).targets["label"].tolist() == [5, 7]


def test_a_name_comes_once():
    with pytest.raises(DataError, match="each name once, found 'a' twice"):
        _examples([0, 1], ["a", "a"])
