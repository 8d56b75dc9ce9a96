"""The reach that a layer kind reports, against which outputs change where a pixel does."""

from __future__ import annotations

import math

import numpy as np

from graphc.kernels.context import RunContext
from graphc.receptive_field import Reach
from graphc.testing.case import Case, initial_params, random_inputs
from graphc.types import Array


def check_reach(case: Case) -> None:
    """Every pixel of each image is changed in turn, and seen from every output pixel."""
    for index in range(len(case.input_shapes)):
        seen = dependence(case, index)
        if case.layer.sees_nothing:
            assert not seen.any(), f"{case}: an output depends on input {index}, and sees_nothing is set"
            continue
        everything = case.layer.sees_all(*case.input_shapes)[index]
        expected = np.ones_like(seen) if everything else reported(case, seen.shape)
        beyond = np.argwhere(seen & ~expected)
        assert not len(beyond), f"{case}: output pixel and input pixel {beyond[0]} lie outside of `reach`"
        if case.reach == "exact":
            np.testing.assert_array_equal(hull(seen), expected, err_msg=f"{case}: `reach` says more")
        if case.reach == "inside":
            whole = unclipped(case, seen.shape)
            assert whole.any(), f"{case}: no output sees inside the image alone: take a larger one"
            np.testing.assert_array_equal(hull(seen) & whole, expected & whole, err_msg=f"{case}: `reach` says more")


def dependence(case: Case, index: int) -> Array:
    """[y, x, i, j]: whether output pixel (y, x) depends on pixel (i, j) of one input; one axis or three alike."""
    rng = np.random.default_rng(4)
    inputs = [np.abs(x) for x in random_inputs(case, 1, rng)]
    params = {name: np.abs(value) + 0.1 for name, value in initial_params(case, rng).items()}
    *sizes, channels = case.input_shapes[index]
    count = math.prod(sizes)
    changed = [np.repeat(x, count + 1, axis=0) for x in inputs]
    for number, pixel in enumerate(np.ndindex(*sizes)):
        changed[index][(number + 1, *pixel)] += rng.uniform(5, 10, channels)
    y = case.layer.forward(RunContext(), params, *changed).output
    differs = np.any(np.abs(y[1:] - y[:1]) > 1e-9, axis=-1)  # the same product can round differently elsewhere
    differs = differs.reshape(*sizes, *differs.shape[1:])
    return np.moveaxis(differs, range(len(sizes)), range(-len(sizes), 0))


def reported(case: Case, shape: tuple[int, ...]) -> Array:
    """The same [y, x, i, j], told by `reach`."""
    found = np.ones(shape, bool)
    for axis, reach, outputs, inputs in axes_of(case, shape):
        position = np.arange(inputs)
        mask = [(position >= reach.first(y)) & (position <= reach.last(y)) for y in range(outputs)]
        found &= along(np.array(mask), shape, axis)
    return found


def unclipped(case: Case, shape: tuple[int, ...]) -> Array:
    """[y, x, i, j]: whether all that an output sees lies inside the image."""
    found = np.ones(shape, bool)
    for axis, reach, outputs, inputs in axes_of(case, shape):
        inside = np.array([reach.first(y) >= 0 and reach.last(y) < inputs for y in range(outputs)])
        found &= along(inside[:, None], shape, axis)
    return found


def axes_of(case: Case, shape: tuple[int, ...]) -> list[tuple[int, Reach, int, int]]:
    """Each spatial axis with its reach, its outputs and its inputs, of an array [y, x, i, j]."""
    rank = len(shape) // 2
    reaches = case.layer.reach(*case.input_shapes)
    assert len(reaches) == rank, f"{case}: `reach` says {len(reaches)} axes of {rank}"
    return list(zip(range(rank), reaches, shape[:rank], shape[rank:], strict=True))


def along(mask: Array, shape: tuple[int, ...], axis: int) -> Array:
    """A mask [outputs, inputs] of one axis, to broadcast against [y, x, i, j]."""
    spread = [1] * len(shape)
    spread[axis], spread[len(shape) // 2 + axis] = mask.shape
    return mask.reshape(spread)


def hull(seen: Array) -> Array:
    """[y, x, i, j], each output's pixels filled up to the interval from first to last: dilated windows have holes."""
    rank = seen.ndim // 2
    filled = np.ones_like(seen)
    for axis in range(rank, 2 * rank):
        others = tuple(other for other in range(rank, 2 * rank) if other != axis)
        mask = seen.any(axis=others, keepdims=True)
        backward = np.flip(np.logical_or.accumulate(np.flip(mask, axis), axis=axis), axis)
        filled &= np.logical_or.accumulate(mask, axis=axis) & backward
    return filled
