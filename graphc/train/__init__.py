"""Fitting the weights of a plan: the network, losses, optimizers, the loop. Variables, gradients and slots have the
dtype of the recipe, float32 or float64; sums of losses are kept in float64."""
