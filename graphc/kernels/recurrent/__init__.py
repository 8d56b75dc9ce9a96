"""Recurrent cells over all steps of a sequence, and their way back.

Arrays are time first, [L, N, …], so that a step's are contiguous. The inputs' product with the weights is one for all
steps, and so are the gradients of weights and inputs; a step itself has one product with the recurrent weights for all
gates, and one tanh over all of them: sigmoid(x) is tanh(x/2)/2 + 1/2.
"""

from graphc.kernels.recurrent.cell import CellGradients, CellParams, CellStep
from graphc.kernels.recurrent.gru import gru
from graphc.kernels.recurrent.lstm import lstm

__all__ = ["CellGradients", "CellParams", "CellStep", "gru", "lstm"]
