"""What trained weights do on images: filters, activation maps, what is really read; and the health of the maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphc.dims import is_image
from graphc.execution.network import evaluate
from graphc.graph import Plan, PlannedNode
from graphc.passes.expectations import totals
from graphc.report.gradients import input_gradients
from graphc.report.page.health import advice, check
from graphc.report.page.tiles import data_uri, mosaic, to_bytes
from graphc.report.picture.blocks import blocks
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


def activity(plan: Plan, params: Mapping[str, Array], inputs: Mapping[str, Array]) -> dict[str, Any]:
    """All of it, ready for the page; `inputs` [N, ...] are a batch as the network reads it."""
    shown = [each for each in last_of_blocks(plan) if is_image(each.shape)]
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
    """The filters [H, W, C, F] that read the image: in color where it has colors."""
    images = {given.name for given in plan.graph.inputs if is_image(given.shape)}
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
    """Of values [N, H, W, C] the maps of the first example that vary most, each from its darkest to its brightest."""
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
    """The size of the gradient of a layer's middle by every pixel, averaged over the
    images [N, H, W, C]."""
    image = next((given.name for given in plan.graph.inputs if is_image(given.shape)), None)
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
    """How many of the amounts [n] hold `MOST` of the sum, the largest first."""
    total = amounts.sum()
    return int((np.cumsum(np.sort(amounts)[::-1]) < MOST * total).sum()) + 1 if total else 0


def middle(value: Array) -> Array:
    """A seed on [N, H, W, C]: the sum of all channels in the middle of the map."""
    seed = np.zeros_like(value)
    seed[:, value.shape[1] // 2, value.shape[2] // 2] = 1
    return seed
