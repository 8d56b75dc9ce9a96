"""`graphc predict SPEC --weights FILE`: what published weights say of pictures, by NumPy alone.

How pictures are prepared, and what the outputs are called, is known of the weights (`published`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graphc.compiler import Limits, initial_or_loaded, plan_spec
from graphc.data.given_files import given_files
from graphc.errors import DataError, Place, SpecError, counted
from graphc.execution.network import Network
from graphc.files import shown
from graphc.graph import Plan
from graphc.inference import read_known
from graphc.published import required, signature
from graphc.signature import InputSignature, OutputSignature
from graphc.train.answers import answer_of
from graphc.types import Array
from graphc.weights import LoadOptions

AT_ONCE = 16
"""Pictures that are computed together."""


def classify(
    spec: str,
    settings: Sequence[str],
    inputs: Sequence[str],
    weights_from: Path | str,
    load: LoadOptions,
    *,
    top: int = 1,
    threads: int | None = None,
    skips: bool = False,
    limits: Limits | None = None,
    say: Callable[[str], None] = lambda message: None,
) -> Iterator[dict[str, Any]]:
    """For each picture (of a folder: all below it) its name, and the `top` classes with their probabilities, or the
    values of the outputs where the weights' classes are not known. `skips`: a file that cannot be read is left out,
    and said."""
    plan = plan_spec(spec, settings, limits=limits or Limits())
    params, _ = initial_or_loaded(plan, 0, weights_from, load=load)
    known = signature(required(weights_from, plan, load), plan)
    name, taken = only_image(plan, known.inputs)
    network = Network(plan, threads)
    meanings = {**dict.fromkeys(plan.graph.outputs, OutputSignature()), **known.outputs}
    files, left_out = given_files(inputs)
    count = 0
    for start in range(0, len(files), AT_ONCE):
        read = list(_read([each.name for each in files[start : start + AT_ONCE]], taken, left_out if skips else None))
        if not read:
            continue
        pictures = np.concatenate([picture for _, picture in read])
        nodes = plan.graph.outputs
        run = network.forward(params, {name: pictures}, training=False, keep=tuple(nodes.values()))
        for row, (path, _) in enumerate(read):
            said = {output: each.described(run.value(nodes[output])[row], top) for output, each in meanings.items()}
            yield answer_of(path, said)
        count += len(read)
    if left_out:
        say(f"left out {counted(len(left_out), 'file')}, the first: {left_out[0]}")
    if not count:
        raise DataError("G403", "nothing is left to predict", Place(shown(inputs[0])))


def only_image(plan: Plan, inputs: Mapping[str, InputSignature]) -> tuple[str, InputSignature]:
    """The network's one input, which is an image, and how it is prepared; a SpecError where there is another."""
    if list(inputs) != [given.name for given in plan.graph.inputs]:
        found = ", ".join(given.name for given in plan.graph.inputs)
        raise SpecError("G333", f"expected a network of one picture in color, {plan.graph.name} reads {found}")
    return next(iter(inputs.items()))


def _read(paths: Sequence[str], taken: InputSignature, left_out: list[str] | None) -> Iterator[tuple[str, Array]]:
    """(path, [1, H, W, C] as the network takes it) of each picture; into `left_out` what is said of one that cannot be
    read, where it may be."""
    for path in paths:
        try:
            yield path, taken.prepared(read_known(path, taken), "float32")
        except DataError as error:
            if left_out is None:
                raise
            left_out.append(str(error))
