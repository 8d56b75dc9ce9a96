"""Rows of the contract test: a module a family, each with a list `CASES`, and for kinds with arguments worth
drawing at random a dictionary `SAMPLERS`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from graphc.layers.base import Layer


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


Sampler = Callable[[Random], Case]


def all_cases() -> list[Case]:
    """The rows of every module beside this one."""
    return [case for module in _modules() for case in module.CASES]


def all_samplers() -> dict[str, Sampler]:
    """kind -> a function that draws one random row of it."""
    return {kind: draw for module in _modules() for kind, draw in getattr(module, "SAMPLERS", {}).items()}


def _modules():
    return [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
