"""A cat detector from 32×32 pixels, slid over a photograph as a fully convolutional net: from YAML to a heat map.

    python examples/cats/run.py --data FOLDER [--photo FILE] [--side 224] [--out FOLDER]     # CIFAR-10
    python examples/cats/run.py --small                                     # rings among shapes stand for the cats

Without --photo: scikit-learn's photograph of a temple, with one cat and eight others out of the test images.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
import common  # noqa: E402

from graphc.compiler import Emission, compile_spec  # noqa: E402
from graphc.data.cifar import CIFAR10_CLASSES  # noqa: E402
from graphc.data.shapes import CLASSES, make_shapes  # noqa: E402
from graphc.runtime import Session  # noqa: E402
from graphc.train.fitted import fronts_of_run  # noqa: E402

TILE, STRIDE = 32, 8
"""Pixels of a window, and from one to the next."""
OPEN = ("size=H", "map=true")
"""Settings of the spec with which it takes any picture and gives a map."""
SCENES = 50
PLACES = [(row, column) for row in (24, 88, 152) for column in (40, 144, 248)]


def main() -> dict[str, float]:
    """Test accuracy, and in how many scenes out of all the cat is what looks most like one."""
    options = arguments()
    rng = np.random.default_rng(0)
    train, test = (balanced(rng, *images(options, part)) for part in ("train", "test"))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data = {
            "data.train": common.stored(folder, "train", train[0], train[1].astype(np.int64)),
            "data.validation": common.stored(folder, "test", test[0], test[1].astype(np.int64)),
        }
        short = {"epochs": 4} if options.small else {}
        run = common.train(HERE / "recipe.yaml", {**data, **short}, folder=folder / "run")
        front = partial(fronts_of_run, folder / "run", "uint8")
        weights = folder / "run" / "best.safetensors"
        how = Emission(preprocess=front)
        compile_spec(HERE / "net.yaml", folder / "cats.onnx", OPEN, weights_from=weights, how=how)
        session = Session(folder / "cats.onnx")

    scenes = [scene(rng, *test) for _ in range(1 if options.small else SCENES)]
    alone = [
        int(np.argmax([heat(session, window(picture, at)) for at in PLACES])) == place for picture, place in scenes
    ]
    slid = [found_first(heat(session, picture), place) for picture, place in scenes]
    accuracy = max(record["validation_accuracy"] for record in run.records)
    columns = ["test accuracy", "scenes", "cat first of nine, each alone", "in the heat map"]
    common.table(columns, [[accuracy, len(scenes), sum(alone), sum(slid)]])
    picture, place = (photograph(options.photo, options.side), None) if options.photo else scenes[0]
    draw(picture, heat(session, picture), options.out / "heat.png", place)
    return {"accuracy": accuracy, "alone": sum(alone), "slid": sum(slid), "scenes": len(scenes)}


def arguments() -> argparse.Namespace:
    def more(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--photo", type=Path)
        parser.add_argument("--side", type=int, default=224, help="pixels of the photograph's shorter side")

    return common.arguments(__doc__, HERE, "CIFAR-10", more)


def images(options: argparse.Namespace, part: str) -> common.Set:
    """Images and whether they show a cat (small: a ring)."""
    if options.small:
        shapes = make_shapes(600 if part == "train" else 200, (TILE, TILE), 3, 1, len(CLASSES), len(part))
        return shapes.inputs["image"], shapes.targets["label"] == CLASSES.index("ring")
    x, labels = common.cifar10(options.data, part)
    return x, labels == CIFAR10_CLASSES.index("cat")


def balanced(rng: np.random.Generator, x: np.ndarray, cats: np.ndarray) -> common.Set:
    """As many others as cats, mixed."""
    others = rng.choice(np.flatnonzero(~cats), cats.sum(), replace=False)
    rows = rng.permutation(np.concatenate([np.flatnonzero(cats), others]))
    return x[rows], cats[rows]


def photograph(path: Path | None, side: int) -> np.ndarray:
    """RGB, the shorter side so many pixels; without a path the temple."""
    if path is None:
        from sklearn.datasets import load_sample_image

        image = Image.fromarray(load_sample_image("china.jpg"))
    else:
        image = Image.open(path).convert("RGB")
    scale = side / min(image.size)
    return np.asarray(image.resize((round(image.width * scale), round(image.height * scale))))


def scene(rng: np.random.Generator, x: np.ndarray, cats: np.ndarray) -> tuple[np.ndarray, int]:
    """The temple with nine test images in it, and which of the places has the only cat."""
    picture = photograph(None, 224).copy()
    chosen = rng.choice(np.flatnonzero(~cats), len(PLACES), replace=False)
    place = int(rng.integers(len(PLACES)))
    chosen[place] = rng.choice(np.flatnonzero(cats))
    for (row, column), image in zip(PLACES, x[chosen], strict=True):
        picture[row : row + TILE, column : column + TILE] = image
    return picture, place


def window(picture: np.ndarray, place: tuple[int, int]) -> np.ndarray:
    row, column = place
    return picture[row : row + TILE, column : column + TILE]


def heat(session: Session, picture: np.ndarray) -> np.ndarray:
    """How much each window looks like a cat, 0 to 1: the net run once, on the whole picture."""
    logits = session.run({"image": picture[None]})["cat"][0, :, :, 0]
    return 1 / (1 + np.exp(-logits))


def found_first(map: np.ndarray, place: int) -> bool:
    scores = [map[row // STRIDE, column // STRIDE] for row, column in PLACES]
    return int(np.argmax(scores)) == place


def draw(picture: np.ndarray, map: np.ndarray, path: Path, place: int | None) -> None:
    """The picture, the cat framed where its place is known, and the heat map on it, a window's value at its middle."""
    height, width = (TILE - STRIDE) / 2 + STRIDE * np.array(map.shape)
    sheet, axes = common.figure(2)
    for axis in axes:
        axis.imshow(picture)
        axis.set(xticks=[], yticks=[], xlim=(0, picture.shape[1]), ylim=(picture.shape[0], 0))
    if place is not None:
        row, column = PLACES[place]
        axes[0].plot(column + TILE * np.array([0, 1, 1, 0, 0]), row + TILE * np.array([0, 0, 1, 1, 0]), "r")
    begin = (TILE - STRIDE) / 2
    shown = axes[1].imshow(map, cmap="inferno", alpha=0.7, vmin=0, vmax=1, extent=(begin, width, height, begin))
    sheet.colorbar(shown, ax=axes, shrink=0.7, label="cat")
    common.save(sheet, path)


if __name__ == "__main__":
    common.run(main)
