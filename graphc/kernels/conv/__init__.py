"""Convolution of images: the problem, the algorithms for it, and the choice between them."""

from __future__ import annotations

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
from graphc.kernels.conv.problem import ConvPart, ConvProblem
from graphc.kernels.conv.ranks import AnyConvProblem, problem_of

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
