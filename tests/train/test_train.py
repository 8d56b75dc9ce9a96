"""Whole runs: what a folder holds afterwards, what learns and what does not."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest

from graphc import weights
from graphc.cli import cli
from graphc.errors import DataError, SpecError, WeightsError
from graphc.train.commands import evaluate_run, predict, train


def _params(run):
    names = ("conv1/weights", "logits/weights", "logits/biases")
    return weights.load(run / "best.safetensors", {f"tiny/{n}": _shape(n) for n in names})[0]


def _shape(name):
    return {"conv1/weights": (3, 3, 1, 4), "logits/weights": (36, 3), "logits/biases": (3,)}[name]


def _train(project, *overrides, run="run"):
    return train(project / "recipe.yaml", project / run, overrides)


def test_a_run_learns_and_leaves_what_it_says(project):
    last = _train(project)
    assert last["validation_accuracy"] > 0.9
    there = {path.name for path in (project / "run").iterdir()}
    expected = {"recipe.json", "spec", "run.json", "metrics.jsonl", "timing.jsonl", "checkpoints", "lock"}
    assert there == expected | {"best.safetensors", "best.onnx"}
    records = [json.loads(line) for line in (project / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in records] == [1, 2, 3, 4]
    assert records[-1]["step"] == 28
    assert not any("second" in name or "time" in name for name in records[0])
    assert len(list((project / "run" / "checkpoints").iterdir())) == 4


def test_the_same_recipe_gives_the_same_bytes(project):
    for run in ("a", "b"):
        _train(project, "epochs=2", run=run)
    for name in ("metrics.jsonl", "best.safetensors", "best.onnx", "recipe.json"):
        assert (project / "a" / name).read_bytes() == (project / "b" / name).read_bytes(), name
    _train(project, "epochs=2", "seed=8", run="c")
    assert (project / "c" / "metrics.jsonl").read_bytes() != (project / "a" / "metrics.jsonl").read_bytes()


def test_the_onnx_file_is_the_best_weights(project):
    runtime = pytest.importorskip("onnxruntime", reason="the file is run")
    _train(project)
    session = runtime.InferenceSession(project / "run" / "best.onnx", providers=["CPUExecutionProvider"])
    with np.load(project / "test.npz") as data:
        (logits,) = session.run(None, {session.get_inputs()[0].name: data["x"]})
        accuracy = (logits.argmax(axis=1) == data["y"]).mean()
    assert accuracy == pytest.approx(evaluate_run(project / "run")["accuracy"])


@pytest.mark.parametrize(
    "override",
    [
        "accumulate=3",
        "drop_last=true",
        "dtype=float64",
        "steps=10",
        "data.preprocess={mean: fit, std: fit}",
        "clip={global_norm: 0.5, variable_norm: 0.4}",
        "optimizer=lamb",
        "log_steps=2",
        "warm_up={length: 3, unit: step}",
        "metrics=[accuracy, auc, f1, mean_iou, confusion_matrix, {top_k: {k: 2}}]",
        "data.preprocess_inputs={image: {scale: 2.0}}",
    ],
)
def test_every_setting_trains(project, override):
    extra = ["epochs="] if override.startswith("steps") else ["epochs=2"]
    last = _train(project, override, *extra)
    assert last["validation_accuracy"] > 0.5


def test_accumulating_is_one_large_batch(project):
    """Without batch norm and dropout, whose results depend on how a batch is cut."""
    spec = (project / "tiny.yaml").read_text()
    spec = spec.replace("normalizer: {batch_norm: {decay: 0.9}}, ", "").replace("{rate: 0.25}", "{rate: 0.0}")
    (project / "tiny.yaml").write_text(spec)
    common = ("epochs=1", "dtype=float64", "optimizer=momentum", "learning_rate=0.1", "metrics=[]")
    whole = _train(project, "batch=32", *common, run="a")
    parts = _train(project, "batch=8", "accumulate=4", *common, run="b")
    assert parts["loss"] == pytest.approx(whole["loss"], rel=1e-12)
    assert parts["validation_loss"] == pytest.approx(whole["validation_loss"], rel=1e-12)


def test_frozen_variables_stay(project):
    _train(project, "epochs=1", 'freeze=["*/conv1/*"]', "ema=", run="a")
    _train(project, "steps=1", "epochs=", "learning_rate=0", "ema=", run="b")
    a, b = _params(project / "a"), _params(project / "b")
    np.testing.assert_array_equal(a["tiny/conv1/weights"], b["tiny/conv1/weights"])
    assert (a["tiny/logits/weights"] != b["tiny/logits/weights"]).any()


def test_frozen_statistics_are_used(project):
    """With everything but the head frozen, training sees the body as evaluation does."""
    (project / "tiny.yaml").write_text((project / "tiny.yaml").read_text().replace("{rate: 0.25}", "{rate: 0.0}"))
    common = ("epochs=1", "learning_rate=0", "ema=", "data.validation.npz.path=train.npz")
    frozen = _train(project, *common, 'freeze=["*/conv1/*"]', run="a")
    assert frozen["loss"] == pytest.approx(frozen["validation_loss"], rel=1e-6)
    free = _train(project, *common, run="b")
    assert free["loss"] != pytest.approx(free["validation_loss"], rel=1e-3)


def test_multipliers_scale_the_rate(project):
    common = ("epochs=", "steps=1", "optimizer=sgd", "ema=", "schedule=constant", "metrics=[]")
    runs = {"zero": ("learning_rate=0",), "one": (), "ten": ('multipliers={"*/logits/*": 10}',)}
    found = {}
    for run, extra in runs.items():
        _train(project, *common, *extra, run=run)
        found[run] = _params(project / run)
    moved = {run: found[run]["tiny/logits/weights"] - found["zero"]["tiny/logits/weights"] for run in ("one", "ten")}
    np.testing.assert_allclose(moved["ten"], 10 * moved["one"], rtol=1e-4, atol=1e-7)
    np.testing.assert_array_equal(found["ten"]["tiny/conv1/weights"], found["one"]["tiny/conv1/weights"])


def test_regularizers_are_in_the_loss(project):
    with_them = _train(project, "steps=1", "epochs=", run="a")
    spec = (project / "tiny.yaml").read_text().replace("weights_regularizer: {l2: 0.001}", "weights_regularizer: none")
    (project / "tiny.yaml").write_text(spec)
    without = _train(project, "steps=1", "epochs=", run="b")
    start = _train(project, "steps=1", "epochs=", "learning_rate=0", "ema=", run="c")
    assert start["loss"] == without["loss"]
    squares = sum(float((value**2).sum()) for name, value in _params(project / "c").items() if "biases" not in name)
    assert with_them["loss"] - without["loss"] == pytest.approx(0.001 * squares / 2, rel=1e-4)


def test_early_stopping(project):
    still = ("learning_rate=0", "freeze=*/moving_*")
    last = _train(project, "epochs=50", *still, "ema=", "early_stopping={patience: 2}")
    assert last["epoch"] == 3


def test_two_losses_on_one_output(project):
    heads = "heads=[{output: logits, loss: softmax_cross_entropy}, {output: logits, loss: hinge, weight: 0.1}]"
    _train(project, "loss=", heads, "epochs=1")
    kept = json.loads((project / "run" / "recipe.json").read_text())
    assert [next(iter(head["loss"])) for head in kept["heads"]] == ["softmax_cross_entropy", "hinge"]
    record = json.loads((project / "run" / "metrics.jsonl").read_text())
    assert record["loss_logits"] > 0
    assert record["loss_logits_2"] > 0
    assert record["loss"] > record["loss_logits"] + 0.1 * record["loss_logits_2"]


def test_ignored_labels_do_not_count(project):
    settings = ["loss={softmax_cross_entropy: {ignore: 255}}", "metrics=[accuracy, {top_k: {k: 2}}, f1, mean_iou, auc]"]
    _train(project, *settings)
    expected = evaluate_run(project / "run", project / "recipe.yaml")
    for name in ("train", "test"):
        with np.load(project / f"{name}.npz") as data:
            x, y = np.concatenate([data["x"], data["x"][:9]]), np.concatenate([data["y"], np.full(9, 255)])
        np.savez(project / f"{name}.npz", x=x, y=y)
    found = evaluate_run(project / "run", project / "recipe.yaml")
    assert (expected.pop("examples"), found.pop("examples")) == (40, 49)
    assert expected.pop("loss") == pytest.approx(found.pop("loss"), rel=0.3)
    assert found == expected
    assert _train(project, *settings, run="b")["accuracy"] > 0.8  # in training too


def test_heads(project):
    spec = (project / "tiny.yaml").read_text()
    spec = spec.replace("outputs:", "  - fully_connected: {name: aux, inputs: conv1, units: 3}\noutputs:")
    spec = spec.replace("- fully_connected: {name: aux, inputs: conv1", "- flatten: {name: flat, inputs: conv1}\n"
                        "  - fully_connected: {name: aux, inputs: flat")  # fmt: skip
    spec = spec.replace("outputs: {logits: logits}", "outputs: {logits: logits, aux: aux}")
    (project / "tiny.yaml").write_text(spec)
    heads = "heads=[{output: logits, loss: softmax_cross_entropy}, {output: aux, loss: hinge, weight: 0.3}]"
    last = _train(project, "loss=", heads)
    assert last["loss"] > last["loss_logits"] + 0.3 * last["loss_aux"]
    assert last["validation_accuracy"] > 0.8
    (row, *_) = predict(project / "run", [str(project / "test.npz")])
    assert list(row["heads"]) == ["logits", "aux"]
    assert row["heads"]["logits"] == {"class": row["class"], "probability": row["probability"]}
    assert "score" in row["heads"]["aux"]
    _train(project, "loss=", heads.replace("]", ", {output: logits, loss: hinge}]"), "epochs=1", run="three")
    (row, *_) = predict(project / "three", [str(project / "test.npz")])
    assert list(row["heads"]) == ["logits", "aux"]
    assert row["probability"] == row["heads"]["logits"]["probability"]
    single = _train(project, "epochs=1", run="by_name")
    assert "loss_aux" not in single


def test_warm_start(project):
    _train(project, run="a")
    last = _train(project, "epochs=1", "learning_rate=0", "ema=", "init_from={path: a/best.safetensors}", run="b")
    assert last["validation_accuracy"] == evaluate_run(project / "a")["accuracy"]
    spec = (project / "tiny.yaml").read_text().replace("units: 3", "units: 4").replace("name: tiny", "name: other")
    (project / "other.yaml").write_text(spec)
    start = 'init_from={path: a/best.safetensors, rename: {"other/": "tiny/"}}'
    with pytest.raises(WeightsError, match="2 of 6 variables cannot be taken") as caught:
        _train(project, "model=other.yaml", start, run="c")
    assert "other/logits/weights: expected 36×4, found 36×3" in str(caught.value)
    start = 'init_from={path: a/best.safetensors, exclude: ["*/logits/*"], rename: {"other/": "tiny/"}}'
    assert _train(project, "model=other.yaml", start, run="d")["epoch"] == 4


def test_warm_start_gives_one_array_to_two_variables_of_its_shape_only(project):
    _train(project, "epochs=1", run="a")
    start = 'init_from={path: a/best.safetensors, rename: {"tiny/logits": "tiny/conv1"}}'
    with pytest.raises(WeightsError, match="variables cannot be taken") as caught:
        _train(project, start, run="b")
    assert "expected 36×3, found 3×3×1×4" in str(caught.value) or "expected 3×3×1×4, found 36×3" in str(caught.value)


def test_warm_start_from_onnx(project):
    """A new head on a body from an ONNX file that was compiled without folding."""
    from graphc.compiler import Emission, compile_spec

    _train(project, run="a")
    body = project / "body.onnx"
    compile_spec(project / "tiny.yaml", body, weights_from=project / "a" / "best.safetensors", how=Emission(fold=False))
    common = ("epochs=1", "learning_rate=0", "ema=")
    last = _train(project, *common, "init_from={path: body.onnx}", run="b")
    assert last["validation_accuracy"] == evaluate_run(project / "a")["accuracy"]
    (project / "tiny.yaml").write_text((project / "tiny.yaml").read_text().replace("units: 3", "units: 4"))
    _train(project, *common, 'init_from={path: body.onnx, exclude: "*/logits/*"}', run="c")
    np.testing.assert_array_equal(_params(project / "a")["tiny/conv1/weights"], _conv1(project / "c"))
    with pytest.raises(WeightsError, match="batch norms are folded"):
        _train(project, "init_from={path: a/best.onnx}", run="d")


def _conv1(run):
    return weights.load(run / "best.safetensors", {"tiny/conv1/weights": (3, 3, 1, 4)})[0]["tiny/conv1/weights"]


def test_weights_that_are_no_numbers_begin_no_training(project):
    from graphc.compiler import Emission, compile_spec

    compile_spec(project / "tiny.yaml", project / "a.onnx", weights_to=project / "a.npz", how=Emission(fold=False))
    with np.load(project / "a.npz") as file:
        arrays = dict(file)
    arrays["tiny/logits/biases"][1] = np.nan
    np.savez(project / "a.npz", **arrays)
    model = onnx.load(project / "a.onnx")
    (biases,) = [each for each in model.graph.initializer if each.name == "tiny/logits/biases"]
    biases.CopyFrom(onnx.numpy_helper.from_array(arrays["tiny/logits/biases"], biases.name))
    onnx.save(model, project / "a.onnx")
    for path in ("a.npz", "a.onnx"):
        with pytest.raises(WeightsError, match="G307") as caught:
            _train(project, f"init_from={{path: {path}}}", run="b")
        assert "tiny/logits/biases: 1 number of 3 NaN" in str(caught.value)
        _train(project, f'init_from={{path: {path}, exclude: "*/logits/*"}}', "epochs=1", run=f"without {path}")


def test_predict_names_classes(project):
    _train(project)
    with np.load(project / "test.npz") as data:
        found = list(predict(project / "run", [str(project / "test.npz")], top=2))
        right = np.mean([row["class"] == str(label) for row, label in zip(found, data["y"], strict=True)])
    assert right == evaluate_run(project / "run")["accuracy"]
    assert found[3]["input"].endswith("test.npz[3]")
    assert found[0]["top"][0]["probability"] >= found[0]["top"][1]["probability"]
    with pytest.raises(SpecError, match=r"expected images, \.npz files or folders, found x\.txt"):
        list(predict(project / "run", ["x.txt"]))


@pytest.mark.parametrize(
    ("loss", "what"), [("mean_squared", None), ("sigmoid_cross_entropy", "probability"), ("hinge", "score")]
)
def test_predict_says_what_the_loss_makes_of_an_output(project, loss, what):
    for name in ("train", "test"):
        with np.load(project / f"{name}.npz") as data:
            np.savez(project / f"{name}.npz", x=data["x"], y=np.eye(3, dtype=np.float32)[data["y"]])
    _train(project, f"loss={loss}", "epochs=1", "data.train.npz.classes=[dark]", "metrics=[]")
    (row, *_) = predict(project / "run", [str(project / "test.npz")], top=3)
    if what is None:
        assert len(row["values"]) == 3
        return
    assert {each["class"] for each in row["top"]} == {"dark", "1", "2"}
    numbers = [each[what] for each in row["top"]]
    assert numbers == sorted(numbers, reverse=True)
    assert sum(numbers) != pytest.approx(1, abs=1e-3)


def test_predict_takes_probabilities_as_they_are(project):
    spec = (project / "tiny.yaml").read_text().replace("outputs: {logits: logits}", "  - softmax: {name: p}")
    (project / "tiny.yaml").write_text(f"{spec}outputs: {{p: p}}\n")
    _train(project, "loss=log", "epochs=2")
    (row, *_) = predict(project / "run", [str(project / "test.npz")], top=3)
    assert sum(each["probability"] for each in row["top"]) == pytest.approx(1)
    assert row["probability"] > 0.6


def test_pixels_and_weights(project):
    """Labels a pixel, some ignored; examples weighed by a target of the data."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(60, 6, 6, 1)).astype(np.float32)
    labels = (images[..., 0] > 0).astype(np.int64)
    labels[:, 0, 0] = 255
    wrong = rng.random(60) < 0.3
    labels[wrong] = 1 - np.minimum(labels[wrong], 1)
    np.savez(project / "pixels.npz", x=images, y=labels, w=1.0 - wrong)
    spec = "graphc: 1\nname: pixels\ninputs: {image: [N, 6, 6, 1]}\nlayers: [{conv2d: {filters: 2, kernel: 1}}]\n"
    (project / "tiny.yaml").write_text(spec)
    source = "{npz: {path: pixels.npz, targets: {mask: y, trust: w}}}"
    loss = "{softmax_cross_entropy: {ignore: 255}}"
    head = f"heads=[{{output: output, loss: {loss}, target: mask, example_weights: trust}}]"
    metrics = "metrics=[{mean_iou: {ignore: 255}}]"
    common = ("loss=", head, metrics, "learning_rate=0.3", "epochs=20", f"data.train={source}", "ema=")
    last = _train(project, *common, f"data.validation={source}")
    assert last["mean_iou"] > 0.45  # three tenths of the pictures have their labels turned round
    np.savez(project / "pixels.npz", x=images, y=np.minimum((images[..., 0] > 0), 1).astype(np.int64), w=np.ones(60))
    assert evaluate_run(project / "run")["mean_iou"] > 0.95


def test_values_instead_of_classes(project):
    images = np.random.default_rng(0).normal(size=(80, 6, 6, 1)).astype(np.float32)
    np.savez(project / "train.npz", x=images, y=images.mean(axis=(1, 2, 3)))
    np.savez(project / "test.npz", x=images, y=images.mean(axis=(1, 2, 3)))
    layers = "layers: [flatten, {fully_connected: {units: 1}}]"
    (project / "tiny.yaml").write_text(f"graphc: 1\nname: mean\ninputs: {{image: [N, 6, 6, 1]}}\n{layers}\n")
    last = _train(project, "loss=mean_squared", "metrics=[mae]", "epochs=30", "optimizer=adam", "ema=")
    assert last["validation_mae"] < 0.05  # of 0.13 for a constant
    assert last["validation_loss"] < 0.004


def test_folders_of_images(project):
    from PIL import Image

    rng = np.random.default_rng(0)
    for name, level in (("dark", 60), ("light", 190)):
        (project / "pictures" / name).mkdir(parents=True)
        for index in range(12):
            pixels = rng.integers(level - 50, level + 50, (9, 7), dtype=np.uint8)
            Image.fromarray(pixels).save(project / "pictures" / name / f"{index}.png")
    (project / "tiny.yaml").write_text((project / "tiny.yaml").read_text().replace("units: 3", "units: 2"))
    source = "data.train={image_folder: {path: pictures, size: [6, 6], channels: 1}}"
    _train(
        project, source, "data.validation=", "data.validation_share=0.25", "epochs=20", "data.preprocess={mean: fit}"
    )
    found = list(predict(project / "run", [str(project / "pictures" / "light" / "3.png")]))
    assert found[0]["class"] == "light"
    (project / "pictures" / "dark" / "4.png").write_bytes(b"\x89PNG")
    with pytest.raises(DataError, match=r"4\.png"):
        _train(project, source, "data.validation=", run="b")


def test_classes_are_compared_by_name(project):
    from PIL import Image

    for part, names in (("train", "abc"), ("test", "bc"), ("other", "bd")):
        for level, name in enumerate("abcd"):
            if name in names:
                (project / part / name).mkdir(parents=True)
                for index in range(8):
                    picture = np.full((6, 6), 20 + 60 * level + index, np.uint8)
                    Image.fromarray(picture).save(project / part / name / f"{index}.png")
    source = "{{image_folder: {{path: {}, size: [6, 6], channels: 1}}}}".format
    settings = [f"data.train={source('train')}", "epochs=30", "data.preprocess={mean: fit, std: fit}"]
    last = _train(project, *settings, f"data.validation={source('test')}", f"data.test={source('test')}")
    assert last["validation_accuracy"] == 1
    assert evaluate_run(project / "run")["accuracy"] == 1
    with pytest.raises(DataError, match=r"expected the training set's classes \(a, b, c\), found 'd'"):
        _train(project, *settings, f"data.validation={source('other')}", run="b")


def test_a_recipe_called_recipe_lends_its_folders_name(project, monkeypatch):
    monkeypatch.chdir(project)
    cli.main(["train", "recipe.yaml", "--set", "epochs=1", "-q"], standalone_mode=False)
    assert (project / "runs" / project.name / "best.onnx").exists()
