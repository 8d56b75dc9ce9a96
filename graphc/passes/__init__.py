"""Walks over the graph. A pass asks each layer its rule; it never asks what kind the layer is."""
