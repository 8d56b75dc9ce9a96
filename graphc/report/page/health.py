"""Feature maps that are of no use: dead, the same as another, saturated; and what to do about them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.graph import PlannedNode
from graphc.report.page.facts import digits
from graphc.types import Array

ALIKE = 0.98
"""Correlation from which two maps say the same."""
FLAT = 1e-6
"""Range, relative to the layer's largest value, below which a map says nothing."""
SAMPLES = 1024
"""Places looked at for correlations."""
SATURATION = {
    "tanh": (-0.97, 0.97),
    "sigmoid": (0.015, 0.985),
    "relu6": (-np.inf, 5.999),
    "hard_sigmoid": (0.001, 0.999),
}
"""Kind -> the range outside which it hardly answers any more."""


@dataclass(frozen=True, slots=True)
class Health:
    """How many of a layer's maps are of no use, over all images."""

    layer: str
    maps: int
    dead: int
    """The same everywhere, in every image."""
    twins: int
    """Maps that another one before them already is, up to a factor."""
    saturated: float | None
    """Share of the outputs in the flat part of the activation; None where it has none."""

    @property
    def row(self) -> dict[str, Any]:
        return {
            "layer": self.layer,
            "maps": self.maps,
            "dead": self.dead,
            "twins": self.twins,
            "saturated": None if self.saturated is None else digits(self.saturated),
        }


def check(planned: PlannedNode, values: Array) -> Health:
    """`values` are [N, H, W, C]."""
    channels = values.reshape(-1, values.shape[-1])
    lowest, highest = channels.min(axis=0), channels.max(axis=0)
    alive = highest - lowest > FLAT * max(float(highest.max()), -float(lowest.min()), 1e-30)
    step = max(len(channels) // SAMPLES, 1)
    limits = SATURATION.get(planned.node.layer.kind)
    saturated = None if limits is None else float(((values < limits[0]) | (values > limits[1])).mean())
    twins = count_twins(channels[::step, alive])
    return Health(planned.node.name, channels.shape[1], int((~alive).sum()), twins, saturated)


def count_twins(samples: Array) -> int:
    """Columns of samples [n, C] whose correlation with an earlier one is almost ±1."""
    centred = samples - samples.mean(axis=0)
    norms = np.sqrt((centred**2).sum(axis=0))
    unit = centred[:, norms > 0] / norms[norms > 0]
    alike = np.abs(unit.T @ unit) > ALIKE
    return int(np.triu(alike, 1).any(axis=0).sum())


def advice(found: list[Health]) -> list[str]:
    """A sentence for each thing that is wrong in some layer, the worst layer named."""
    sentences = []
    for is_bad, amount, words in SENTENCES:
        bad = [each for each in found if is_bad(each)]
        if bad:
            worst = max(bad, key=amount)
            more = "" if len(bad) == 1 else f" and {len(bad) - 1} more"
            sentences.append(words.format(layer=worst.layer, more=more, share=f"{100 * amount(worst):.0f} %"))
    return sentences or ["No layer has many dead, doubled or saturated maps on these images."]


def dead_share(health: Health) -> float:
    return health.dead / health.maps


def twin_share(health: Health) -> float:
    return health.twins / health.maps


def saturated_share(health: Health) -> float:
    return health.saturated or 0.0


SENTENCES: tuple[tuple[Callable[[Health], bool], Callable[[Health], float], str], ...] = (
    (
        lambda health: dead_share(health) >= 0.1,
        dead_share,
        "{layer}{more}: {share} of the maps are the same everywhere. Lower the learning rate, initialise for the "
        "activation (he for relu), or use one that does not die (leaky_relu); what stays dead can be cut out.",
    ),
    (
        lambda health: twin_share(health) >= 0.1,
        twin_share,
        "{layer}{more}: {share} of the maps repeat another one. The layer is wider than the task needs: fewer filters, "
        "or a stronger regularizer or dropout to make them differ.",
    ),
    (
        lambda health: saturated_share(health) >= 0.3,
        saturated_share,
        "{layer}{more}: {share} of the outputs are in the flat part of the activation, where no gradient passes. "
        "Normalise before it, or begin with smaller weights.",
    ),
)
