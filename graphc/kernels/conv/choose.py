"""Which algorithm computes a convolution, and why.

`ALGORITHMS` is the table, from the most special to the one for all. Every one says for itself what it supports and
where it pays: the figures behind that are in benchmarks/README.md.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import NamedTuple

from graphc.errors import SpecError, did_you_mean
from graphc.kernels.conv.algorithm import ConvAlgorithm
from graphc.kernels.conv.algorithms import ALGORITHMS
from graphc.kernels.conv.problem import REMEMBERED, ConvProblem

FORCING = "GRAPHC_CONV_ALGORITHM"
"""The environment variable that names an algorithm for all problems that it supports."""


class ConvChoice(NamedTuple):
    """An algorithm, and a sentence that says why this one."""

    algorithm: ConvAlgorithm
    reason: str


def choose_conv_algorithm(problem: ConvProblem) -> ConvChoice:
    """The algorithm for a convolution and the gradient of its weights; that of the input is the same, or what is
    chosen for the `transposed` problem, where there is one."""
    return _choose(problem, os.environ.get(FORCING, ""))


def forced_algorithm() -> ConvAlgorithm | None:
    """What the environment variable names, if it is set.

    Raises SpecError (G190) where it names none.
    """
    name = os.environ.get(FORCING, "")
    return _named(name) if name else None


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
