"""All algorithms for convolutions, the first that supports a problem and pays is taken."""

from __future__ import annotations

from graphc.kernels.conv.algorithm import ConvAlgorithm
from graphc.kernels.conv.depthwise import Depthwise
from graphc.kernels.conv.depthwise_rows import DepthwiseRows
from graphc.kernels.conv.few_channels import FewChannels
from graphc.kernels.conv.fourier import Fourier
from graphc.kernels.conv.pointwise import Pointwise
from graphc.kernels.conv.unfolded import Unfolded
from graphc.kernels.conv.winograd_1d import Winograd1d
from graphc.kernels.conv.winograd_2d import Winograd2d

ALGORITHMS: tuple[ConvAlgorithm, ...] = (
    Fourier(),
    FewChannels(),
    Winograd2d(),
    Winograd1d(),
    DepthwiseRows(),
    Depthwise(),
    Pointwise(),
    Unfolded(),  # supports and pays for everything
)
