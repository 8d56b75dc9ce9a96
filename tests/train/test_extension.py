"""A run goes on with more epochs, or with data that have moved; evaluation of a share that was held out."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from graphc.errors import DataError, SpecError, WeightsError
from graphc.train.commands import evaluate_run, resume, train
from graphc.train.recipe import read_recipe
from graphc.train.run_folder import RunFolder

from .test_watching import Listener


def files(run: Path) -> dict[str, bytes]:
    return {
        name: (run / name).read_bytes() for name in ("metrics.jsonl", "best.safetensors", "best.onnx", "recipe.json")
    }


@pytest.mark.parametrize(
    "schedule", ["schedule=constant", "schedule={step: {every: 2}}", "schedule={exponential: {rate: 0.9}}"]
)
def test_more_epochs_are_the_run_that_had_them_from_the_beginning(project: Path, schedule: str) -> None:
    """To the same bytes, where the schedule does not look at the end."""
    train(project / "recipe.yaml", project / "whole", (schedule, "epochs=5"))
    train(project / "recipe.yaml", project / "run", (schedule, "epochs=3"))
    said = Listener()
    resume(project / "run", said, epochs=5)
    assert files(project / "run") == files(project / "whole")
    assert not said.said
    resume(project / "run", epochs=6)
    assert RunFolder(project / "run").records()[-1]["epoch"] == 6


def test_a_schedule_that_ends_is_stretched_and_that_is_said(project: Path) -> None:
    train(project / "recipe.yaml", project / "run", ("epochs=2",))
    said = Listener()
    resume(project / "run", said, epochs=4)
    assert said.said == [
        "learning rate: cosine goes on as if there had been 4 epochs from the beginning, not 2",
    ]
    rates = [record["learning_rate"] for record in RunFolder(project / "run").records()]
    assert rates[2] == pytest.approx(0.02 * (1 + math.cos(math.pi * 3 / 4)) / 2)
    assert read_recipe(project / "run" / "recipe.json").epochs == 4


def test_early_stopping_does_not_end_what_is_asked_for(project: Path) -> None:
    still = ("learning_rate=0", "freeze=*/moving_*", "ema=", "early_stopping={patience: 2}", "epochs=50")
    assert train(project / "recipe.yaml", project / "run", still)["epoch"] == 3
    assert resume(project / "run")["epoch"] == 3
    assert resume(project / "run", epochs=60)["epoch"] == 5


def test_epochs_that_are_done_already(project: Path) -> None:
    train(project / "recipe.yaml", project / "run", ("epochs=2",))
    before = files(project / "run")
    with pytest.raises(SpecError, match="expects more than the 2 epochs that are done, found 2"):
        resume(project / "run", epochs=2)
    assert files(project / "run") == before
    train(project / "recipe.yaml", project / "steps", ("epochs=", "steps=3"))
    with pytest.raises(SpecError, match=r"expects a recipe with `epochs`, this run's recipe counts steps \(3\)"):
        resume(project / "steps", epochs=9)


def test_a_checkpoint_of_before_reduce_on_plateau(project: Path) -> None:
    from graphc.train.state import TrainState

    state = TrainState({}, {})
    facts = {"step": 3, "epoch": 1, "position": 0, "watch": {"best": 0.5, "epoch": 1, "waited": 0}}
    state.restore({"order": np.arange(3)}, facts, read_recipe(project / "recipe.yaml").optimizer)
    assert (state.step, state.plateau.factor, state.tracker.best) == (3, 1.0, 0.5)


def test_data_that_have_moved(project: Path) -> None:
    train(project / "recipe.yaml", project / "run", ("epochs=2", "schedule=constant"))
    moved = project / "elsewhere"
    moved.mkdir()
    for name in ("train.npz", "test.npz"):
        shutil.move(project / name, moved / name)
    with pytest.raises(DataError, match=r"train\.npz"):
        resume(project / "run", epochs=3)
    with pytest.raises(DataError, match="--data expects the folder that the recipe's paths start at"):
        resume(project / "run", data=project / "nowhere")
    assert resume(project / "run", epochs=3, data=moved)["epoch"] == 3
    assert evaluate_run(project / "run")["set"] == "validation"  # the folder is remembered
    np.savez(moved / "test.npz", x=np.zeros((4, 6, 6, 1), np.float32), y=np.zeros(4, np.int64))
    with pytest.raises(WeightsError, match="the validation set is not what it was: 40 examples, now 4 examples"):
        resume(project / "run", data=moved)


def test_a_folder_of_images_that_has_moved(project: Path) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    for name in ("dark", "light", "other"):
        (project / "a" / "pictures" / name).mkdir(parents=True)
        for index in range(8):
            pixels = rng.integers(0, 255, (6, 6), dtype=np.uint8)
            Image.fromarray(pixels).save(project / "a" / "pictures" / name / f"{index}.png")
    source = "data.train={image_folder: {path: a/pictures, size: [6, 6], channels: 1}}"
    train(
        project / "recipe.yaml", project / "run", (source, "data.validation=", "data.validation_share=0.25", "epochs=1")
    )
    (project / "b").mkdir()
    shutil.move(project / "a", project / "b" / "a")
    assert resume(project / "run", data=project / "b", epochs=2)["epoch"] == 2


def test_the_held_out_share_is_what_validation_saw(project: Path) -> None:
    share = ("data.validation=", "data.validation_share=0.3", "monitor=loss")
    train(project / "recipe.yaml", project / "run", share)
    records = RunFolder(project / "run").records()
    best = min(record["validation_loss"] for record in records)
    found = evaluate_run(project / "run")
    assert (found["set"], found["examples"]) == ("validation_share", 30)
    assert found["loss"] == pytest.approx(best, rel=1e-6)


def test_nothing_to_evaluate_on(project: Path) -> None:
    train(project / "recipe.yaml", project / "run", ("data.validation=", "epochs=1"))
    with pytest.raises(SpecError, match="names neither a test nor a validation set"):
        evaluate_run(project / "run")
