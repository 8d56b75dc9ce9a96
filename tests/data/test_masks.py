"""What the values of masks mean, in files and in arrays: said by the recipe, checked against the loss."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from graphc.data.images import decode_mask_with_tag
from graphc.errors import DataError, Place, SpecError
from graphc.train.batching import augmenting, make_batches
from graphc.train.commands import train
from graphc.train.datasets import read_sets
from graphc.train.recipe import dump_recipe, read_recipe, read_recipe_text
from graphc.train.task import task_of

SPEC = """\
graphc: 1
name: masks
vars: {classes: 1}
inputs: {image: [N, 8, 8, 3]}
layers:
  - conv2d: {name: logits, filters: "${classes}", kernel: 3}
outputs: {logits: logits}
"""
RECIPE = """\
recipe: 1
model: {spec: net.yaml, set: {classes: 1}}
data:
  train: {list: {path: list.csv, size: [8, 8]}}
heads:
  - {output: logits, target: mask, loss: sigmoid_cross_entropy}
optimizer: adam
learning_rate: 0.1
batch: 4
epochs: 3
metrics: [accuracy, mean_iou]
"""


@pytest.fixture
def masks(tmp_path):
    """Eight images whose brighter half is the object; masks of 0 and 255."""
    rng = np.random.default_rng(0)
    lines = ["image,mask"]
    for number in range(8):
        mask = np.zeros((8, 8), np.uint8)
        mask[:, : rng.integers(2, 7)] = 255
        image = (mask[..., None] // 2 + rng.integers(0, 60, (8, 8, 3))).astype(np.uint8)
        Image.fromarray(image).save(tmp_path / f"{number}.png")
        Image.fromarray(mask).save(tmp_path / f"m{number}.png")
        lines.append(f"{number}.png,m{number}.png")
    (tmp_path / "list.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "net.yaml").write_text(SPEC)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return tmp_path


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "I;16", "1"])
def test_gray_masks_that_are_stored_otherwise(tmp_path, mode):
    values = np.arange(48, dtype=np.uint8).reshape(6, 8) % 2
    Image.fromarray(values * (255 if mode == "1" else 1)).convert(mode).save(tmp_path / "m.png")
    np.testing.assert_array_equal(decode_mask_with_tag((tmp_path / "m.png").read_bytes(), "m.png").pixels, values)


@pytest.mark.parametrize(
    ("color", "mode", "name", "words"),
    [
        ((128, 0, 0), "RGB", "m.png", "in gray or with a palette, found one in RGB"),
        ((7, 7, 7, 9), "RGBA", "m.png", "found one in RGBA"),
        (1, "L", "m.jpg", "kept exactly, found JPEG, which changes values: save it as PNG"),
        (1, "L", "m.webp", "kept exactly, found WEBP"),
    ],
)
def test_masks_whose_values_are_no_classes(tmp_path, color, mode, name, words):
    Image.new(mode, (8, 6), color).save(tmp_path / name)
    with pytest.raises(DataError, match=words):
        decode_mask_with_tag((tmp_path / name).read_bytes(), name)


LOSSES = ["sigmoid_cross_entropy", "sigmoid_focal", "hinge", "dice"]


@pytest.mark.parametrize("loss", LOSSES)
def test_masks_of_0_and_255_are_refused_with_what_to_write(masks, loss):
    (masks / "recipe.yaml").write_text(RECIPE.replace("sigmoid_cross_entropy", loss))
    with pytest.raises(
        DataError, match=r"m\d.png: error\[G405\]: expected a mask with 0 or 1, found 255 at row 0"
    ) as caught:
        train(masks / "recipe.yaml", masks / "run")
    assert "say on the source what it means: `mask_values: {255: 1}`" in str(caught.value)


@pytest.mark.parametrize("loss", LOSSES)
def test_mask_values_say_what_they_mean(masks, loss):
    (masks / "recipe.yaml").write_text(RECIPE.replace("sigmoid_cross_entropy", loss))
    said = train(masks / "recipe.yaml", masks / "run", ["data.train.list.mask_values={255: 1}", "epochs=20"])
    assert said["loss"] >= 0
    assert said["accuracy"] > 0.9


def test_more_classes_and_what_is_ignored(masks):
    softmax = ["model.set.classes=3", "heads=[{output: logits, target: mask, loss: softmax_cross_entropy}]"]
    with pytest.raises(DataError, match="expected a mask with classes from 0 to 2, found 255"):
        train(masks / "recipe.yaml", masks / "a", softmax)
    ignoring = softmax[1].replace("softmax_cross_entropy}", "{softmax_cross_entropy: {ignore: 255}}}")
    assert train(masks / "recipe.yaml", masks / "b", [softmax[0], ignoring])["accuracy"] > 0.5


def test_masks_in_arrays(masks):
    values = np.zeros((8, 8, 8), np.uint8)
    values[:, :4] = 255
    np.savez(masks / "data.npz", x=np.zeros((8, 8, 8, 3), np.uint8), mask=values)
    source = "data.train={npz: {path: data.npz, targets: {mask: mask}}}"
    with pytest.raises(DataError, match=r"mask_values: \{255: 1\}"):
        train(masks / "recipe.yaml", masks / "a", [source])
    said = train(
        masks / "recipe.yaml", masks / "b", [source.replace("data.npz,", 'data.npz, mask_values: {"255": 1},')]
    )
    assert said["loss"] >= 0


@pytest.mark.parametrize("keys", ["{255: 1, 7: 0}", '{"255": 1, "7": 0}', "{255: 1, '7': 0}"])
def test_values_are_written_as_numbers_or_as_text(masks, keys):
    text = RECIPE.replace("list.csv", f"list.csv, mask_values: {keys}")
    assert read_recipe_text(text).data.train.mask_values == {255: 1, 7: 0}
    assert read_recipe_text(dump_recipe(read_recipe_text(text))) == read_recipe_text(text)


@pytest.mark.parametrize("key", ["road", "'07'", "' 7'", "1_0"])
def test_keys_that_are_no_whole_numbers(masks, key):
    text = RECIPE.replace("list.csv", f"list.csv, mask_values: {{{key}: 1}}")
    with pytest.raises(SpecError, match=r"recipe.yaml:\d+:\d+: error\[G604\]: .* whole numbers as keys"):
        read_recipe_text(text)


def _augmented(folder, *overrides):
    """(masks, whether there is image at each pixel) of an epoch that shifts images far."""
    shifted = "data.augment=[{shift: {share: 0.9}}, {shift: {share: 0.9, probability: 0.5}}]"
    recipe = read_recipe(folder / "recipe.yaml", [shifted, "model.set.classes=3", "batch=8", *overrides])
    task = task_of(recipe, folder)
    examples = read_sets(task, folder).train
    batches = make_batches(task, examples, augmenting(task, examples), training=True)
    batch = batches.make(np.arange(8), epoch=0)
    return batch.targets["mask"], batch.inputs["image"].sum(axis=-1) > 0


HEADS = "heads=[{output: logits, target: mask, loss: {softmax_cross_entropy: %s}}]"


@pytest.mark.parametrize(
    ("loss", "more", "fill"),
    [("{ignore: 200}", [], 200), ("{ignore: -1}", [], -1), ("{}", [], 0), ("{}", ["data.mask_fill=2"], 2),
     ("{ignore: 200}", ["data.mask_fill=1"], 1)],
)  # fmt: skip
def test_what_augmentation_brings_in_is_ignored_where_something_is(masks, loss, more, fill):
    values = 'data.train.list.mask_values={"255": 1}'
    found, inside = _augmented(masks, HEADS % loss, values, *more)
    assert (~inside).mean() > 0.2
    assert (found[~inside] == fill).all()
    assert set(np.unique(found[inside])) == {0, 1}


def test_a_fill_that_the_loss_does_not_take(masks):
    with pytest.raises(
        SpecError, match=r"mask_fill: expected a class from 0 to 2 or 9, which is ignored, found 7"
    ) as e:
        _augmented(masks, HEADS % "{ignore: 9}", "data.mask_fill=7")
    assert e.value.place == Place("--set")


def test_maps_that_are_not_called_mask_do_not_stay_behind(masks):
    np.savez(masks / "data.npz", x=np.zeros((8, 8, 8, 3), np.uint8), y=np.zeros((8, 8, 8), int))
    source = "data.train={npz: {path: data.npz}}"
    heads = "heads=[{output: logits, loss: softmax_cross_entropy}]"
    with pytest.raises(DataError, match="augment moves images, but not the target 'label' of 8×8"):
        _augmented(masks, source, heads)
