"""Somebody's weights and a folder of photographs become a file that takes pictures and says their classes: README's
three commands."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from graphc import weights
from graphc.compiler import plan_spec
from graphc.initializers import initial_values
from graphc.runtime import Session
from graphc.train.recipe import read_recipe
from graphc.weights.safetensors_file import write_safetensors
from graphc.weights.theirs import exported
from tests.test_cli import Run, graphc  # noqa: F401
from tests.weights import files

CLASSES = ("ash", "birch", "elm", "oak", "yew")
FILE = "squeezenet1_1-b8a52dc0.safetensors"
OWN = """
graphc: 1
name: own
vars: {classes: 7}
inputs: {image: [N, 12, 12, 3]}
layers:
  - conv2d: {name: conv, filters: 4, kernel: 3, normalizer: batch_norm, activation: relu}
  - global_avg_pool2d: {name: pool}
  - fully_connected: {name: logits, units: "${classes}"}
outputs: {logits: logits}
"""


def photos(folder: Path, count: int, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        for index in range(count):
            Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(folder / name / f"{index}.png")


def test_three_commands(graphc: Run, tmp_path: Path) -> None:  # noqa: F811
    plan = plan_spec("squeezenet1_1")
    values = exported(plan, plan.graph.pretrained.sources["torchvision"], initial_values(plan.variables, 0))
    with (tmp_path / FILE).open("wb") as file:
        write_safetensors(file, values, {"format": "pt"})
    photos(tmp_path / "photos", 2, (40, 60))

    ended = graphc("new", "squeezenet1_1", "--data", "photos", "--weights", FILE)
    assert ended.code == 0, ended.err
    assert sorted(path.name for path in tmp_path.glob("*.yaml")) == ["recipe.yaml", "small.yaml"]
    recipe = read_recipe(tmp_path / "recipe.yaml")
    assert recipe.model.set == {"classes": 5}
    assert recipe.data.preprocess.mean == (0.485, 0.456, 0.406)
    assert recipe.data.resize.shorter_side == 256
    assert graphc("train", "recipe.yaml", "-o", "runs/net", "--set", "epochs=1").code == 0
    ended = graphc("compile", "runs/net", "-o", "net.onnx")
    assert ended.code == 0, ended.err

    told = graphc("predict", "runs/net", "photos/oak/0.png", "--top", "5")
    expected = {each["class"]: each["probability"] for each in json.loads(told.out)["top"]}
    assert sorted(expected) == list(CLASSES)
    told = graphc("run", "net.onnx", "photos/oak/0.png", "--top", "5")
    found = {each["class"]: each["probability"] for each in json.loads(told.out)["top"]}
    assert found == pytest.approx(expected, abs=1e-5)
    session = Session(str(tmp_path / "net.onnx"))
    assert [(port.dtype, port.shape) for port in session.inputs] == [("uint8", ("N", 224, 224, 3))]

    # the same names and their preparation for who does not train
    told = graphc("predict", "squeezenet1_1", "photos/oak", "--weights", FILE)
    assert [json.loads(line)["input"] for line in told.out.splitlines()] == ["photos/oak/0.png", "photos/oak/1.png"]
    compiled = graphc("compile", "squeezenet1_1", "--weights", FILE, "-o", "plain.onnx")
    assert compiled.code == 0, compiled.err
    by_file = json.loads(graphc("run", "plain.onnx", "photos/oak/0.png").out)
    assert json.loads(told.out.splitlines()[0])["class"] == by_file["class"]
    assert json.loads(told.out.splitlines()[0])["probability"] == pytest.approx(by_file["probability"], rel=1e-4)


def test_weights_with_rules_of_ones_own(graphc: Run, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "own.yaml").write_text(OWN)
    (tmp_path / "names.yaml").write_text("stem: conv\nnorm: conv/BatchNorm\nhead: logits\n")
    values = initial_values(plan_spec(tmp_path / "own.yaml").variables, 1)
    theirs = {"stem.weight": values["own/conv/weights"].transpose(3, 2, 0, 1).copy()}
    for ours, name in (("beta", "bias"), ("moving_mean", "running_mean"), ("moving_variance", "running_var")):
        theirs[f"norm.{name}"] = values[f"own/conv/BatchNorm/{ours}"]
    head = {"head.weight": values["own/logits/weights"].T.copy(), "head.bias": values["own/logits/biases"]}
    files.write_torch(tmp_path / "w.pth", theirs | head)
    photos(tmp_path / "photos", 4, (12, 14))
    arguments = ("new", "own.yaml", "--data", "photos", "--weights", "w.pth")
    assert "expected variables of own such as own/conv/weights" in graphc(*arguments).err
    assert graphc(*arguments, "--map", "names.yaml").code == 0
    recipe = read_recipe(tmp_path / "recipe.yaml")
    assert (recipe.init_from.map, recipe.init_from.exclude) == ("names.yaml", ("*/logits/*",))
    ended = graphc("train", "recipe.yaml", "-o", "run", "--set", "learning_rate=0", "--set", "epochs=1")
    assert "w.pth: 4 variables taken, 2 fresh, 2 unused" in ended.err
    kept = weights.load_variables(
        tmp_path / "run" / "best.safetensors", plan_spec(tmp_path / "own.yaml", ["classes=5"])
    )
    assert np.array_equal(kept[0]["own/conv/weights"], values["own/conv/weights"])

    # the same options everywhere
    for command in (("verify", "own.yaml"), ("compile", "own.yaml", "-o", "own.onnx"), ("report", "own.yaml")):
        assert "expected variables of own" in graphc(*command, "--weights", "w.pth").err
        ended = graphc(*command, "--weights", "w.pth", "--map", "names.yaml")
        assert ended.code == 0, ended.err
    assert graphc("eval", "run", "--weights", "run/best.safetensors").code == 0


def test_mistakes_are_said(graphc: Run, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "own.yaml").write_text(OWN.replace("vars: {classes: 7}\n", "").replace('"${classes}"', "7"))
    photos(tmp_path / "photos", 1, (12, 12))
    files.write_torch(tmp_path / "w.pth", {"a.weight": np.ones((3, 3), "f4")})
    (tmp_path / "names.yaml").write_text("a: b\n")
    for arguments, told in (
        (("new", "resnet18"), "expected a file such as resnet18.yaml, found resnet18, which the zoo has"),
        (("new", "resnet18", "--recipe", "--weights", "w.pth"), "--weights expects --data FOLDER"),
        (("new", "net.yaml", "--weights", "w.pth"), "--weights expects --data FOLDER"),
        (("new", "own.yaml", "--data", "photos", "--weights", "w.pth"), "expected a variable `classes`"),
        (("new", "resnet18", "--data", "photos", "--weights", "w.pth"), "expected variables of resnet18 such as"),
        (("predict", "resnet18", "photos"), "a SPEC predicts with --weights FILE"),
        (("predict", "resnet18", "photos", "--from", "timm"), "a SPEC predicts with --weights FILE"),
        (("predict", "resnet18", "photos", "--weights", "w.pth"), "expected variables of resnet18 such as"),
        (("predict", "resnet18", "photos", "--weights", "w.pth", "-o", "masks"), "masks in a folder are of a RUN"),
        (("verify", "resnet18", "--weights", "w.pth", "--from", "keras"), "it knows torchvision, timm"),
        (("verify", "resnet18", "--ema"), "say how --weights FILE is read: name one"),
        (("verify", "resnet18", "--weights", "w.pth", "--from", "timm", "--map", "names.yaml"), "either --from"),
        (("compile", "photos", "--set", "classes=5"), "--set is for a SPEC: a RUN has its own"),
        (("compile", "photos"), "expected the folder of a run, found no run.json in it"),
    ):
        ended = graphc(*arguments)
        assert (ended.code, ended.out) == (2, ""), ended.err
        assert told in ended.err
