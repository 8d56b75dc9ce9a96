"""The net that the importer builds: layers one after the other, each a kind with its arguments and variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from graphc.layers import CATALOGUE
from graphc.layers.base import Layer
from graphc.types import Array

if TYPE_CHECKING:
    from graphc.importers.views import View

IMAGE_AXES, VECTOR_AXES, SEQUENCE_AXES = "nchw", "nc", "ncl"
LETTERS = {1: "c", 2: "lc", 3: "hwc", 4: "dhwc", 5: "zdhwc", 6: "yzdhwc"}
"""What the axes of one example's shape are called, by its rank."""


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor of the file in terms of layers."""

    source: str
    """The layer, or the input, that gives it."""
    shape: tuple[int, ...]
    """One example's, channels last, as layers have it."""
    axes: str
    """What the tensor's axes are: nchw, nhwc or another order of an image's; nc of a vector; n is the batch."""
    flat: tuple[int, ...] | None = None
    """Of a flattened image H W C (or a sequence or volume) whose numbers lie in the order C H W in the tensor: its
    shape."""
    view: View | None = None
    """Of a tensor whose axes are not the layer's axes: how its numbers lie. `axes` has dots then."""


@dataclass(slots=True)
class FlatLayer:
    """One layer."""

    name: str
    kind: str
    arguments: dict[str, Any]
    inputs: tuple[str, ...]
    params: dict[str, Array]
    shape: tuple[int, ...]
    node: str = ""
    """What the file calls its node."""
    normalizer: FlatLayer | None = None
    activation: FlatLayer | None = None

    @property
    def layer_class(self) -> type[Layer]:
        return CATALOGUE[self.kind]

    @property
    def parts(self) -> tuple[FlatLayer, ...]:
        """The layer and what follows it, in order."""
        return tuple(each for each in (self, self.normalizer, self.activation) if each is not None)


@dataclass(slots=True)
class FlatNet:
    """Layers in topological order."""

    name: str
    inputs: dict[str, tuple[int | str, ...]]
    """Input -> its shape with the batch, channels last, as a spec says it."""
    layers: list[FlatLayer]
    outputs: dict[str, str]
    """Output -> layer."""
    notes: list[str] = field(default_factory=list)
    """What a reader of the spec should know."""

    def readers(self) -> dict[str, list[FlatLayer]]:
        """Value -> the layers that read it, once for each time."""
        found: dict[str, list[FlatLayer]] = {}
        for layer in self.layers:
            for name in layer.inputs:
                found.setdefault(name, []).append(layer)
        return found

    def without(self, instead: Mapping[str, str]) -> None:
        """Remove layers; whoever reads one of them reads what stands for it."""

        def final(name: str) -> str:
            while name in instead:
                name = instead[name]
            return name

        self.layers = [layer for layer in self.layers if layer.name not in instead]
        for layer in self.layers:
            layer.inputs = tuple(map(final, layer.inputs))
        self.outputs = {name: final(source) for name, source in self.outputs.items()}
