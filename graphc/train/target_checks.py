"""Targets of a data set, checked against the losses that will read them."""

from __future__ import annotations

from typing import Any

from graphc.data.alphabet import PADDING
from graphc.data.examples import BOX_LABEL, NO_CLASS, Examples, first_wrong, of_crowds
from graphc.data.sample import BOXES, BOXES_THERE, POINTS_THERE
from graphc.data.stored import StoredMasks
from graphc.data.target_kind import TargetKind
from graphc.dims import format_shape
from graphc.errors import DataError, Place
from graphc.lazy import np
from graphc.train.losses import Ctc, Loss
from graphc.train.losses.ctc import steps_needed
from graphc.types import Array

SUM_TOLERANCE = 1e-3
"""How far from 1 the shares of a distribution may sum up."""


def check_target(
    loss: Loss,
    shape: tuple[int, ...],
    name: str,
    target: Any,
    examples: Examples,
    binary: bool,
    size: tuple[int, ...] = (),
) -> TargetKind:
    """What the targets of a head are (`shape`: of one prediction, `name`: of the head), or an error that names the
    first that the loss cannot take; `binary`: a metric judges them too, which takes no shares between 0 and 1;
    `size`: height and width of masks, where preprocessing changes these.

    Masks in files are looked at when they are read.
    """
    stored = isinstance(target, StoredMasks)
    found = (*size, *target.shape[1 + len(size) :])
    kind = loss.kind_of(shape, found, stored or np.issubdtype(target.dtype, np.integer))
    if kind is None:
        raise _misfit(loss, shape, name, target, found, examples)
    if stored:
        return kind
    if kind is TargetKind.VALUES:
        _refuse(target, ~np.isfinite(target), "targets that are numbers", examples)
    elif kind is TargetKind.DISTRIBUTION:
        _refuse(target, ~((target >= 0) & (target <= 1 + SUM_TOLERANCE)), "shares of classes from 0 to 1", examples)
        wrong = np.abs(target.sum(axis=-1) - 1) > SUM_TOLERANCE
        _refuse(target.sum(axis=-1), wrong, "shares of classes that sum up to 1", examples)
    elif kind is TargetKind.SEQUENCE:
        _check_sequences(loss, shape, target, examples)
    elif kind is TargetKind.CLASS and shape[-1] > 1:
        counted = _counted(target, loss)
        _refuse(target, (counted < 0) | (counted >= shape[-1]), f"labels from 0 to {shape[-1] - 1}", examples)
    else:
        counted = _counted(target, loss)
        _refuse(target, ~((counted >= 0) & (counted <= 1)), "targets from 0 to 1", examples)
        if binary:
            _refuse(target, (counted != 0) & (counted != 1), "targets of 0 or 1 (a metric judges them)", examples)
    return kind


def _check_sequences(loss: Loss, shape: tuple[int, ...], target: Array, examples: Examples) -> None:
    """Labels in order [N, S]: none that is no label, none behind the padding, none of more than the steps there are."""
    assert isinstance(loss, Ctc)
    steps, outputs = shape
    wrong = (target < PADDING) | (target >= outputs) | (target == loss.blank)
    _refuse(target, wrong, f"labels from 0 to {outputs - 1} other than the blank, {loss.blank}, or -1 behind", examples)
    ended = np.logical_or.accumulate(target == PADDING, axis=1)
    _refuse(target, ended & (target != PADDING), "-1 behind the last label only", examples)
    needed = steps_needed(target)
    if not loss.zero_infinity:
        fits = f"labels that need at most the {steps} steps of a prediction (one each, one more between equal ones)"
        _refuse(needed, needed > steps, fits, examples)


def check_boxes(examples: Examples, classes: int) -> None:
    """Boxes must be none or have an area, and a class below `classes`; the first that does not is named."""
    boxes = examples.targets[BOXES]
    if boxes.ndim not in (2, 3) or boxes.shape[-1] != 4:
        found = format_shape(boxes.shape[1:])
        raise DataError("G404", f"expected boxes of K×4 numbers an example, found {found}", Place(examples.source))
    boxes = boxes.reshape(len(boxes), -1, 4)
    there = examples.targets[BOXES_THERE].reshape(boxes.shape[:2]) > 0
    partly = ~np.isfinite(boxes).all(axis=-1) & ~np.isnan(boxes).all(axis=-1)
    _refuse_box(boxes, partly | (there & ~np.isfinite(boxes).all(axis=-1)), "four numbers (or none: NaN)", examples)
    empty = there & ~((boxes[..., 2:] > boxes[..., :2]).all(axis=-1))
    _refuse_box(boxes, empty, "left < right and top < bottom", examples)
    if not there.any():
        raise DataError("G405", "expected boxes, found none in any example", Place(examples.source))
    if BOX_LABEL in examples.targets and classes == 1:
        crowds = there & (examples.targets[BOX_LABEL].reshape(there.shape) < NO_CLASS)
        expected = "objects, which a detector of one class does not tell from crowds (`crowd: skip`)"
        _refuse_box(boxes, crowds, expected, examples)
    if classes > 1:
        labels = examples.targets[BOX_LABEL].reshape(there.shape)
        labels = np.where(labels < NO_CLASS, of_crowds(labels), labels)
        wrong = there & ((labels < 0) | (labels >= classes))
        _refuse(labels, wrong, f"classes of boxes from 0 to {classes - 1}", examples)


def _refuse_box(boxes: Array, wrong: Array, expected: str, examples: Examples) -> None:
    if not wrong.any():
        return
    row, number = (int(each[0]) for each in np.nonzero(wrong))
    box = ", ".join(f"{value:g}" for value in boxes[row, number].tolist())
    message = f"expected boxes of {expected}, found [{box}], box {number} of {examples.name(row)}"
    raise DataError("G405", f"{message} ({int(np.count_nonzero(wrong))} such boxes)", Place(examples.source))


def _counted(target: Array, loss: Loss) -> Array:
    """The targets with those that the loss ignores as class 0."""
    return target if loss.ignored is None else np.where(target == loss.ignored, 0, target)


def check_weights(weights: Array, name: str, source: str) -> None:
    """Weights of examples [N, ...] must be numbers from 0 on, and something has to count."""
    wrong = ~(np.isfinite(weights) & (np.asarray(weights) >= 0))
    if wrong.any():
        row, value = first_wrong(weights, wrong)
        message = f"expected weights from 0 on in {name}, found {value} at example {row}"
        raise DataError("G405", message, Place(source))
    if not np.any(weights):
        raise DataError("G405", f"expected a weight above 0 in {name}, found none: nothing counts", Place(source))


def check_inputs(examples: Examples, dtype: str) -> None:
    """Floating-point inputs in memory must be finite numbers, in `dtype` too; the first that is not is named."""
    for name, array in examples.inputs.items():
        if not isinstance(array, np.ndarray) or not np.issubdtype(array.dtype, np.floating):
            continue
        largest = np.finfo(dtype).max
        for start in range(0, len(array), 1024):  # a mapped file is not read whole
            some = array[start : start + 1024]
            wrong = ~(np.abs(some) <= largest)
            if wrong.any():
                row, value = first_wrong(some, wrong)
                found = f"{value} at example {start + row}"
                message = f"expected finite numbers ({dtype}) in {name}, found {found}"
                raise DataError("G405", message, Place(examples.source))


def _refuse(values: Array, wrong: Array, expected: str, examples: Examples) -> None:
    if not wrong.any():
        return
    row, value = first_wrong(values, wrong)
    name = examples.name(row)
    named = f"example {row}" if name == f"example {row}" else f"example {row} ({name})"
    count = int(np.count_nonzero(wrong))
    message = f"expected {expected}, found {value} at {named} ({count} such targets)"
    masks = values.ndim >= 3 and np.issubdtype(values.dtype, np.integer)
    notes = [f"say on the source what it means: `mask_values: {{{value}: 1}}`"] if masks else []
    if not np.isfinite(value) or value < 0:
        there = [name for name in (BOXES_THERE, POINTS_THERE) if name in examples.targets]
        notes += [f"`example_weights: {name}` leaves out what is not there" for name in there]
    raise DataError("G405", message, Place(examples.source), notes)


def _misfit(
    loss: Loss, shape: tuple[int, ...], name: str, target: Any, found: tuple[int, ...], examples: Examples
) -> DataError:
    if loss.target_kinds == {TargetKind.SEQUENCE}:
        expected = "labels in order, whole numbers N×S with -1 behind the last, or texts and an `alphabet` at the loss"
        what = f"{target.dtype}, {format_shape(target.shape)}"
        return DataError("G404", f"{name}: expected {expected}, found {what}", Place(examples.source))
    if found == shape[:-1] and TargetKind.CLASS in loss.kinds(shape):
        expected = f"labels that are whole numbers from 0 to {shape[-1] - 1}"
        if TargetKind.VALUES in loss.kinds(shape):
            expected = f"{format_shape(shape)} numbers an example, or {expected}"
        return DataError("G405", f"expected {expected}, found {target.dtype}", Place(examples.source))
    message = (
        f"{name} gives {format_shape(shape)} an example: expected targets of this shape or labels of "
        f"{format_shape(shape[:-1])}, found {format_shape(found)}"
    )
    return DataError("G404", message, Place(examples.source))
