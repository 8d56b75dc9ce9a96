"""Commands that are disturbed, each in a folder that is made anew: what is there before, and what is started next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tests.faults.calls import Action, Fault
from tests.train.conftest import RECIPE, SPEC, write_data

Arguments = Sequence[str]
LARGEST = 2000
"""Bytes of an ONNX file, in the scenarios whose weights go to a file of their own."""
SHORT = "epochs=2", "checkpoint_steps=3", "log_steps=2"
WORKERS = "batch=12", "epochs=1", "data.workers=1", "shards=2", "data.augment=[flip_horizontal]"
TRAIN = "train", "recipe.yaml", "-o", "run"


def settings(*given: str) -> list[str]:
    return [word for each in given for word in ("--set", each)]


@dataclass(frozen=True)
class Scenario:
    """A command, from what it starts to what is done after it was disturbed."""

    name: str
    arguments: Arguments
    before: Sequence[tuple[Arguments, Fault]] = ()
    """Commands that make what is there already, and what goes wrong in them."""
    largest: int = 0
    outputs: Sequence[str] = ()
    """Patterns of the files that are the old ones or the new ones, whatever goes wrong."""
    next_start: Callable[[Path], Arguments] | None = None
    """What one starts then in this folder; None: the same again."""
    processes: int = 0
    """How many of the processes that it forks are disturbed too."""
    from_call: int = 1
    """The first call that is disturbed."""
    module: str = "graphc"
    """What it cannot do without."""
    does_without: bool = False
    """It goes on without data that it cannot read, and says so."""

    def make(self, folder: Path) -> None:
        """What the user has."""
        (folder / "tiny.yaml").write_text(SPEC)
        (folder / "wide.yaml").write_text(SPEC.replace("filters: 4", "filters: 40"))
        (folder / "recipe.yaml").write_text(RECIPE)
        (folder / "sweep.yaml").write_text(SWEEP)
        write_data(folder / "train.npz", 60, 0)
        write_data(folder / "test.npz", 20, 1)
        _write_images(folder)
        _write_masks(folder)
        _write_darknet(folder)
        np.save(folder / "images.npy", np.zeros((2, 6, 6, 1), np.float32))


def _write_images(folder: Path) -> None:
    """The same examples as files, one folder a class, and a recipe that reads them when they are needed."""
    with np.load(folder / "train.npz") as arrays:
        for number, (image, label) in enumerate(zip(arrays["x"][:24], arrays["y"], strict=False)):
            path = folder / "photos" / f"class{label}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((image[..., 0] * 50 + 100).clip(0, 255).astype(np.uint8), "L").save(path)
    source = "{image_folder: {path: photos, size: [6, 6], channels: 1, keep: files}}"
    recipe = RECIPE.replace("{npz: {path: train.npz}}", source).replace("{npz: {path: test.npz}}", source)
    (folder / "photos.yaml").write_text(recipe)


def _write_masks(folder: Path) -> None:
    """Images with a mask each, in folders beside one another, and the recipe of a network that finds it."""
    rng = np.random.default_rng(0)
    for number in range(12):
        inside = np.zeros((6, 6), np.uint8)
        inside[: number % 5 + 1, 1:4] = 1
        for kind, pixels in (("images", inside * 150 + rng.integers(0, 50, (6, 6), np.uint8)), ("masks", inside)):
            (folder / kind).mkdir(exist_ok=True)
            Image.fromarray(pixels, "L").save(folder / kind / f"{number}.png")
    layers = "layers: [conv2d: {name: logits, filters: 2, kernel: 3}]\n"
    (folder / "pixels.yaml").write_text(f"graphc: 1\ninputs: {{x: [N, 6, 6, 1]}}\n{layers}")
    rows = "".join(f"images/{number}.png,masks/{number}.png\n" for number in range(12))
    (folder / "masks.csv").write_text(f"image,mask\n{rows}")
    data = "{list: {path: masks.csv, size: [6, 6], channels: 1}}"
    recipe = RECIPE.replace("{npz: {path: train.npz}}", data).replace("{npz: {path: test.npz}}", data)
    head = "heads: [{output: logits, target: mask, loss: softmax_cross_entropy}]"
    recipe = recipe.replace("loss: softmax_cross_entropy", head).replace("metrics: [accuracy]\n", "")
    recipe = recipe.replace("tiny.yaml", "pixels.yaml")
    (folder / "pixels_recipe.yaml").write_text(recipe)


def go_on(folder: Path) -> Arguments:
    """`resume` where the run has begun, else `train`: what the messages say."""
    if (folder / "run" / "run.json").exists():
        return "resume", "run"
    return TRAINED


def go_on_with_workers(folder: Path) -> Arguments:
    return go_on(folder) if (folder / "run" / "run.json").exists() else TRAINED_BY_WORKERS


def go_on_with_masks(folder: Path) -> Arguments:
    return go_on(folder) if (folder / "run" / "run.json").exists() else TRAINED_ON_MASKS


def join(folder: Path) -> Arguments:
    """Work on the sweep where it has begun, else begin it."""
    return ("sweep", "--join", "swept") if (folder / "swept" / "sweep.json").exists() else SWEPT


def _write_darknet(folder: Path) -> None:
    """A network as darknet has it, and its weights."""
    layers = "[convolutional]\nfilters=4\nsize=3\npad=1\nactivation=relu\n[avgpool]\n[softmax]\n"
    (folder / "net.cfg").write_text(f"[net]\nwidth=6\nheight=6\nchannels=1\n{layers}")
    header = np.array([0, 2, 0, 0, 0], np.int32).tobytes()
    (folder / "net.weights").write_bytes(header + np.arange(4 + 4 * 9, dtype=np.float32).tobytes())


SWEEP = "sweep: 1\nrecipe: recipe.yaml\nsampler: grid\nsettings: {learning_rate: [0.01, 0.02], epochs: [1]}\n"
SWEPT = "sweep", "sweep.yaml", "-o", "swept"
TRAINED = (*TRAIN, *settings(*SHORT))
TRAINED_BY_WORKERS = ("train", "photos.yaml", "-o", "run", *settings(*WORKERS))
TRAINED_ON_MASKS = ("train", "pixels_recipe.yaml", "-o", "run", *settings("batch=4", "epochs=1"))
WHOLE = (TRAINED, Fault())
HALF = (TRAINED, Fault(170, Action.KILL_BEFORE))
"""Ended between two checkpoints."""
COMPILED = (("compile", "wide.yaml", "-o", "net.onnx", "--save-weights", "net.npz"), Fault())
SCENARIOS = (
    Scenario("compile", (*COMPILED[0], "--seed", "1"), [COMPILED], outputs=["net.onnx", "net.npz"]),
    Scenario("compile, nothing there", COMPILED[0], outputs=["net.onnx", "net.npz"]),
    Scenario(
        "compile, external data",
        ("compile", "wide.yaml", "-o", "net.onnx", "--seed", "1"),
        [(("compile", "wide.yaml", "-o", "net.onnx"), Fault())],
        largest=LARGEST,
        outputs=["net.onnx"],
    ),
    Scenario("train", TRAINED, next_start=go_on),
    Scenario("train, workers", TRAINED_BY_WORKERS, next_start=go_on_with_workers, processes=2),
    Scenario("train on masks", TRAINED_ON_MASKS, next_start=go_on_with_masks),
    Scenario("sweep", SWEPT, next_start=join, module="optuna"),
    Scenario("resume", ("resume", "run"), [HALF], next_start=go_on),
    Scenario("eval", ("eval", "run"), [WHOLE]),
    Scenario("predict", ("predict", "run", "test.npz"), [WHOLE]),
    Scenario("predict to a file", ("predict", "run", "test.npz", "-o", "found.csv"), [WHOLE], outputs=["found.csv"]),
    Scenario(
        "export (compile --with-preprocess)",
        ("compile", "tiny.yaml", "--with-preprocess", "run", "-o", "tiny.onnx"),
        [WHOLE],
        outputs=["tiny.onnx"],
    ),
    Scenario("run", ("run", "run/best.onnx", "images.npy", "-o", "found.npy"), [WHOLE], outputs=["found.npy"]),
    Scenario("draw", ("draw", "tiny.yaml", "-o", "net.svg"), outputs=["net.svg"]),
    Scenario("report on a spec", ("report", "wide.yaml", "-o", "net.html"), outputs=["net.html"]),
    Scenario("report on a run", ("report", "run", "-o", "run.html"), [WHOLE], outputs=["run.html"], does_without=True),
    Scenario(
        "weights convert",
        ("weights", "convert", "net.npz", "--for", "wide.yaml", "-o", "net.safetensors"),
        [COMPILED],
        outputs=["net.safetensors"],
    ),
    Scenario(
        "import from darknet",
        ("import", "net.cfg", "net.weights", "-o", "net.yaml", "--weights", "net.safetensors"),
        outputs=["net.yaml", "net.safetensors"],
    ),
    Scenario(
        "import from ONNX",
        ("import", "net.onnx", "-o", "net.yaml", "--weights", "imported.npz", "--graph", "--no-check"),
        [COMPILED],
        outputs=["net.yaml", "imported.npz"],
    ),
    Scenario("new", ("new", "begun.yaml", "--force"), outputs=["begun.yaml"]),
    Scenario("schema", ("schema", "-o", "schema.json"), outputs=["schema.json"]),
)
