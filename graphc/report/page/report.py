"""`graphc report`: a spec, or runs of training, as one page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graphc.compiler import initial_or_loaded
from graphc.data.examples import Examples
from graphc.data.images import Decoding, read_image
from graphc.dims import is_image
from graphc.errors import GraphcError, SpecError
from graphc.graph import GraphInput, Plan
from graphc.inference import read_known
from graphc.layers.base import static
from graphc.passes.expectations import totals
from graphc.published import preparation_of, signature
from graphc.report.page.activity import activity
from graphc.report.page.build import page
from graphc.report.page.runs import TrainedRun, pictures, run_facts
from graphc.report.page.tiles import data_uri, thumbnail
from graphc.report.tables import short
from graphc.signature import InputSignature
from graphc.train.batching import make_batches
from graphc.types import Array
from graphc.weights import LoadOptions

MOST_LAYERS = 15_000
"""Layers and outputs of a page, which is made within 250 MB; a browser has a row for each."""
MOST_MACS = 25_000_000_000
"""Of one example, up to which it is measured how outputs move with the image."""
MOST_MEASURED = 5_000
"""Layers up to which it is: all their outputs are there at once."""
SHOWN = 8
"""Validation examples whose activations are looked at."""


def report_spec(
    plan: Plan,
    weights_from: str | None,
    images: Sequence[str],
    say: Callable[[str], None],
    load: LoadOptions | None = None,
) -> str:
    """A page about a spec; activations need weights and images, which are prepared as for these weights where that is
    known."""
    size = len(plan.nodes) + len(plan.graph.outputs)
    if size > MOST_LAYERS:
        most = f"at most {MOST_LAYERS:,} layers and outputs, got {size:,}"
        raise SpecError("G233", f"a report shows {most}: --until stops at a layer, show and draw take them all")
    params, _ = initial_or_loaded(plan, 0, weights_from, load=load)
    more: dict[str, Any] = {}
    if images:
        given = image_input(plan)
        known = None if weights_from is None else prepared_as(plan, weights_from, load or LoadOptions(), say)
        pixels = np.stack([read_pixels(path, given, known) for path in images])
        more["image"] = data_uri(thumbnail(pixels[0]))
        if weights_from is not None:
            taken = pixels / 255 if known is None else known.prepared(pixels, "float32")
            more["activity"] = activity(plan, params, {given.name: np.asarray(taken, np.float32)})
    return page(plan, measurable(plan, params, say), more)


def prepared_as(plan: Plan, weights_from: str, load: LoadOptions, say: Callable[[str], None]) -> InputSignature | None:
    """How images are prepared for a file's weights; None, with a word about it, where that is not known."""
    known = preparation_of(weights_from, plan, load)
    if known is None:
        say("images are scaled to 0…1: how they were prepared for these weights is not known")
        return None
    return signature(known, plan).inputs[image_input(plan).name]


def measurable(plan: Plan, params: Mapping[str, Array], say: Callable[[str], None]) -> Mapping[str, Array] | None:
    """The weights, each in its own shape, to measure how outputs move with the image; None where that would take
    minutes, or much memory."""
    macs, layers = totals(plan)["macs"] or 0, len(plan.nodes)
    if macs <= MOST_MACS and layers <= MOST_MEASURED:
        return {name: value.astype(np.float32, copy=False) for name, value in params.items()}
    found = f"{short(macs)} MACs an example, the limit is {short(MOST_MACS)}"
    if layers > MOST_MEASURED:
        found = f"{layers:,} layers, the limit is {MOST_MEASURED:,}"
    say(f"not measured how outputs move with the image: {found}")
    return None


def report_runs(runs: Sequence[TrainedRun], say: Callable[[str], None]) -> str:
    """A page about runs; the first one's model and weights, the curves of all."""
    judged = [examples_of(run, say) for run in runs]
    more: dict[str, Any] = {"runs": [run_facts(run, found) for run, found in zip(runs, judged, strict=True)]}
    first, examples = runs[0], judged[0]
    if examples is not None:
        few = examples.take(np.arange(min(len(examples), SHOWN)))
        images = pictures(few)
        if images is not None:
            more["image"] = data_uri(thumbnail(images[0]))
            more["activity"] = activity(first.task.plan, first.params, batch_of(first, few))
    return page(first.task.plan, measurable(first.task.plan, first.params, say), more)


def batch_of(run: TrainedRun, examples: Examples) -> Mapping[str, Array]:
    """Examples [N, ...] by input name as the network reads them."""
    return make_batches(run.task, examples, size=len(examples)).make(np.arange(len(examples))).inputs


def examples_of(run: TrainedRun, say: Callable[[str], None]) -> Examples | None:
    """What the run is judged by; None, with a word about it, where the data are not here any more."""
    try:
        return run.judged()
    except GraphcError as error:
        say(f"{run.name}: without confusion, mistakes and activations: {error}")
        return None


def image_input(plan: Plan) -> GraphInput:
    """The one input that an image file can be read for."""
    found = [given for given in plan.graph.inputs if is_image(given.shape)]
    if len(found) != 1 or len(plan.graph.inputs) != 1:
        names = ", ".join(given.name for given in plan.graph.inputs)
        raise SpecError("G333", f"--image needs a model with one input, an image; this one reads {names}")
    return found[0]


def read_pixels(path: str, given: GraphInput, known: InputSignature | None = None) -> Array:
    """An image file as the input takes it, [H, W, C], resized as it is `known`."""
    if known is not None:
        return np.asarray(read_known(path, known)[0])
    height, width, channels = static(given.shape, given.name)
    if channels not in (1, 3, 4):
        raise SpecError("G333", f"--image needs an input of 1, 3 or 4 channels; {given.name} has {channels}")
    return read_image(Path(path), Decoding(channels, (height, width)))
