"""What trained weights do on images: filters, activation maps, what is really read, feature maps that are of no use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.graph import Plan, PlannedNode
from graphc.passes.expectations import totals
from graphc.report.gradients import input_gradients
from graphc.report.page.facts import digits
from graphc.report.page.tiles import data_uri, mosaic, to_bytes
from graphc.report.picture.blocks import blocks
from graphc.train.network import evaluate
from graphc.types import Array

MAPS = 16
"""Maps shown of one layer."""
SMALLEST, LARGEST = 40, 64
"""Pixels of a map on the page: small ones are enlarged by the browser, large ones thinned."""
FIELDS = 4
"""Layers whose effective receptive field is shown."""
FIELD_MACS = 4_000_000_000
"""Forward, from which on fewer images do for it; one always does."""
MOST = 0.95
"""Share of the gradient that counts as what is read."""
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


def activity(plan: Plan, params: Mapping[str, Array], inputs: Mapping[str, Array]) -> dict[str, Any]:
    """All of it, ready for the page; `inputs` are a batch as the network reads it."""
    shown = [each for each in last_of_blocks(plan) if len(each.shape) == 3]
    values = evaluate(plan, params, inputs, [each.node.name for each in shown])
    health = [check(each, values[each.node.name]) for each in shown if each.shape[-1] != 1]
    return {
        "filters": first_filters(plan, params),
        "maps": [maps(each, values[each.node.name]) for each in shown if values[each.node.name].shape[1] > 1],
        "fields": effective_fields(plan, params, inputs, shown),
        "health": [each.row for each in health],
        "advice": advice(health),
    }


def last_of_blocks(plan: Plan) -> list[PlannedNode]:
    """Of each block its last layer: after normalization and activation."""
    return [block.members[-1] for block in blocks(plan) if block.members]


# pictures --------------------------------------------------------------------------------------------------


def first_filters(plan: Plan, params: Mapping[str, Array]) -> list[dict[str, Any]]:
    """The filters that read the image: in colour where it has colours."""
    images = {given.name for given in plan.graph.inputs if len(given.shape) == 3}
    found = []
    for each in plan.nodes:
        if images.intersection(each.node.inputs) and "weights" in each.params:
            filters = np.moveaxis(params[plan.graph.variable(each.node, "weights")], -1, 0)  # N h w C
            if filters.ndim != 4:
                continue
            filters = filters[:64] if filters.shape[-1] == 3 else filters[:64].mean(axis=-1)
            largest = float(np.abs(filters).max())
            sheet = mosaic(to_bytes(filters, -largest, largest), 8)
            words = f"{each.node.name}: {len(filters)} of {each.shape[-1]}; grey is 0"
            found.append({"image": data_uri(sheet), "width": 4 * sheet.shape[1], "words": words})
    return found


def maps(planned: PlannedNode, values: Array) -> dict[str, Any]:
    """The maps of the first example that vary most, each from its darkest to its brightest."""
    channels = np.moveaxis(values[0], -1, 0).astype(np.float64)
    chosen = np.sort(np.argsort(-channels.std(axis=(1, 2)), kind="stable")[:MAPS])
    step = max(channels.shape[1] // LARGEST, 1)
    pictures = [to_bytes(one, float(one.min()), float(one.max())) for one in channels[chosen, ::step, ::step]]
    sheet = mosaic(np.stack(pictures), 4)
    width = max(4 * SMALLEST, min(sheet.shape[1], 4 * LARGEST))
    return {"image": data_uri(sheet), "width": width, "words": planned.node.name}


def effective_fields(
    plan: Plan, params: Mapping[str, Array], inputs: Mapping[str, Array], shown: list[PlannedNode]
) -> list[dict[str, Any]]:
    """The size of the gradient of a layer's middle by every pixel, averaged over the images."""
    image = next((given.name for given in plan.graph.inputs if len(given.shape) == 3), None)
    inner = [each for each in shown if each.receptive_field is not None and each.params]
    inner = inner or [each for each in shown if each.receptive_field is not None]
    if image is None or not inner:
        return []
    chosen = [inner[round(index)] for index in np.linspace(0, len(inner) - 1, min(FIELDS, len(inner)))]
    count = max(FIELD_MACS // max(totals(plan)["macs"] or 1, 1), 1)
    few = {name: array[:count] for name, array in inputs.items()}
    gradients = input_gradients(plan, params, few, {each.node.name: middle for each in chosen})
    found = []
    for each in chosen:
        size = np.abs(gradients[each.node.name][image]).sum(axis=-1).mean(axis=0)
        assert each.receptive_field is not None
        rows, columns = (most(size.sum(axis=axis)) for axis in (1, 0))
        field = "×".join(map(str, each.receptive_field.size))
        words = f"{each.node.name}: {MOST:.0%} from {rows} rows, {columns} columns; in theory {field}"
        picture = to_bytes(np.sqrt(size), 0.0, float(np.sqrt(size.max())))
        step = max(picture.shape[0] // 160, 1)
        found.append({"image": data_uri(picture[::step, ::step]), "width": 160, "words": words})
    return found


def most(amounts: Array) -> int:
    """How many of the rows hold `MOST` of the sum, the largest first."""
    total = amounts.sum()
    return int((np.cumsum(np.sort(amounts)[::-1]) < MOST * total).sum()) + 1 if total else 0


def middle(value: Array) -> Array:
    """A seed: the sum of all channels in the middle of the map."""
    seed = np.zeros_like(value)
    seed[:, value.shape[1] // 2, value.shape[2] // 2] = 1
    return seed


# health ----------------------------------------------------------------------------------------------------


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
    """`values` are N H W C."""
    channels = values.reshape(-1, values.shape[-1])
    lowest, highest = channels.min(axis=0), channels.max(axis=0)
    alive = highest - lowest > FLAT * max(float(highest.max()), -float(lowest.min()), 1e-30)
    step = max(len(channels) // SAMPLES, 1)
    limits = SATURATION.get(planned.node.layer.kind)
    saturated = None if limits is None else float(((values < limits[0]) | (values > limits[1])).mean())
    twins = count_twins(channels[::step, alive])
    return Health(planned.node.name, channels.shape[1], int((~alive).sum()), twins, saturated)


def count_twins(samples: Array) -> int:
    """Columns whose correlation with an earlier one is almost ±1."""
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
