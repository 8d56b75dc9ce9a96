"""Convolution of images: the problem, the algorithms for it, and the choice between them.

A layer states its problem when a net is planned. Algorithms are imported when one is chosen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphc.kernels.conv.problem import ConvPart, ConvProblem
from graphc.kernels.conv.ranks import AnyConvProblem, problem_of
from graphc.lazy import loaded_from

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

MODULES = {
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

__getattr__ = loaded_from({name: f"{__name__}.{module}" for module, names in MODULES.items() for name in names})

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
