"""Convolution of images: the problem, the algorithms for it, and the choice between them.

A layer states its problem when a net is planned. Algorithms are imported when one is chosen.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from graphc.kernels.conv.problem import ConvPart, ConvProblem
from graphc.kernels.conv.ranks import AnyConvProblem, problem_of

if TYPE_CHECKING:
    from graphc.kernels.conv.algorithm import BlockwiseConvAlgorithm, ConvAlgorithm, Verdict
    from graphc.kernels.conv.algorithms import ALGORITHMS
    from graphc.kernels.conv.choose import (
        FORCING,
        ConvChoice,
        choose_conv_algorithm,
        choose_input_gradient_algorithm,
        forced_algorithm,
    )
    from graphc.kernels.conv.operations import conv2d, conv2d_gradients, conv2d_input_gradient, conv2d_weight_gradient

HOMES = {
    "algorithm": ("BlockwiseConvAlgorithm", "ConvAlgorithm", "Verdict"),
    "algorithms": ("ALGORITHMS",),
    "choose": (
        "FORCING",
        "ConvChoice",
        "choose_conv_algorithm",
        "choose_input_gradient_algorithm",
        "forced_algorithm",
    ),
    "operations": ("conv2d", "conv2d_gradients", "conv2d_input_gradient", "conv2d_weight_gradient"),
}
"""Module -> what is imported from it when somebody asks."""

__all__ = [
    "ALGORITHMS",
    "FORCING",
    "AnyConvProblem",
    "BlockwiseConvAlgorithm",
    "ConvAlgorithm",
    "ConvChoice",
    "ConvPart",
    "ConvProblem",
    "Verdict",
    "choose_conv_algorithm",
    "choose_input_gradient_algorithm",
    "conv2d",
    "conv2d_gradients",
    "conv2d_input_gradient",
    "conv2d_weight_gradient",
    "forced_algorithm",
    "problem_of",
]


def __getattr__(name: str) -> Any:
    for module, names in HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(name)
