"""Runs of strangers whose numbers are too large, or are nobody's: best weights, preprocessing."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from graphc.data.preprocess import FittedPreprocess, Preprocess
from graphc.data.value_range import ValueRange
from graphc.errors import GraphcError
from graphc.report.page.report import report_runs
from graphc.report.page.runs import read_run
from graphc.train.commands import evaluate_run, train
from graphc.train.predict import predict
from graphc.weights.safetensors_file import SafetensorsFile, write_safetensors
from tests.train.conftest import write_tiny_project


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = write_tiny_project(tmp_path_factory.mktemp("run"), 32, 16)
    np.savez(folder / "images.npz", x=np.ones((2, 6, 6, 1), np.float32))
    train(folder / "recipe.yaml", folder / "run", ["epochs=1"])
    return folder / "run"


def with_best(run, tmp_path, arrays):
    """A copy of the run with these among its best weights."""
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    with (copy / "best.safetensors").open("rb") as file:
        stored = SafetensorsFile(file, "")
        kept, metadata = {name: stored.read(name) for name in stored.names}, stored.metadata
    with (copy / "best.safetensors").open("wb") as file:
        write_safetensors(file, {**kept, **arrays}, metadata)
    return copy


def report(copy, images):
    return report_runs([read_run(str(copy))], print)


READS = {
    "eval": lambda copy, images: evaluate_run(copy),
    "predict": lambda copy, images: list(predict(copy, [str(images)])),
    "report": report,
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_an_array_that_nobody_asks_for(run, tmp_path, read):
    copy = with_best(run, tmp_path, {"nobody": np.zeros(3, np.float32)})
    with pytest.raises(GraphcError, match=r"best.safetensors: error\[G306\]: .*alone, found 1 other array\n  nobody"):
        read(copy, run.parent / "images.npz")


@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_weights_that_are_too_large(run, tmp_path, read):
    large = {"tiny/conv1/weights": (3, 3, 1, 4), "tiny/logits/weights": (36, 3)}
    copy = with_best(run, tmp_path, {name: np.full(shape, 3e38, np.float32) for name, shape in large.items()})
    with pytest.raises(GraphcError, match=r"G620.*finite: numbers of the weights are too large"):
        read(copy, run.parent / "images.npz")


@pytest.mark.parametrize("numbers", [{"std": [0]}, {"scale": 1e308}, {"mean": [1e300]}, {"std": [1e-320]}], ids=str)
def test_numbers_that_float32_does_not_hold(run, tmp_path, numbers):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    recipe = json.loads((copy / "recipe.json").read_text())
    recipe["data"]["preprocess"].update(numbers)
    (copy / "recipe.json").write_text(json.dumps(recipe))
    with pytest.raises(GraphcError, match=r"recipe.json:1:\d+: error.G604.*expected"):
        evaluate_run(copy)


def test_images_that_preprocessing_makes_infinite():
    done = FittedPreprocess(Preprocess(scale=1e37))
    with pytest.raises(GraphcError, match=r"G404.*whose results are finite"):
        done.apply(np.full((1, 2, 2, 1), 255, np.uint8), np.empty((1, 2, 2, 1), np.float32))
    with pytest.raises(GraphcError, match=r"G404.*whose results are finite"):
        done.check_numbers((2, 2, 1), ValueRange(0, 255), 1.0, "float32")
