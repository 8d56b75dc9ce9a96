"""Recipes whose targets come from lists and COCO files, from the file to the log."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from graphc.errors import DataError, GraphcError
from graphc.report.look import stats
from graphc.train.commands import evaluate_run, predict, train
from graphc.train.losses.base import where_weighed

RECIPE = """\
recipe: 1
model: net.yaml
data: {train: {list: {path: train.csv, size: [6, 6]}}}
loss: softmax_cross_entropy
optimizer: adam
learning_rate: 0.05
batch: 8
epochs: 30
"""
NET = """\
graphc: 1
name: net
inputs: {image: [N, 6, 6, 3]}
layers:
  - flatten: {name: f}
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    for level in range(12):
        Image.new("RGB", (6, 6), (20 * level,) * 3).save(tmp_path / f"{level}.png")
    return tmp_path


def _net(project, **outputs):
    layers = "".join(f"  - fully_connected: {{name: {name}, units: {n}, inputs: f}}\n" for name, n in outputs.items())
    named = ", ".join(f"{name}: {name}" for name in outputs)
    (project / "net.yaml").write_text(f"{NET}{layers}outputs: {{{named}}}\n")


def _list(project, name, header, rows):
    (project / name).write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")


def _said(project, name="run"):
    return json.loads((project / name / "run.json").read_text())


def test_a_regression_from_csv_and_json_learns_the_numbers(project):
    _net(project, value=1)
    values = [round(0.7 * level - 2, 3) for level in range(12)]
    _list(project, "train.csv", "image,label", [(f"{level}.png", value) for level, value in enumerate(values)])
    rows = [{"image": f"{level}.png", "label": value} for level, value in enumerate(values)]
    (project / "train.json").write_text(json.dumps(rows))
    settings = ["loss=mean_squared", "metrics=[mae]", "epochs=150"]
    last = train(project / "recipe.yaml", project / "run", settings)
    assert last["mae"] < 0.3
    settings.append("data.train={list: {path: train.json, size: [6, 6]}}")
    again = train(project / "recipe.yaml", project / "b", settings)
    assert again["mae"] == last["mae"]
    predicted = [next(predict(project / "run", [str(project / f"{level}.png")]))["values"][0] for level in (0, 11)]
    np.testing.assert_allclose(predicted, [values[0], values[11]], atol=0.8)


def test_names_that_are_digits_are_one_class_in_folder_list_and_array(project):
    """Names of two digits: their order as texts is another than as numbers."""
    _net(project, logits=12)
    images = np.zeros((12, 36, 3), np.uint8)
    images[np.arange(12), np.arange(12)] = 255
    images = images.reshape(12, 6, 6, 3)
    for level, image in enumerate(images):
        (project / "folder" / str(level)).mkdir(parents=True)
        Image.fromarray(image).save(project / "folder" / str(level) / "a.png")
    _list(project, "some.csv", "image,label", [(f"folder/{level}/a.png", level) for level in (1, 2, 10, 11)])
    np.savez(project / "names.npz", x=images, y=np.array([str(level) for level in range(12)])[::-1], z=np.arange(12))
    sources = {
        "folder": "{image_folder: {path: folder, size: [6, 6]}}",
        "list": "{list: {path: some.csv, size: [6, 6]}}",
        "array": "{npz: {path: names.npz, targets: z}}",
    }
    settings = ["epochs=60", "metrics=[accuracy]"]
    train(project / "recipe.yaml", project / "run", [f"data.train={sources['folder']}", *settings])
    assert _said(project)["classes"] == [str(level) for level in range(12)]
    found = {}
    for name, source in {**sources, "reversed": "{npz: {path: names.npz}}"}.items():
        data = f"data: {{train: {source}, test: {source}}}\n"
        (project / "test.yaml").write_text(
            "".join(data if "data:" in line else line for line in RECIPE.splitlines(True))
        )
        found[name] = evaluate_run(project / "run", project / "test.yaml")["accuracy"]
    assert found == {"folder": 1, "list": 1, "array": 1, "reversed": 0}


def test_a_validation_list_counts_the_training_set_s_classes(project):
    _net(project, logits=3)
    levels = {"1": (0, 1, 2), "2": (5, 6, 7), "other": (9, 10, 11)}
    _list(project, "train.csv", "image,label", [(f"{n}.png", name) for name, each in levels.items() for n in each])
    _list(project, "val.csv", "image,label", [(f"{n}.png", name) for name in ("1", "2") for n in levels[name]])
    settings = ["data.validation={list: {path: val.csv, size: [6, 6]}}", "metrics=[accuracy]", "epochs=200"]
    assert train(project / "recipe.yaml", project / "run", settings)["validation_accuracy"] == 1
    assert next(predict(project / "run", [str(project / "6.png")]))["class"] == "2"
    _list(project, "val.csv", "image,label", [("0.png", "1"), ("9.png", "othr")])
    with pytest.raises(DataError, match=r"val\.csv:3:1.*found 'othr' \(did you mean 'other'\?\)"):
        train(project / "recipe.yaml", project / "b", settings)


def test_several_heads_from_columns_with_example_weights(project):
    _net(project, kind=2, age=1, findings=3)
    rows = [(f"{n}.png", ["low", "high"][n > 5], n / 4, "|".join("abc"[: n % 4]), int(n != 3)) for n in range(12)]
    rows[3] = (rows[3][0], "high", 1000, *rows[3][3:])  # it weighs nothing
    _list(project, "train.csv", "file,cls,age,tags,sure", rows)
    recipe = RECIPE.replace("list: {", "list: {columns: {image: file, kind: cls}, label_separator: '|', ")
    heads = """heads:
  - {output: kind, target: kind, loss: softmax_cross_entropy, example_weights: sure}
  - {output: age, target: age, loss: mean_squared, example_weights: sure}
  - {output: findings, target: tags, loss: sigmoid_cross_entropy}
"""
    (project / "recipe.yaml").write_text(recipe.replace("loss: softmax_cross_entropy\n", heads))
    last = train(project / "recipe.yaml", project / "run", ["epochs=200"])
    assert last["loss"] < 5
    assert _said(project)["target_classes"] == {"kind": ["high", "low"], "tags": ["a", "b", "c"]}
    found = next(predict(project / "run", [str(project / "11.png")]))
    assert found["heads"]["kind"]["class"] == "high"
    assert abs(found["heads"]["age"]["values"][0] - 11 / 4) < 0.6


def test_segmentation_from_coco(project):
    net = NET.replace("  - flatten: {name: f}\n", "  - conv2d: {name: logits, filters: 2, kernel: 1, padding: same}\n")
    (project / "net.yaml").write_text(net + "outputs: {logits: logits}\n")
    images, annotations = [], []
    for number in range(6):
        picture = np.zeros((6, 6, 3), np.uint8)
        picture[number // 2 :, 1:4] = 255
        Image.fromarray(picture).save(project / f"s{number}.png")
        images.append({"id": number, "file_name": f"s{number}.png", "height": 6, "width": 6})
        corners = [[1, number // 2, 4, number // 2, 4, 6, 1, 6]]
        box = [1, number // 2, 3, 6 - number // 2]
        annotations.append({"image_id": number, "category_id": 1, "bbox": box, "segmentation": corners})
    tree = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "bar"}]}
    (project / "coco.json").write_text(json.dumps(tree))
    recipe = RECIPE.replace("list: {path: train.csv,", "coco: {path: coco.json, masks: true,")
    heads = "heads: [{output: logits, target: mask, loss: softmax_cross_entropy}]\nmetrics: [accuracy]\n"
    (project / "recipe.yaml").write_text(recipe.replace("loss: softmax_cross_entropy\n", heads))
    assert train(project / "recipe.yaml", project / "run", ["epochs=60"])["accuracy"] == 1


REFUSED = {
    "text for values": (["loss=mean_squared"], r"train\.csv:2:1: error\[G405\]: label: expected a number, found 'a'"),
    "balanced values": (["loss=mean_squared", "data.balanced=true"], "`balanced` needs one label an example"),
    "stratified values": (
        ["loss=mean_squared", "data.stratified=true", "data.validation_share=0.5"],
        "a stratified split needs one label an example",
    ),
    "balanced lists": (["loss=sigmoid_cross_entropy", "data.balanced=true"], "found float32 of shape"),
}


@pytest.mark.parametrize(("settings", "words"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit(project, settings, words):
    labels = ["a", "b"] if "number" in words else [1, 2] if "mean_squared" in settings[0] else ["a|b", "c"]
    _net(project, logits=1 if "mean_squared" in settings[0] else 3)
    _list(project, "train.csv", "image,label", [(f"{n}.png", label) for n, label in enumerate(labels)])
    more = ["data.train={list: {path: train.csv, size: [6, 6], label_separator: '|'}}"]
    with pytest.raises(GraphcError, match=words):
        train(project / "recipe.yaml", project / "run", [*more, *settings])
    assert not (project / "run").exists()


def test_data_stats_say_what_lists_hold_and_what_is_not_read(project):
    _list(project, "train.csv", "image,label,split", [(f"{n}.png", "|".join("abc"[: n % 4]), "x") for n in range(8)])
    sources = "data.train={list: {path: train.csv, size: [6, 6], label_separator: '|'}}"
    rows = json.loads(stats(project / "recipe.yaml", [sources, "loss=sigmoid_cross_entropy"], "json", None))
    found = {row["what"]: row["value"] for row in rows}
    assert [found[f"class {name}"] for name in "abc"] == [6, 4, 2]
    assert found["note 1"] == "1 column not read: split"


BOXES = """\
recipe: 1
model: net.yaml
data:
  train: {coco: {path: train.json, size: [6, 6]}}
  validation: {coco: {path: validation.json, size: [6, 6]}}
heads:
  - {output: box, target: boxes, loss: {huber: {delta: 0.1}}, example_weights: boxes_there}
  - {output: kind, target: box_label, loss: softmax_cross_entropy, example_weights: boxes_there}
optimizer: adam
learning_rate: 0.01
batch: 4
epochs: 2
metrics: {box: [mae], kind: [accuracy]}
"""


def _coco(project, name, boxed):
    """Twelve images, boxes in some of them."""
    tree = {
        "images": [{"id": level, "file_name": f"{level}.png", "width": 6, "height": 6} for level in range(12)],
        "annotations": [{"id": n, "image_id": n, "category_id": 1 + n % 2, "bbox": [1, 1, 4, 3]} for n in boxed],
        "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
    }
    (project / name).write_text(json.dumps(tree))


def test_images_without_boxes_count_for_nothing(project):
    _net(project, box=4, kind=2)
    _coco(project, "train.json", [0, 3, 7])
    _coco(project, "validation.json", [5])
    (project / "recipe.yaml").write_text(BOXES)
    last = train(project / "recipe.yaml", project / "run")
    assert np.isfinite([last["loss"], last["validation_loss"], last["validation_mae_box"]]).all()
    (project / "recipe.yaml").write_text(BOXES.replace("batch: 4", "batch: 12"))
    whole = train(project / "recipe.yaml", project / "whole", ["epochs=1", "learning_rate=0"])
    cut = train(project / "recipe.yaml", project / "cut", ["epochs=1", "learning_rate=0", "batch=1"])
    assert whole["validation_loss"] == pytest.approx(cut["validation_loss"], rel=1e-6)


@pytest.mark.parametrize(
    ("old", "new", "boxed", "words", "note"),
    [
        (", example_weights: boxes_there}\n  - {output: kind", "}\n  - {output: kind", [1, 2], "found nan", True),
        ("cross_entropy, example_weights: boxes_there", "cross_entropy", [1, 2], "from 0 to 1, found -1", True),
        ("", "", [], "expected a weight above 0 in boxes_there, found none", False),
    ],
)
def test_images_without_boxes_are_not_learned_as_boxes(project, old, new, boxed, words, note):
    _net(project, box=4, kind=2)
    _coco(project, "train.json", boxed)
    _coco(project, "validation.json", [1])
    (project / "recipe.yaml").write_text(BOXES.replace(old, new))
    with pytest.raises(DataError, match=words) as caught:
        train(project / "recipe.yaml", project / "run")
    assert ("`example_weights: boxes_there` leaves out what is not there" in caught.value.notes) == note


def test_targets_that_weigh_nothing_are_zeros():
    target = np.array([[np.nan, 1], [2, 3]], np.float32)
    assert where_weighed(target, np.array([0, 1])).tolist() == [[0, 0], [2, 3]]
    assert where_weighed(target, np.array([[0, 1], [1, 1]])).tolist() == [[0, 1], [2, 3]]
    assert where_weighed(target, None) is target
    assert where_weighed(np.array([-1, 1]), np.array([0.0, 2.0])).tolist() == [0, 1]
    assert where_weighed(np.array([True, False]), np.array([0, 1])).dtype == bool
