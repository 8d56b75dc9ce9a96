"""The recipe that `graphc new --recipe` writes, for MNIST's files or for the images of a folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from graphc.data.class_folders import PARTS, parts_of
from graphc.data.endings import is_hidden
from graphc.data.folder import find_images
from graphc.data.images import image_shape
from graphc.documented import flow
from graphc.errors import DataError, GraphcError, Place, SpecError
from graphc.files import shown

TEMPLATE = """\
# How a network is trained. Try
#   graphc data stats {name}
#   graphc train {name} -o runs/net     # a new folder: log, checkpoints, best weights, ONNX
#   graphc eval runs/net
#   graphc predict runs/net photo.png
#   graphc train {name} --set epochs=10 # any key can be set so

recipe: 1                               # version of this format
model: {model:<32} # the spec; {{spec: …, set: {{width: 32}}}} sets its variables

# Paths start at the folder of this file.
data:
{sources}
  preprocess: {{mean: fit, std: fit}}     # each channel to mean 0 and deviation 1, as found in the training set
{augment}
loss: softmax_cross_entropy             # one class an image; sigmoid_cross_entropy: any number of them
optimizer: adam                         # `graphc explain adam` lists its settings
learning_rate: 0.005                    # the highest
schedule: cosine                        # from there down to 0 at the end of the last epoch
batch: 32                               # images a step
drop_last: true                       # a last batch that is not full is left out, other images each epoch
epochs: {epochs:<32}# how often all training images are seen
metrics: [accuracy]                     # logged each epoch; the first one says which weights are the best
seed: 0                                 # of the first weights, the order of the images, dropout
"""

MNIST = """\
  train:                                # MNIST's files, gzipped or not
    idx: {{images: {images}, labels: {labels}}}
  validation_share: 0.1                 # of the training images, held out to judge each epoch by"""
MNIST_TEST = """\
  test:                                 # what `graphc eval` reads
    idx: {{images: {images}, labels: {labels}}}"""
FOLDER = """\
  {part}:{space}# one folder a class
    image_folder: {{path: {path}, size: [{height}, {width}], channels: {channels}}}"""
SHARE = """\
  validation_share: 0.1                 # of the training images, held out to judge each epoch by
  stratified: true                      # the same share of each class"""
INSTEAD = """\
  # Images of your own, one folder a class: graphc new --recipe --data FOLDER --force"""

LARGEST_SIDE = 64
"""Of the images of a folder, which are resized: to their own size where that is smaller."""
IDX_TRAIN, IDX_TEST = "train", "t10k"
ENDINGS = (("-images-idx3-ubyte", "-labels-idx1-ubyte"), ("-images.idx3-ubyte", "-labels.idx1-ubyte"))


@dataclass(frozen=True, slots=True)
class Starting:
    """What a starter recipe says about its data, and what the spec has to be like."""

    sources: Sequence[str]
    classes: int = 10
    size: int = 28
    channels: int = 1
    epochs: int = 4
    augment: str = ""


def starting(data: Path | None, base: Path, taken: tuple[int, int] | None = None) -> Starting:
    """What is in a folder of data: MNIST's files, or images with one folder a class; without one MNIST's files are
    expected in `base`, where the recipe will be. `taken`: (side, channels) of the images that the network takes."""
    if data is None:
        names = [f"{part}{ending}.gz" for part in (IDX_TRAIN, IDX_TEST) for ending in ENDINGS[0]]
        return Starting([*_mnist(names), INSTEAD])
    check_folder(data)
    found = _idx_files(data)
    if found:
        return Starting(_mnist([flow(path_from(data / name, base)) for name in found]))
    return _images(data, base, taken)


def check_folder(data: Path) -> None:
    """A DataError where there is no folder."""
    if not data.is_dir():
        there = "a file" if data.exists() else "nothing"
        message = f"--data expects a folder with MNIST's files or one folder a class, found {there} there"
        raise DataError("G403", message, Place(shown(data)))


def recipe_text(start: Starting, name: str, model: str) -> str:
    """The recipe; `name`: its file's, `model`: what stands for the spec in it."""
    return TEMPLATE.format(
        name=shown(name), model=model, sources="\n".join(start.sources), epochs=start.epochs, augment=start.augment
    )


def variables(start: Starting) -> dict[str, int]:
    """The starter spec's variables that depend on the data."""
    return {"classes": start.classes, "size": start.size, "channels": start.channels}


def _mnist(paths: Sequence[str]) -> list[str]:
    found = [MNIST.format(images=paths[0], labels=paths[1])]
    return [*found, MNIST_TEST.format(images=paths[2], labels=paths[3])] if len(paths) > 2 else found


def _idx_files(folder: Path) -> list[str]:
    """MNIST's files in a folder: images and labels to train with, then those to test with, where there are both."""
    found: list[str] = []
    for part in (IDX_TRAIN, IDX_TEST):
        for pair in ENDINGS:
            for zipped in (".gz", ""):
                names = [f"{part}{ending}{zipped}" for ending in pair]
                if len(found) in (0, 2) and all((folder / name).is_file() for name in names):
                    found += names
                    break
        if not found:
            return []
    return found[:4]


@dataclass(frozen=True, slots=True)
class ImageFolder:
    """A folder of images, in parts where it has them."""

    parts: Mapping[str, Path]
    images: Sequence[Path]
    """Those that are learned from."""
    classes: Sequence[str]

    def sources(self, base: Path, size: tuple[int, int], channels: int) -> str:
        """What a recipe at `base` says of it."""
        height, width = size
        found = [
            FOLDER.format(
                part=part,
                space=" " * (36 - len(part)),
                path=flow(path_from(path, base)),
                height=height,
                width=width,
                channels=channels,
            )
            for part, path in self.parts.items()
        ]
        if "validation" not in self.parts:
            found.insert(1, SHARE)
        return "\n".join(found)


def image_folder(data: Path) -> ImageFolder:
    """A folder of images; a DataError where it is none."""
    check_folder(data)
    called = parts_of(sorted(entry.name for entry in data.iterdir() if entry.is_dir() and not is_hidden(entry.name)))
    parts = {part: data / name for part in PARTS for name, is_called in called.items() if is_called == part}
    if "train" not in parts:
        parts = {"train": data}
    found = find_images(parts["train"], skip=True)
    return ImageFolder(parts, found.paths, found.classes)


def _images(data: Path, base: Path, taken: tuple[int, int] | None) -> Starting:
    """A recipe for a folder of images; `taken`: (side, channels) of those that the network takes, else as they are."""
    folder = image_folder(data)
    size, channels = taken or _size(folder.images)
    augment = (
        "  augment: [flip_horizontal, {pad_crop: {pad: 4}}]   # other pictures of the same in each epoch; leave the\n"
        "                                        # flip out where left and right mean something\n"
    )
    sources = [folder.sources(base, (size, size), channels)]
    return Starting(sources, len(folder.classes), size, channels, 20, augment)


def _size(paths: Iterable[Path]) -> tuple[int, int]:
    """(side, channels) for images like the first of these that can be read."""
    for path in paths:
        with suppress(GraphcError):
            height, width, channels = image_shape(path)
            return min(LARGEST_SIDE, height, width), channels
    raise DataError("G403", "expected images, found none that can be read")


def path_from(path: Path, base: Path) -> str:
    """A path as the recipe at `base` names it: from there, unless that leads far up. A SpecError where no text can."""
    try:
        relative = Path(os.path.relpath(path, base)).as_posix()
    except ValueError:  # on another drive
        relative = "../../"
    return nameable(path.resolve().as_posix() if relative.startswith("../../") else relative)


def nameable(path: str) -> str:
    """A path that a recipe can name; a SpecError where it is none."""
    if shown(path) != path:
        raise SpecError("G616", f"{shown(path)}: a recipe cannot name it: expected printable text in UTF-8")
    return path
