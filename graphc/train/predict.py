"""`graphc predict`, as functions: what a run's best network says of files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from graphc.data.batches import Batches
from graphc.data.examples import LABEL, Examples
from graphc.data.given_files import Given, given_files
from graphc.data.images import Decoding, read_sample
from graphc.data.placement import placement_of
from graphc.data.sides import PIXEL_LIMIT
from graphc.data.sources import Npz
from graphc.data.value_range import BYTES
from graphc.errors import DataError, Place, counted
from graphc.execution.network import Network
from graphc.files import shown
from graphc.layers.base import static
from graphc.parallel.world import check_shards
from graphc.train.answers import answer_of, mask_of, write_mask
from graphc.train.batch_memory import check_batch_memory
from graphc.train.batching import make_batches
from graphc.train.drawing import Drawing, check_names, picture_path
from graphc.train.evaluation import predictions
from graphc.train.image_values import from_facts, like_training, read_as
from graphc.train.loss_term import LossTerm
from graphc.train.run_folder import RunFolder
from graphc.train.signing import output_signature
from graphc.train.trained import DEFAULT, Options, check_answers, load_best, load_weights, task_of_run
from graphc.types import Array
from graphc.weights import LoadOptions

BadFiles: TypeAlias = Literal["error", "skip"]
AT_ONCE = 256
"""Images that are in memory together, or a batch where that is more."""


def predict(
    run: Path | str,
    inputs: Sequence[str],
    top: int = 1,
    weights_path: Path | str | None = None,
    options: Options = DEFAULT,
    bad_files: BadFiles | None = None,
    say: Callable[[str], None] = lambda message: None,
    load: LoadOptions | None = None,
) -> Iterator[dict[str, Any]]:
    """For each image (of a folder: all below it) or row of an .npz file's `x`: its name, and the `top` classes with
    their probabilities, or the values where the loss is of no classes; of several heads the first one's, and all of
    them under `heads`. `bad_files`: whether one that cannot be read is an error or skipped, said and counted; default:
    as in the recipe."""
    predictor = Predictor(run, weights_path, options, bad_files, say, load)
    for given, values in predictor.predicted(inputs):
        found = {
            head.name: output_signature(head, predictor.facts).described(values[node], top, given.placement)
            for node, head in predictor.heads.items()
        }
        yield answer_of(given.name, found)


def predict_folder(
    run: Path | str,
    inputs: Sequence[str],
    output: Path | str,
    weights_path: Path | str | None = None,
    options: Options = DEFAULT,
    bad_files: BadFiles | None = None,
    say: Callable[[str], None] = lambda message: None,
    load: LoadOptions | None = None,
) -> str:
    """What the first head says of each image, as a picture in a folder: boxes drawn in, or the classes of its pixels as
    PNGs; what was written, in words."""
    predictor = Predictor(run, weights_path, options, bad_files, say, load)
    node, head = next(iter(predictor.heads.items()))
    check_names(given_files(inputs)[0], Path(output))
    if head.loss.says != "boxes":
        return _write_masks(predictor, node, head, inputs, Path(output))
    signature = output_signature(head, predictor.facts)
    drawing = Drawing(Path(output), predictor.image_limit)
    for given, values in predictor.predicted(inputs):
        drawing.add(given, signature.described(values[node], 1, given.placement)["boxes"])
    return drawing.said()


def _write_masks(predictor: Predictor, node: str, head: LossTerm, inputs: Sequence[str], output: Path) -> str:
    count = 0
    for given, values in predictor.predicted(inputs):
        mask = mask_of(values[node], head)
        write_mask(mask, picture_path(given, output))
        count += 1
    return f"{output}: {count:,} masks of {mask.shape[0]}×{mask.shape[1]} pixels, a class a pixel"


class Predictor:
    """A run's best network at work on files."""

    def __init__(
        self,
        run: Path | str,
        weights_path: Path | str | None,
        options: Options,
        bad_files: BadFiles | None,
        say: Callable[[str], None],
        load: LoadOptions | None = None,
    ) -> None:
        folder = RunFolder(run)
        self.facts = folder.read_facts()
        self.task, _ = task_of_run(folder, self.facts)
        self.recipe, self.plan = self.task.recipe, self.task.plan
        self._values = from_facts(self.facts, self.plan)
        self.heads = self.task.heads.by_node
        dtype = self.recipe.dtype
        if weights_path is None:
            found = load_best(self.plan, folder, dtype)
        else:
            found = load_weights(self.plan, weights_path, dtype, load)
        self._params = self.task.as_computed(found)
        self._network = Network(
            self.plan, options.threads, self.recipe.seed, shards=self.recipe.shards, world=options.world
        )
        check_shards(options.world, self.recipe.shards)
        self._world = options.world
        self._limit = options.max_memory
        self._skips = (bad_files or getattr(self.recipe.data.train, "bad_files", "error")) == "skip"
        self._say = say
        self.image_limit: int = getattr(self.recipe.data.train, "max_pixels", PIXEL_LIMIT)
        """Pixels that an image may have."""

    def predicted(self, inputs: Sequence[str]) -> Iterator[tuple[Given, dict[str, Array]]]:
        """Each file (or row) and the values [...] of the heads' nodes for it."""
        files, left_out = given_files(inputs)
        count = 0
        numbers = [node for node, head in self.heads.items() if head.loss.says != "boxes"]
        for named, batches in self._inputs(files, left_out):
            for rows, values in predictions(self._network, list(self.heads), self._params, batches):
                check_answers({f"the output of {node}": values[node] for node in numbers})
                for place, row in enumerate(rows):
                    count += 1
                    yield named[row], {node: value[place] for node, value in values.items()}
        if left_out:
            self._say(f"left out {counted(len(left_out), 'file')}, the first: {left_out[0]}")
        if not count:
            raise DataError("G403", "nothing is left to predict", Place(shown(inputs[0])))

    def _inputs(self, files: Sequence[Given], left_out: list[str]) -> Iterator[tuple[list[Given], Batches]]:
        """(names, batches): images some batches at a time, each .npz file for itself."""
        images = [file for file in files if file.is_image]
        step = self.recipe.batch * max(1, AT_ONCE // self.recipe.batch)
        for start in range(0, len(images), step):
            read = list(self._read(images[start : start + step], left_out))
            if read:
                given = self.plan.graph.inputs[0]
                pixels = np.stack([image for _, image in read])
                examples = Examples({given.name: pixels}, {LABEL: np.zeros(len(read), np.int64)}, (), "images")
                yield [file for file, _ in read], self._batches(examples)
        for file in files:
            if not file.is_image:
                examples = Npz(path=str(file.path), targets={}).load(Path(), self._limit)
                rows = [
                    Given(file.path, f"{file.name}[{row}]", file.below.with_name(f"{file.below.stem}[{row}].npz"))
                    for row in range(len(examples))
                ]
                yield rows, self._batches(examples)

    def _batches(self, examples: Examples) -> Batches:
        check_batch_memory(self.task, examples, self._limit)
        return make_batches(self.task, like_training(examples, self._values, self.plan), world=self._world)

    def _read(self, files: Sequence[Given], left_out: list[str]) -> Iterator[tuple[Given, Array]]:
        """Images in the shape that the preprocessing of the plan's only input takes."""
        given, data = self.plan.graph.inputs[0], self.recipe.data
        preprocess = self.task.preprocessing.of(given.name)
        taken = preprocess.input_shape(static(given.shape, "predict"))
        if len(taken) != 3:
            message = f"the network reads {'×'.join(map(str, taken))}, not an image; give an .npz"
            raise DataError("G422", message, Place(shown(files[0].name)))
        height, width, channels = taken
        values = self._values.get(given.name, BYTES)
        decoding = Decoding(channels, (height, width), self.image_limit, data.resize, read_as(data.train, values))
        for file in files:
            try:
                sample, size = read_sample(file.path, decoding)
                moved = preprocess.settings.moved(sample) if preprocess.settings.moves else sample
                yield replace(file, placement=placement_of(moved, size)), values.taken(sample.image)
            except DataError as error:
                if not self._skips:
                    raise
                left_out.append(str(error))
