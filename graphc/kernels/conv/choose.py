"""Which algorithm computes a convolution, and why.

`ALGORITHMS` is the table, from the most special to the one for all. Every one says for itself what it supports and
where it pays; the figures behind that are in the docstring of its module. The gradient of the weights goes by the
algorithm of the outputs. That of the input is a convolution itself, of other channels, where it can be: a choice of its
own.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import NamedTuple

from graphc.errors import SpecError, did_you_mean
from graphc.kernels.conv.algorithm import ConvAlgorithm
from graphc.kernels.conv.algorithms import ALGORITHMS
from graphc.kernels.conv.problem import REMEMBERED, ConvProblem
from graphc.kernels.conv.subpixel import subpixel_gradient

FORCING = "GRAPHC_CONV_ALGORITHM"
"""The environment variable that names an algorithm for all problems that it supports."""


MOST_PADDING = 9
"""Times as many pixels in x as in y, up to which dx is made as a convolution: of more pixels most read nothing but
zeros, and a product with the transposed filters, folded, takes less."""


class ConvChoice(NamedTuple):
    """An algorithm, and a sentence that says why this one."""

    algorithm: ConvAlgorithm
    reason: str


def choose_conv_algorithm(problem: ConvProblem) -> ConvChoice:
    """The algorithm for a convolution and the gradient of its weights.

    Raises SpecError (G190) where the environment variable names none.
    """
    return _choose(problem, os.environ.get(FORCING, ""))


def choose_input_gradient_algorithm(problem: ConvProblem, with_weights: bool = False) -> ConvChoice:
    """The algorithm for the gradient of the input, by itself or `with_weights`: then it may share their work.

    Where there is an `input_gradient_problem`, or a `subpixel_gradient`, it is the algorithm of that, and goes forward.
    """
    choice = choose_conv_algorithm(problem)
    if with_weights and choice.algorithm.shares_gradients:
        return ConvChoice(choice.algorithm, "shares the work with that of the weights")
    forward = input_gradient_problem(problem)
    if forward is not None:
        algorithm, reason = choose_conv_algorithm(forward)
        return ConvChoice(algorithm, f"as a convolution of {problem.filters} channels: {reason}")
    subpixel = subpixel_gradient(problem)
    if subpixel is None:
        return choice
    algorithm, reason = choose_conv_algorithm(subpixel.problem)
    pixels = "×".join(map(str, problem.geometry.stride))
    return ConvChoice(algorithm, f"as a convolution of stride 1 that makes {pixels} pixels at a time: {reason}")


@lru_cache(REMEMBERED)
def input_gradient_problem(problem: ConvProblem) -> ConvProblem | None:
    """The convolution that dx is made as: the `transposed` one, if there is one that is not mostly padding."""
    back = problem.transposed
    if back is None or math.prod(back.geometry.output) > MOST_PADDING * math.prod(problem.geometry.output):
        return None
    return back


def forced_algorithm() -> ConvAlgorithm | None:
    """What the environment variable names, if it is set.

    Raises SpecError (G190) where it names none.
    """
    name = os.environ.get(FORCING, "")
    return _named(name) if name else None


@contextmanager
def forcing(name: str) -> Iterator[None]:
    """Within it every convolution that the algorithm of this name takes is computed by it, in all threads."""
    before = os.environ.get(FORCING)
    os.environ[FORCING] = name
    try:
        yield
    finally:
        if before is None:
            del os.environ[FORCING]
        else:
            os.environ[FORCING] = before


@lru_cache(REMEMBERED)
def _choose(problem: ConvProblem, forced: str) -> ConvChoice:
    but = ""
    if forced:
        algorithm = _named(forced)
        verdict = algorithm.supports(problem)
        if verdict:
            return ConvChoice(algorithm, f"{FORCING} says so")
        but = f" ({FORCING}={forced} does not take it: {verdict.reason})"
    choices = ((each, each.pays(problem)) for each in ALGORITHMS if each.supports(problem))
    algorithm, verdict = next((each, verdict) for each, verdict in choices if verdict)
    return ConvChoice(algorithm, verdict.reason + but)


def _named(name: str) -> ConvAlgorithm:
    names = {each.name: each for each in ALGORITHMS}
    if name not in names:
        hint = did_you_mean(name, names, any_number=True)
        raise SpecError("G190", f"{FORCING}={name}: expected one of {', '.join(names)}{hint}")
    return names[name]
