"""`keep: memory` is `keep: files` with the files read once: batches of the same bytes, whatever augmentation does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from graphc.data.examples import split
from graphc.data.stored import StoredImages
from graphc.data.wanted import Wanted
from graphc.errors import DataError
from graphc.train.batching import augmenting, make_batches
from graphc.train.commands import evaluate_run, train
from graphc.train.datasets import read_set, read_sets
from graphc.train.distill import with_unlabeled
from graphc.train.recipe import read_recipe
from graphc.train.task import task_of

SPEC = """\
graphc: 1
name: tiny
inputs: {image: [N, 8, 8, 3]}
layers:
  - flatten
  - fully_connected: {name: logits, units: 2}
outputs: {logits: logits}
"""
RECIPE = """\
recipe: 1
model: tiny.yaml
data:
  train: {image_folder: {path: set, size: [8, 8]}}
loss: softmax_cross_entropy
optimizer: adam
learning_rate: 0.01
batch: 4
epochs: 1
"""
STEPS = ["random_crop", "random_resized_crop", "{side_scale: {side: [9, 14]}}", "{pad_crop: {pad: 2}}", "brightness"]


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(SPEC)
    Path("recipe.yaml").write_text(RECIPE)
    rng = np.random.default_rng(0)
    for number in range(12):
        path = Path("set") / "ab"[number % 2] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        size = rng.integers(10, 24, 2)
        Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(path)
    return tmp_path


def _sets(keep, *settings, limit=2**30):
    given = [f"data.train.image_folder.keep={keep}", *settings]
    recipe = read_recipe("recipe.yaml", given)
    task = task_of(recipe, Path())
    return task, read_sets(task, Path(), limit)


def _batches(keep, *settings, limit=2**30):
    task, sets = _sets(keep, *settings, limit=limit)
    made = make_batches(task, sets.train, augmenting(task, sets.train))
    rows = np.arange(len(sets.train))
    return [made.make(part, epoch).inputs["image"].copy() for epoch in range(2) for part in np.split(rows, 3)]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("more", ["", "data.train.image_folder.bad_files=skip", "data.resize=letterbox"])
def test_batches_are_the_same_bytes(project, step, more):
    settings = [f"data.augment=[{step}]", *([more] if more else [])]
    files, memory = _batches("files", *settings), _batches("memory", *settings)
    assert len(files) == len(memory) == 6
    for ours, theirs in zip(memory, files, strict=True):
        assert ours.tobytes() == theirs.tobytes()
    assert files[0].tobytes() != files[3].tobytes(), "the second epoch is augmented in another way"


def test_without_augmentation_too_and_in_little_memory(project):
    for ours, theirs in zip(_batches("memory"), _batches("files"), strict=True):
        assert ours.tobytes() == theirs.tobytes()
    _, sets = _sets("memory")
    assert not isinstance(sets.train.inputs["image"], StoredImages)


def test_what_does_not_fit_is_read_when_it_is_needed_and_said(project):
    step = "data.augment=[random_crop]"
    task, sets = _sets("memory", step, limit=4000)
    held = sets.train.inputs["image"]
    assert 0 < held.count_held < 12
    (note,) = [said for said in sets.said() if "fit into" in said]
    assert f"{held.count_held} of 12 images fit into 4,000 bytes (--max-memory), the others are read when" in note
    sizes = [image.pixels.nbytes for image in held.decoded if image is not None]
    assert sum(sizes) <= 4000 < sum(sizes) + held.read(held.count_held).nbytes
    for ours, theirs in zip(_batches("memory", step, limit=4000), _batches("files", step), strict=True):
        assert ours.tobytes() == theirs.tobytes()
    with pytest.raises(DataError, match="the limit is 1,000") as caught:
        _sets("memory", limit=1000)
    assert "`keep: files` reads each image when it is needed" in str(caught.value)
    train_part, rest = split(sets.train, 0.5, task.recipe.seed)
    assert train_part.inputs["image"].count_held + rest.inputs["image"].count_held == held.count_held


def test_runs_are_the_same(project):
    settings = ["data.augment=[random_crop, noise]", "data.validation_share=0.34", "epochs=2"]
    found = {}
    for keep in ("files", "memory"):
        train("recipe.yaml", keep, [f"data.train.image_folder.keep={keep}", *settings])
        found[keep] = evaluate_run(keep)
    assert found["files"] == found["memory"]
    assert Path("files/best.safetensors").read_bytes() == Path("memory/best.safetensors").read_bytes()


@pytest.mark.parametrize("keep", ["files", "memory"])
def test_unlabeled_images_are_augmented_from_their_own_size_too(project, keep):
    """Both sets together are what each is alone."""
    Path("more").mkdir()
    for path in sorted(Path("set").glob("*/*.png"))[:5]:
        Path("more", "c").mkdir(exist_ok=True)
        Path("more", "c", path.name).write_bytes(path.read_bytes())
    source = f"{{image_folder: {{path: %s, size: [8, 8], keep: {keep}}}}}"
    labeled, unlabeled = (
        read_set(_source(source % each), Path(), wanted=Wanted(whole=True)) for each in ("set", "more")
    )
    both = with_unlabeled(labeled, unlabeled, 2**30)
    assert both.targets["label"].tolist() == [*labeled.targets["label"].tolist(), *[-1] * 5]
    alone = [each.inputs["image"].read(row) for each in (labeled, unlabeled) for row in range(len(each))]
    for row, image in enumerate(alone):
        np.testing.assert_array_equal(both.inputs["image"].read(row), image)
    assert both.name(12).endswith("more/c/00.png")
    assert len({each.shape for each in alone}) > 3
    some = both.take(np.array([13, 2]))
    np.testing.assert_array_equal(some.inputs["image"].read(0), alone[13])
    np.testing.assert_array_equal(both.inputs["image"][np.arange(17)][13], unlabeled.inputs["image"][np.array([1])][0])


def _source(text):
    return read_recipe("recipe.yaml", [f"data.train={text}"]).data.train
