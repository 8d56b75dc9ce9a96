"""Fitting the weights of a plan: the network, losses, optimizers, the loop."""
