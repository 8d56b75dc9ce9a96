"""`graphc new --recipe`: a spec and a recipe that fit each other and the data that are there."""

from __future__ import annotations

import gzip
import os
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from graphc.compiler import plan_spec
from graphc.errors import DataError, MachineError, SpecError
from graphc.train.commands import evaluate_run, train
from graphc.train.new import new
from graphc.train.recipe import read_recipe

QUICK = ("epochs=1", "batch=8")


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write_idx(path: Path, array: np.ndarray) -> None:
    header = struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    data = header + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def write_mnist(folder: Path, ending: str = ".gz", parts: tuple[str, ...] = ("train", "t10k")) -> None:
    rng = np.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    for part in parts:
        write_idx(folder / f"{part}-images-idx3-ubyte{ending}", rng.integers(0, 256, (40, 28, 28)))
        write_idx(folder / f"{part}-labels-idx1-ubyte{ending}", np.arange(40) % 10)


def write_images(
    folder: Path, classes: tuple[str, ...], size: tuple[int, int], mode: str = "RGB", count: int = 20
) -> None:
    rng = np.random.default_rng(0)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for index in range(count):
            shape = (*size[::-1], 3) if mode == "RGB" else size[::-1]
            Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(folder / name / f"{index}.png")


def test_without_data_it_is_for_mnists_files_beside_it(tmp_path: Path) -> None:
    assert new("net.yaml", "recipe.yaml", None, False) == [
        "wrote net.yaml: next, graphc show net.yaml",
        "wrote recipe.yaml: next, with MNIST's four files beside it, graphc train recipe.yaml",
    ]
    write_mnist(tmp_path)
    train("recipe.yaml", "run", QUICK)
    assert evaluate_run("run")["set"] == "test"


@pytest.mark.parametrize("ending", [".gz", ""])
def test_mnists_files_in_a_folder(tmp_path: Path, ending: str) -> None:
    write_mnist(tmp_path / "digits", ending)
    new("net.yaml", "recipe.yaml", "digits", False)
    data = read_recipe("recipe.yaml").data
    assert data.train.images == f"digits/train-images-idx3-ubyte{ending}"
    assert data.test.images == f"digits/t10k-images-idx3-ubyte{ending}"
    train("recipe.yaml", "run", QUICK)


def test_without_a_test_set(tmp_path: Path) -> None:
    write_mnist(tmp_path / "digits", parts=("train",))
    new("net.yaml", "recipe.yaml", "digits", False)
    assert read_recipe("recipe.yaml").data.test is None


@pytest.mark.parametrize(
    ("size", "mode", "side", "channels"), [((40, 30), "RGB", 30, 3), ((100, 90), "RGB", 64, 3), ((32, 32), "L", 32, 1)]
)
def test_a_folder_of_images(tmp_path: Path, size: tuple[int, int], mode: str, side: int, channels: int) -> None:
    write_images(tmp_path / "my photos", ("cat", "dog", "owl"), size, mode)
    new("net.yaml", "recipe.yaml", "my photos", False)
    plan = plan_spec("net.yaml")
    assert plan.graph.inputs[0].shape == (side, side, channels)
    assert plan.nodes[-1].shape == (3,)
    train("recipe.yaml", "run", QUICK)
    found = evaluate_run("run")
    assert (found["set"], found["examples"]) == ("validation_share", 6)


def test_a_folder_with_parts(tmp_path: Path) -> None:
    for part in ("train", "val", "Test"):
        write_images(tmp_path / "photos" / part, ("cat", "dog"), (20, 20), count=8)
    new("net.yaml", "recipe.yaml", "photos", False)
    data = read_recipe("recipe.yaml").data
    assert [data.train.path, data.validation.path, data.test.path] == ["photos/train", "photos/val", "photos/Test"]
    train("recipe.yaml", "run", QUICK)


def test_a_spec_that_is_there_stays_and_the_recipe_sets_its_variables(tmp_path: Path) -> None:
    write_images(tmp_path / "photos", ("cat", "dog"), (20, 20))
    new("net.yaml", None, None, False)
    before = Path("net.yaml").read_bytes()
    said = new("net.yaml", "recipe.yaml", "photos", False)
    assert said[0] == "net.yaml is there already and stays as it is"
    assert Path("net.yaml").read_bytes() == before
    assert read_recipe("recipe.yaml").model.set == {"classes": 2, "size": 20, "channels": 3}
    train("recipe.yaml", "run", QUICK)


def test_nothing_is_overwritten_without_force() -> None:
    new("net.yaml", "recipe.yaml", None, False)
    with pytest.raises(MachineError, match=r"recipe\.yaml exists; --force overwrites it"):
        new("other.yaml", "recipe.yaml", None, False)
    assert not Path("other.yaml").exists()
    with pytest.raises(MachineError, match=r"net\.yaml exists"):
        new("net.yaml", None, None, False)
    new("net.yaml", "recipe.yaml", None, True)
    with pytest.raises(SpecError, match="expects another file than the spec's"):
        new("net.yaml", "./net.yaml", None, True)


def test_data_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder, words in (("empty", "expected one folder a class"), ("nowhere", "--data expects a folder")):
        with pytest.raises(DataError, match=words):
            new("net.yaml", "recipe.yaml", folder, False)
    assert not Path("net.yaml").exists()


def test_every_key_of_the_recipe_has_a_comment() -> None:
    new("net.yaml", "recipe.yaml", None, False)
    lines = Path("recipe.yaml").read_text().splitlines()
    keys = [line for line in lines if ":" in line and not line.lstrip().startswith("#") and "idx:" not in line]
    bare = [line for line in keys if "#" not in line]
    assert bare == ["data:"]


@pytest.mark.parametrize("folder", ["true", ".5", "null", "a, b: [c] #d", "x" * 60, "'\"\\", "-"])
def test_any_name_is_read_back(tmp_path: Path, folder: str) -> None:
    write_images(tmp_path / folder, ("cat", "dog"), (16, 16), count=1)
    spec = f"{folder}.yaml"
    new(spec, "recipe.yaml", folder, False)
    found = read_recipe("recipe.yaml")
    assert found.model.spec == spec
    assert found.data.train is not None
    assert getattr(found.data.train, "path") == folder  # noqa: B009  (an image folder's)
    (tmp_path / "recipe.yaml").unlink()
    plain = (tmp_path / spec).read_text()
    (tmp_path / spec).write_text(plain.replace("classes: 10", "classes: 11").replace("classes: 2 ", "classes: 3 "))
    new(spec, "recipe.yaml", folder, False)
    assert read_recipe("recipe.yaml").model.spec == spec


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text there")
@pytest.mark.parametrize("folder", [b"bad\xff", "nel\x85".encode(), b"\x1b[2J"])
def test_what_no_recipe_can_name(tmp_path: Path, folder: bytes) -> None:
    name = os.fsdecode(folder)
    write_images(tmp_path / name, ("cat", "dog"), (16, 16), count=1)
    with pytest.raises(SpecError, match="a recipe cannot name it") as caught:
        new("net.yaml", "recipe.yaml", name, False)
    assert "\x1b" not in str(caught.value)
    assert not (tmp_path / "recipe.yaml").exists()
    with pytest.raises(SpecError, match="a recipe cannot name it"):
        new(f"{name}.yaml", "recipe.yaml", None, False)
