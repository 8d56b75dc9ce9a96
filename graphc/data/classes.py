"""Classes by name: the one way in which folders, lists, COCO files and arrays name, order and match them.

A class's name is text. Whole numbers are names too: `1.0` among whole numbers is `1`, `007` stays `007`. Classes are
in the order of their names; where all are whole numbers, in the order of the numbers; and where all of these lie
below the number of classes that the network tells apart, each number is its own index.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from graphc.data.examples import BOX_LABEL, LABEL, Examples
from graphc.data.target_kind import TargetKind
from graphc.data.wanted import Want, Wanted
from graphc.errors import DataError, Place, did_you_mean
from graphc.files import LONGEST_NAME, composed, shown
from graphc.types import Array

WHOLE = re.compile(r"0|-?[1-9]\d{0,17}", re.ASCII)
RESPELLED = re.compile(rf"(?:-(?=0))?({WHOLE.pattern})(?:\.0*)?", re.ASCII)
"""Whole numbers as text, of as many digits as fit into 64 bits; what is longer is a name like others."""
NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
TRUTH = ("false", "true")
SEPARATORS = ("|", ",", ";", " ")
LISTED = 10
"""Class names that an error lists."""


def class_text(value: Any) -> str:
    """The name that a value of a list or an array gives a class."""
    if isinstance(value, (bool, np.bool_)):
        return TRUTH[int(value)]
    if isinstance(value, (float, np.floating)) and math.isfinite(value) and value == int(value):
        return str(int(value))
    return shown(composed(str(value).strip()))


def class_texts(values: Iterable[Any]) -> list[str]:
    """The names that many values give; those of texts that are alike are one object."""
    known: dict[str, str] = {}
    found = []
    for value in values:
        if not isinstance(value, str):
            found.append(class_text(value))
            continue
        text = known.get(value)
        if text is None:
            text = known[value] = class_text(value)
        found.append(text)
    return found


def ordered(names: Iterable[str]) -> tuple[str, ...]:
    """Class names in their order."""
    different = set(names)
    return tuple(sorted(different, key=int) if all(map(WHOLE.fullmatch, different)) else sorted(different))


def class_names(labels: Iterable[str], classes: int | None, refuse: Callable[[str, str], DataError]) -> tuple[str, ...]:
    """The classes that labels name, in order; `classes`: how many the network tells apart.

    What looks like a number to be predicted, or like one class spelled in two ways, is an error: `refuse` makes it of
    a sentence and the name.
    """
    names = set(labels)
    spelled = {_spelled(name) for name in names}
    if spelled <= {*TRUTH}:
        return TRUTH if names else ()
    if all(map(WHOLE.fullmatch, spelled)):
        names = spelled
        if classes is not None and all(0 <= int(name) < classes for name in names):
            return tuple(map(str, range(classes)))
    if (fraction := next((name for name in sorted(names) if _is_fraction(name)), None)) is not None:
        raise refuse(
            f"expected the names of classes, found {fraction!r}: a loss such as mean_squared predicts numbers; "
            "`classes` lists names that look like numbers",
            fraction,
        )
    if (twins := look_alikes(names)) is not None:
        raise refuse(
            f"{refused_alike(*twins)}; `classes` lists names that are meant to",
            twins[1],
        )
    if (joined := _joined(names)) is not None:
        raise refuse(
            f"expected one class an example, found {joined!r}, which is several: `label_separator` takes them apart; "
            "`classes` lists names that are meant to be so",
            joined,
        )
    return ordered(names)


def _joined(names: set[str]) -> str | None:
    """A name that is put together from others."""
    for name in sorted(names):
        for sign in SEPARATORS:
            parts = [part.strip() for part in name.split(sign)]
            if len(parts) > 1 and names.issuperset(parts):
                return name
    return None


def look_alikes(names: Iterable[str]) -> tuple[str, str] | None:
    """Two names that look alike."""
    seen: dict[str, str] = {}
    for name in sorted(names):
        twin = seen.setdefault(looks(name), name)
        if twin != name:
            return twin, name
    return None


def looks(name: str) -> str:
    """A name without what eyes overlook: case, how spaces and accents are written, characters without a shape; a name
    that is too long to be read whole is as it is."""
    if len(name) > LONGEST_NAME:
        return name
    shapes = "".join(sign for sign in unicodedata.normalize("NFKC", name) if unicodedata.category(sign) != "Cf")
    return " ".join(shapes.casefold().split())


def refused_alike(a: str, b: str) -> str:
    """The sentence for two names that look alike: what they differ in, and both so that one sees it."""
    quoted = ascii
    if a.casefold() == b.casefold():
        what, quoted = "case", repr
    elif composed(a) == composed(b):
        what = "how their accents are written (NFC and NFD)"
    elif a.casefold().split() == b.casefold().split():
        what = "spaces"
    else:
        what = "characters that look the same"
    return f"expected class names that differ in more than {what}, found {quoted(a)} and {quoted(b)}"


class ClassIndex:
    """The index of each class by its name."""

    def __init__(self, names: Sequence[str], numbered: bool = False) -> None:
        """`numbered`: where no name is a number, whole numbers count the classes from 0."""
        self.names = tuple(names)
        self._exact = {composed(name): number for number, name in enumerate(names)}
        spelled: dict[str, list[int]] = {}
        for name, number in self._exact.items():
            spelled.setdefault(_spelled(name), []).append(number)
        self._spelled = {name: numbers[0] for name, numbers in spelled.items() if len(numbers) == 1}
        self._numbered = numbered and not any(map(NUMBER.fullmatch, names))

    def get(self, name: str) -> int | None:
        """The class of this name: as it is written, else `1.0` as `1` and `True` as `true`."""
        found = self._exact.get(name)
        if found is None:
            found = self._spelled.get(_spelled(name))
        if found is None and self._numbered and WHOLE.fullmatch(_spelled(name)) and len(name) < 10:
            number = int(_spelled(name))
            found = number if 0 <= number < len(self.names) else None
        return found

    def unknown(self, name: str, expected: str = "a class") -> str:
        """The sentence for a name that is none of the classes."""
        more = f" … ({len(self.names)} in all)" if len(self.names) > LISTED else ""
        known = ", ".join(self.names[:LISTED]) + more
        return f"expected {expected} ({known}), found {name[:60]!r}{did_you_mean(name, self.names)}"


def labeled_alike(examples: Examples, classes: Mapping[str, Sequence[str]]) -> Examples:
    """The examples with their labels counted as in the training set, by the names of its classes."""
    shared = tuple(classes.get(LABEL) or classes.get(BOX_LABEL) or ())
    if shared:
        counted = _counted(examples, [LABEL, BOX_LABEL], examples.classes, shared)
        examples = replace(examples, targets=counted, classes=examples.classes and shared)
    for target, own in examples.target_classes.items():
        if wanted := tuple(classes.get(target, ())):
            counted = _counted(examples, [target], own, wanted)
            names = {**examples.target_classes, target: wanted}
            examples = replace(examples, targets=counted, target_classes=names)
    return examples


def typed_alike(examples: Examples, wanted: Wanted) -> Examples:
    """Labels of arrays and folders as the losses want them: indices of the training set's classes, or values."""
    for target, want in (wanted.targets or {}).items():
        if isinstance(labels := examples.targets.get(target), np.ndarray):
            _refuse_nameless(examples, target, want)
            typed = _as_values(examples, target) if want.of_values and want.outputs == 1 else _as_indices(labels, want)
            examples = replace(examples, targets={**examples.targets, target: typed})
    return labeled_alike(examples, wanted.classes)


def _as_values(examples: Examples, target: str) -> Array:
    """The numbers that classes are named by, where a loss predicts numbers; an error where names are none."""
    labels, names = examples.targets[target], examples.classes_of(target)
    if not names or labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        return np.asarray(labels)
    if (name := next((name for name in names if not NUMBER.fullmatch(name)), None)) is not None:
        message = f"{target}: the loss predicts numbers, found the class {name!r}"
        raise DataError("G405", message, Place(examples.source), notes=["a loss of classes: softmax_cross_entropy"])
    return np.array([float(name) for name in names])[labels]


def _refuse_nameless(examples: Examples, target: str, want: Want) -> None:
    """Labels of arrays beyond the names of their classes are an error, where these are to be learned."""
    labels, names = examples.targets[target], examples.classes_of(target)
    if not names or want.shape is None or TargetKind.CLASS not in want.kinds:
        return
    if not np.issubdtype(labels.dtype, np.integer):
        return
    wrong = (labels >= len(names)) & (labels != (-1 if want.ignore is None else want.ignore))
    if labels.ndim == 1 and wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        message = f"{target}: expected the index of one of {len(names)} classes, found {labels[row]} at example {row}"
        raise DataError("G405", message, Place(examples.source), notes=["`classes` names all"])


def _as_indices(labels: Array, want: Want) -> Array:
    """Whole numbers and truth values as indices of classes, where the loss takes such."""
    if labels.ndim == 2 and labels.shape[1] == 1 and len(want.shape or ()) == 1 and (want.outputs or 1) > 1:
        labels = labels[:, 0]  # a column
    scalar = labels.ndim == 1 if want.shape is None else labels.shape[1:] == want.shape[:-1]
    if not scalar or TargetKind.CLASS not in want.kinds:
        return labels
    if labels.dtype == bool:
        return labels.astype(np.int64)
    whole = np.issubdtype(labels.dtype, np.floating) and np.isfinite(labels).all() and (labels == labels.round()).all()
    return labels.astype(np.int64) if whole else labels


def _counted(
    examples: Examples, targets: Sequence[str], own: Sequence[str], classes: tuple[str, ...]
) -> dict[str, Any]:
    """The targets, of which these count the names of `classes` instead of their own."""
    found = dict(examples.targets)
    there = [name for name in targets if name in found]
    if tuple(own) == classes or not there:
        return found
    if not own:
        _refuse_numbers_for_names(classes, there, examples)
        return found
    known = ClassIndex(classes)
    numbers = np.array([-1 if (n := known.get(name)) is None else n for name in own])
    for name in there:
        labels = found[name]
        if np.issubdtype(labels.dtype, np.integer):
            used = np.unique(labels)
            if (lost := next((n for n in used.tolist() if 0 <= n < len(own) and numbers[n] < 0), None)) is not None:
                message = known.unknown(own[lost], "the training set's classes")
                raise DataError("G405", message, Place(examples.source))
            found[name] = _renumbered(labels, numbers)
        elif labels.ndim == 2 and labels.shape[1] == len(own):
            found[name] = _reordered(labels, numbers, own, known, examples.source)
    return found


def _renumbered(labels: Array, numbers: Array) -> Array:
    """Labels in other numbers; what is no class (-1: none) stays."""
    known = (labels >= 0) & (labels < len(numbers))
    found: Array = np.where(known, numbers[np.where(known, labels, 0).astype(np.intp)], labels).astype(labels.dtype)
    return found


def _reordered(labels: Array, numbers: Array, own: Sequence[str], known: ClassIndex, source: str) -> Array:
    """One column a class in the order of other classes; those that do not occur here are 0."""
    if (lost := next((n for n in np.flatnonzero(numbers < 0).tolist() if labels[:, n].any()), None)) is not None:
        raise DataError("G405", known.unknown(own[lost], "the training set's classes"), Place(source))
    found = np.zeros((len(labels), len(known.names)), labels.dtype)
    found[:, numbers[numbers >= 0]] = labels[:, numbers >= 0]
    return found


def _refuse_numbers_for_names(classes: Sequence[str], targets: Sequence[str], examples: Examples) -> None:
    """Labels that are numbers without names count the training set's classes, unless its names are other numbers."""
    counted = [str(number) for number in range(len(classes))]
    whole = [name for name in targets if np.issubdtype(examples.targets[name].dtype, np.integer)]
    if whole and list(classes) != counted and any(map(NUMBER.fullmatch, classes)):
        message = (
            f"{whole[0]} is numbers without names, and the training set's classes are named by other numbers "
            f"({', '.join(classes[:LISTED])}): say with `classes` which number stands for which name"
        )
        raise DataError("G405", message, Place(examples.source))


def _spelled(name: str) -> str:
    """`1.0` as `1`, `-0` as `0`, `True` as `true`: ways to write one name."""
    if (whole := RESPELLED.fullmatch(name)) is not None:
        return whole[1]
    return name.lower() if name.lower() in TRUTH else name


def _is_fraction(name: str) -> bool:
    """Whether it is a number that counts nothing: 0.5, but neither 1.0 nor 007."""
    return NUMBER.fullmatch(name) is not None and not float(name).is_integer()
