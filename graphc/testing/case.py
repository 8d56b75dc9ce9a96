"""A layer with the shapes that it reads, and arrays for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graphc.dims import is_spatial
from graphc.errors import Place
from graphc.graph import GraphInput, LayerGraph, Node, Plan
from graphc.layers.base import Layer
from graphc.passes.plan import plan
from graphc.types import Array

HERE = Place("case.yaml", 1, 1)


@dataclass(frozen=True)
class Case:
    """A layer and the shapes that it reads (one example's, channels last, no batch)."""

    layer: Layer
    input_shapes: tuple[tuple[int, ...], ...]
    id: str = ""
    """Told from the layer's arguments where left out."""
    reach: str = "exact"
    """How near `reach` is to what an output depends on: `exact`; `inside`, exact where all of it lies inside the
    image (at the rim a dilated window's first pixel need not be the image's); `within`, never less; `any`, not told."""
    positive: bool = False
    """Whether its inputs are numbers from 0.5 on: divisors, what has a root."""

    def __str__(self) -> str:
        if self.id:
            return f"{self.layer.kind}-{self.id}"
        arguments = ",".join(f"{key}={value}" for key, value in self.layer.model_dump(exclude_defaults=True).items())
        shapes = "+".join("x".join(map(str, shape)) for shape in self.input_shapes)
        return f"{self.layer.kind}({arguments})[{shapes}]".replace(" ", "")

    @property
    def has_reach(self) -> bool:
        """Whether it goes from images to an image (or volumes, or sequences), so that `reach` says something."""
        shapes = (*self.input_shapes, self.layer.infer_shape(*self.input_shapes))
        return self.reach != "any" and is_spatial(shapes[0]) and len({len(shape) for shape in shapes}) == 1


def random_inputs(case: Case, batch: int, rng: np.random.Generator, dtype: str = "float64") -> list[Array]:
    """An array [batch, …] for each input, normally distributed."""
    drawn = [rng.standard_normal((batch, *shape)).astype(dtype) for shape in case.input_shapes]
    return [np.abs(x) + x.dtype.type(0.5) for x in drawn] if case.positive else drawn


def initial_params(case: Case, rng: np.random.Generator, dtype: str = "float64") -> dict[str, Array]:
    """Random values, whatever the initializers say, each in its variable's shape; variances are positive."""
    values = {}
    for name, spec in case.layer.declare_params(*case.input_shapes).items():
        drawn = rng.uniform(0.5, 1.5, spec.shape) if "variance" in name else rng.standard_normal(spec.shape) * 0.5
        values[name] = drawn.astype(dtype)
    return values


def one_layer_plan(case: Case) -> Plan:
    """The network of this layer: inputs x0, x1, …, the layer `layer`, the output y."""
    inputs = tuple(GraphInput(f"x{i}", shape, HERE) for i, shape in enumerate(case.input_shapes))
    node = Node("layer", case.layer, tuple(each.name for each in inputs), HERE, "layer")
    return plan(LayerGraph("net", "N", inputs, (node,), {"y": "layer"}, {}))
