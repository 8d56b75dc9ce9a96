"""Batch norm's stored statistics as an oracle: images through the network say whether weights are where they belong.

Every checkpoint carries the mean and the variance of what its batch norms saw in training. Natural images, read as they
were then, give nearly the same: the median distance of a channel's mean is about 0.07 deviations. Images in another
range, layers that are exchanged, another side of padding or another epsilon move them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from graphc.dims import is_image
from graphc.errors import SpecError
from graphc.execution.network import evaluate
from graphc.graph import Plan, PlannedNode
from graphc.layers.base import Layer
from graphc.layers.protocols import CollectsStatistics
from graphc.passes.plan import plan as planned_graph
from graphc.types import Array

AT_ONCE = 4
"""Images of one forward pass."""
FITS = 0.15
"""Median distance up to which weights and images go together."""
CLEARLY = 0.8
"""Times the distance, below which another reading of the images, or another form of the network, is said to fit."""
OUTLIER = 8.0
"""Times the median distance, from which a single layer is said to be out of place."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How the bytes of an image become what a network reads: x*scale, then less the mean, over the deviation."""

    words: str
    scale: float
    mean: tuple[float, ...] = (0.0,)
    deviation: tuple[float, ...] = (1.0,)
    reversed: bool = False
    """Blue first."""

    def apply(self, images: Array) -> Array:
        """Images of bytes [N, H, W, C] as float32."""
        x = images[..., ::-1] if self.reversed else images
        found = (x * np.float32(self.scale) - np.array(self.mean, np.float32)) / np.array(self.deviation, np.float32)
        return found.astype(np.float32)


IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLIP = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
CAFFE = (123.68, 116.779, 103.939)
READINGS: Mapping[str, Reading] = {
    "imagenet": Reading("0 to 1, less ImageNet's mean, over its deviation (torchvision, timm)", 1 / 255, *IMAGENET),
    "symmetric": Reading("-1 to 1 (TF-Slim's Inceptions and MobileNets)", 2 / 255, (1.0,)),
    "clip": Reading("0 to 1, less CLIP's mean, over its deviation", 1 / 255, *CLIP),
    "unit": Reading("0 to 1 (a recipe's default here)", 1 / 255),
    "bytes": Reading("0 to 255", 1.0),
    "mean": Reading("0 to 255, less ImageNet's mean (TF-Slim's VGG and ResNet v1)", 1.0, CAFFE),
    "mean_bgr": Reading("0 to 255, blue first, less ImageNet's mean (Caffe)", 1.0, CAFFE[::-1], reversed=True),
}
"""The readings in which published weights were trained."""
COLORS = 3


def _padding(written: str, instead: str) -> Callable[[Layer], Layer]:
    def changed(layer: Layer) -> Layer:
        strided = max(getattr(layer, "stride", None) or (1,)) > 1
        return layer.model_copy(update={"padding": instead}) if strided and _of(layer, "padding") == written else layer

    return changed


def _epsilon(value: float) -> Callable[[Layer], Layer]:
    def changed(layer: Layer) -> Layer:
        other = isinstance(layer, CollectsStatistics) and _of(layer, "epsilon") != value
        return layer.model_copy(update={"epsilon": value}) if other else layer

    return changed


def _of(layer: Layer, argument: str) -> Any:
    return getattr(layer, argument, None)


FORMS: Mapping[str, Callable[[Layer], Layer]] = {
    "strided layers pad both sides (same_fixed), as PyTorch's do": _padding("same", "same_fixed"),
    "strided layers pad as TensorFlow's (same)": _padding("same_fixed", "same"),
    "epsilon of batch norm is 1e-5, as PyTorch's": _epsilon(1e-5),
    "epsilon of batch norm is 1e-3, as TensorFlow's": _epsilon(1e-3),
}
"""Forms of a network that take the same weights: words, and what becomes of a layer."""


@dataclass(frozen=True, slots=True)
class LayerDistance:
    """How far a batch norm's stored statistics are from those of the images."""

    name: str
    channels: int
    shift: float
    """Median over the channels of the means' distance, in stored deviations."""
    largest: float
    """The largest of them."""
    spread: float
    """Median over the channels of the images' variance over the stored one."""


@dataclass(frozen=True, slots=True)
class Check:
    """What images say of weights."""

    reading: str
    """A name of `READINGS`."""
    layers: tuple[LayerDistance, ...]
    by_reading: Mapping[str, float]
    """Reading -> median distance of all layers."""
    by_form: Mapping[str, float]
    """Form of `FORMS` -> the same, of those that differ from the network."""

    @property
    def shift(self) -> float:
        """The median distance of all layers."""
        return float(np.median([each.shift for each in self.layers]))

    def sentences(self, *, chosen: bool) -> list[str]:
        """The verdict in words; `chosen`: whether the reading was the user's choice."""
        best = min(self.by_reading, key=lambda name: self.by_reading[name])
        said = []
        if not chosen:
            said.append(f"the images fit best when they are read as {READINGS[self.reading].words}")
        elif self.by_reading[best] < CLEARLY * self.shift:
            said.append(
                f"wrong range or normalization: the images fit at {self.by_reading[best]:.2f} instead of "
                f"{self.shift:.2f} when they are read as {READINGS[best].words}"
            )
        form = min(self.by_form, key=lambda name: self.by_form[name], default=None)
        if form is not None and self.by_form[form] < CLEARLY * self.shift:
            said.append(f"another form of the network fits at {self.by_form[form]:.2f}: {form}")
        first = next((each for each in self.layers if each.shift > OUTLIER * max(self.shift, 0.05)), None)
        if first is not None:
            said.append(f"{first.name} is out of place, at {first.shift:.2f}: layers exchanged, or others' weights")
        fits = self.shift <= FITS and first is None
        wrong = first is not None or self.shift > 2 * FITS
        verdict = "they go together" if fits else "they do not go together" if wrong else "uncertain"
        return [*said, f"median distance {self.shift:.3f} deviations over {len(self.layers)} batch norms: {verdict}"]


def check_statistics(plan: Plan, params: Mapping[str, Array], images: Array, reading: str | None = None) -> Check:
    """Images of bytes [N, H, W, C] through the network, read as `reading` says or as they fit best, with each batch
    norm's input compared with its stored statistics. `params`: every variable, by full name.

    A SpecError where the network has no batch norm, or other inputs than one image.
    """
    norms = [each for each in plan.nodes if isinstance(each.node.layer, CollectsStatistics)]
    if not norms or len(plan.graph.inputs) != 1 or not is_image(plan.graph.inputs[0].shape):
        raise SpecError("G319", f"{plan.graph.name}: expected a network of one image with batch norm, found none")
    color = images.shape[-1] == COLORS
    readings = [name for name, each in READINGS.items() if color or (len(each.mean) == 1 and not each.reversed)]
    found = {name: _distances(plan, norms, params, READINGS[name].apply(images)) for name in readings}
    by_reading = {name: float(np.median([each.shift for each in layers])) for name, layers in found.items()}
    taken = reading or min(by_reading, key=lambda name: by_reading[name])
    by_form = dict(_forms(plan, params, READINGS[taken].apply(images), by_reading[taken]))
    return Check(taken, tuple(found[taken]), by_reading, by_form)


def _forms(plan: Plan, params: Mapping[str, Array], inputs: Array, shift: float) -> Iterator[tuple[str, float]]:
    """The median distance of other forms of the network, for images [N, H, W, C] as it reads them: of each, and of the
    best of them changed once more, where it is clearly better."""
    said, now = "", plan
    while True:
        found: dict[str, tuple[float, Plan]] = {}
        for words, change in FORMS.items():
            other = _changed(now, change)
            if other is not None and words not in said:
                norms = [each for each in other.nodes if isinstance(each.node.layer, CollectsStatistics)]
                layers = _distances(other, norms, params, inputs)
                found[words] = float(np.median([each.shift for each in layers])), other
        yield from ((f"{said}{words}", distance) for words, (distance, _) in found.items())
        best = min(found, key=lambda words: found[words][0], default=None)
        if best is None or found[best][0] > CLEARLY * shift:
            return
        shift, now = found[best]
        said = f"{said}{best}; "


def _changed(plan: Plan, change: Callable[[Layer], Layer]) -> Plan | None:
    """The plan with other layers; None where none is another, or it would have other shapes."""
    nodes = tuple(replace(each.node, layer=change(each.node.layer)) for each in plan.nodes)
    if all(new.layer is old.node.layer for new, old in zip(nodes, plan.nodes, strict=True)):
        return None
    try:
        other = planned_graph(replace(plan.graph, nodes=nodes))
    except SpecError:
        return None
    return (
        other
        if {n: s.shape for n, s in other.variables.items()} == {n: s.shape for n, s in plan.variables.items()}
        else None
    )


def _distances(
    plan: Plan, norms: Sequence[PlannedNode], params: Mapping[str, Array], inputs: Array
) -> list[LayerDistance]:
    """Of each batch norm, for images [N, H, W, C] as the network reads them."""
    return [
        _distance(each, plan.params_of(each.node, params), mean, variance)
        for each, (mean, variance) in zip(norms, _moments(plan, norms, params, inputs), strict=True)
    ]


def _moments(
    plan: Plan, norms: Sequence[PlannedNode], params: Mapping[str, Array], inputs: Array
) -> Iterator[tuple[Array, Array]]:
    """Mean and variance, [C] each, of what every batch norm reads."""
    given = plan.graph.inputs[0].name
    sources = [each.node.inputs[0] for each in norms]
    sums: dict[str, list[Any]] = {}
    for start in range(0, len(inputs), AT_ONCE):
        batch = {given: inputs[start : start + AT_ONCE]}
        values = {**batch, **evaluate(plan, params, batch, [name for name in sources if name != given])}
        for name in dict.fromkeys(sources):
            flat = values[name].reshape(-1, values[name].shape[-1]).astype(np.float64)
            count, total, squares = sums.get(name, [0, 0.0, 0.0])
            sums[name] = [count + len(flat), total + flat.sum(axis=0), squares + np.square(flat).sum(axis=0)]
    for name in sources:
        count, total, squares = sums[name]
        mean = total / count
        yield mean, np.maximum(squares / count - np.square(mean), 0)


def _distance(planned: PlannedNode, params: Mapping[str, Array], mean: Array, variance: Array) -> LayerDistance:
    stored = params["moving_variance"].astype(np.float64) + 1e-12
    shifts = np.abs(mean - params["moving_mean"]) / np.sqrt(stored)
    return LayerDistance(
        planned.node.name,
        len(shifts),
        float(np.median(shifts)),
        float(shifts.max()),
        float(np.median(variance / stored)),
    )
