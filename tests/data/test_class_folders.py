"""One folder a class, in folders, zips and tars as people have them: what is taken, what is left out and said."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import unicodedata
import zipfile

import numpy as np
import pytest
from PIL import Image, features

from graphc.data import endings
from graphc.data.class_folders import parts_of
from graphc.data.endings import FORMATS, formats, is_image, is_other_image
from graphc.data.given_files import given_files
from graphc.data.sources import Archive, ImageFolder, ImageList
from graphc.data.wanted import Wanted
from graphc.errors import DataError, SpecError
from graphc.train.commands import train

LIMIT = 10_000_000
CAFE_NFC, CAFE_NFD = "caf\u00e9", "cafe\u0301"


def _image(red=0, kind="PNG"):
    data = io.BytesIO()
    Image.new("RGB", (6, 4), (red, 0, 0)).save(data, kind)
    return data.getvalue()


def _as_folder(files, at):
    for name, data in files.items():
        path = at / "data" / name
        if data is None:
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    return ImageFolder(path="data", size=(4, 6))


def _as_zip(files, at):
    with zipfile.ZipFile(at / "data.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(f"{name}/" if data is None else name, data or b"")
    return Archive(path="data.zip", size=(4, 6))


def _as_tar(files, at):
    with tarfile.open(at / "data.tar", "w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(f"./{name}")
            info.type, info.size = (tarfile.DIRTYPE, 0) if data is None else (tarfile.REGTYPE, len(data))
            archive.addfile(info, None if data is None else io.BytesIO(data))
    return Archive(path="data.tar", size=(4, 6))


every_kind = pytest.mark.parametrize("pack", [_as_folder, _as_zip, _as_tar])


def _classes(*names, count=2):
    return {f"{name}/{n}.png": _image(10 * at + n) for at, name in enumerate(names) for n in range(count)}


def _reds(found):
    return found.inputs["image"][np.arange(len(found))][:, 0, 0, 0].tolist()


@every_kind
def test_what_is_left_out_is_counted_and_said_in_one_line(tmp_path, pack):
    files = {
        **_classes("cat", "dog"),
        "dog/more/9.PNG": _image(99),
        "readme.txt": b"x",
        "dog/notes.md": b"x",
        "dog/LICENSE": b"x",
        "cover.jpg": _image(kind="JPEG"),
        ".DS_Store": b"x",
        "cat/.DS_Store": b"x",
        "cat/Thumbs.db": b"x",
        "cat/photo.heic": b"x",
        "__MACOSX/cat/._0.png": b"x",
        ".ipynb_checkpoints/0.png": _image(),
        "bird": None,
    }
    found = pack(files, tmp_path).load(tmp_path, LIMIT)
    assert found.classes == ("cat", "dog")
    assert found.targets["label"].tolist() == [0, 0, 1, 1, 1]
    assert _reds(found) == [0, 1, 10, 11, 99]
    said = found.notes[-1]
    assert said.startswith("left out: 3 hidden files (")
    assert "2 hidden folders (" in said
    assert "__MACOSX" in said
    assert ".ipynb_checkpoints" in said
    assert "3 files that are no images (" in said
    assert all(ending in said for ending in (".txt", ".md", "no ending"))
    assert "1 image in a format that is not read (.heic: convert them to PNG or JPEG)" in said
    assert "1 image beside the classes' folders (cover.jpg)" in said
    assert said.endswith("1 folder without images (bird)")


@every_kind
def test_nothing_left_out_is_nothing_said(tmp_path, pack):
    assert pack(_classes("cat", "dog"), tmp_path).load(tmp_path, LIMIT).notes == ()


@every_kind
@pytest.mark.parametrize("around", ["pets", "a/b c/pets"])
def test_a_folder_around_the_classes_is_gone_through_and_said(tmp_path, pack, around):
    files = {f"{around}/{name}": data for name, data in _classes("cat", "dog").items()}
    files |= {f"{around}/readme.md": b"x", f"{around}/cover.png": _image(), "__MACOSX/x": b"x"}
    found = pack(files, tmp_path).load(tmp_path, LIMIT)
    assert found.classes == ("cat", "dog")
    assert found.targets["label"].tolist() == [0, 0, 1, 1]
    assert f"classes are the folders of {around}/ (`" in found.notes[0]
    assert "1 image beside the classes' folders (cover.png)" in found.notes[1]


@every_kind
def test_one_class_with_folders_of_its_own(tmp_path, pack):
    """Where the training set has this class it is one, not a folder around others."""
    files = {"cat/indoors/0.png": _image(1), "cat/outdoors/0.png": _image(2)}
    source = pack(files, tmp_path)
    assert source.load(tmp_path, LIMIT).classes == ("indoors", "outdoors")
    found = source.load(tmp_path, LIMIT, Wanted(classes={"label": ("cat", "dog")}))
    assert found.classes == ("cat",)
    assert found.notes == ()
    lone = pack({"only/0.png": _image(1), "only/more/0.png": _image(2)}, tmp_path / "lone")
    assert lone.load(tmp_path / "lone", LIMIT).classes == ("only",)


@pytest.fixture(autouse=True)
def _lone_folder(tmp_path):
    (tmp_path / "lone").mkdir()


@every_kind
def test_images_in_one_of_several_folders_are_not_guessed_about(tmp_path, pack):
    files = {"pets/cat/0.png": _image(), "pets/dog/0.png": _image(), "docs/readme.md": b"x"}
    with pytest.raises(DataError, match=r"images in 'pets' alone, none in 'docs'[^`]*`(path: data/|inside: )pets`"):
        pack(files, tmp_path).load(tmp_path, LIMIT)


@every_kind
@pytest.mark.parametrize(
    ("training", "other"),
    [("train", "val"), ("Train", "Valid"), ("training_set", "test_set"), ("train2017", "val2017"), ("train", "test")],
)
@pytest.mark.parametrize("around", ["", "set/"])
def test_parts_of_a_data_set_are_no_classes(tmp_path, pack, training, other, around):
    files = _classes(f"{around}{training}/cat", f"{around}{training}/dog", f"{around}{other}/cat")
    with pytest.raises(DataError, match=f"found '{training}' and '{other}', which are parts of a data set") as caught:
        pack(files, tmp_path).load(tmp_path, LIMIT)
    key = "path: data/" if pack is _as_folder else "inside: "
    assert f"`{key}{around}{training}` for `train`, `{key}{around}{other}` for" in caught.value.notes[0]
    folder = f"{around}{training}"
    source = pack(files, tmp_path)
    inside = {"path": f"data/{folder}"} if pack is _as_folder else {"inside": folder}
    assert source.model_copy(update=inside).load(tmp_path, LIMIT).classes == ("cat", "dog")


def test_words_that_are_classes_too():
    assert parts_of(["train", "car", "bus"]) == {}
    assert parts_of(["train", "val", "models"]) == {"train": "train", "val": "validation"}
    assert parts_of(["test"]) == {"test": "test"}
    assert parts_of(["latest", "contest"]) == {}


@every_kind
def test_class_names_in_nfd_are_the_same_in_nfc(tmp_path, pack):
    found = pack(_classes(CAFE_NFD, "tea"), tmp_path).load(tmp_path, LIMIT)
    assert found.classes == (CAFE_NFC, "tea")
    with pytest.raises(DataError, match="differ in more than how their accents are written"):
        pack(_classes(CAFE_NFD, CAFE_NFC), tmp_path).load(tmp_path, LIMIT)


@every_kind
def test_class_names_that_differ_in_case(tmp_path, pack):
    with pytest.raises(DataError, match="differ in more than case, found 'Cat' and 'cat'"):
        pack(_classes("cat", "Cat"), tmp_path).load(tmp_path, LIMIT)


@every_kind
@pytest.mark.parametrize(("other", "words"), [("cat\u200b", "that look the same"), ("c a t", "spaces")])
def test_class_names_that_look_alike(tmp_path, pack, other, words):
    first = "c  a t" if words == "spaces" else "cat"
    with pytest.raises(DataError, match=f"differ in more than .*{words}"):
        pack(_classes(first, other), tmp_path).load(tmp_path, LIMIT)


@every_kind
def test_a_class_whose_images_cannot_be_read_is_not_lost_silently(tmp_path, pack):
    source = pack({**_classes("cat", "dog"), "bird/0.heic": b"x"}, tmp_path)
    with pytest.raises(DataError, match=r"class folder 'bird' has no images that are read here, 1 in \.heic"):
        source.load(tmp_path, LIMIT)
    found = source.model_copy(update={"bad_files": "skip"}).load(tmp_path, LIMIT)
    assert found.classes == ("cat", "dog")
    assert "1 folder without images (bird)" in found.notes[0]


@every_kind
@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"0.png": _image(), "1.png": _image()}, "found no folders, but 2 images"),
        ({"readme.md": b"x"}, "found no folders"),
        ({"cat": None, "dog/x.txt": b"x"}, "found no images"),
    ],
)
def test_no_classes(tmp_path, pack, files, words):
    with pytest.raises(DataError, match=f"expected one folder a class, {words}"):
        pack(files, tmp_path).load(tmp_path, LIMIT)


def test_folder_and_archive_name_each_other(tmp_path):
    _as_zip(_classes("cat", "dog"), tmp_path)
    with pytest.raises(DataError) as caught:
        ImageFolder(path="data.zip", size=(4, 6)).load(tmp_path, LIMIT)
    assert "`archive` reads a zip or a tar" in caught.value.notes


# names of files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS)
def test_every_ending_of_a_format_is_read(tmp_path, kind):
    if kind not in formats():
        pytest.skip(f"this Pillow is without {kind}")
    files = {
        f"{kind}/{n}{ending.upper() if n % 2 else ending}": _image(80, kind) for n, ending in enumerate(FORMATS[kind])
    }
    files |= {f"a lie/0{FORMATS['PNG'][0]}": _image(80, kind)}
    found = _as_folder(files, tmp_path).load(tmp_path, LIMIT)
    assert len(found) == len(files)
    assert all(abs(red - 80) < 12 for red in _reds(found))


def test_a_pillow_without_a_format_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(endings, "find_spec", lambda name: None)
    for function in (endings.formats, endings.image_endings):
        monkeypatch.setattr(endings, function.__name__, function.__wrapped__)
    assert not is_image("a.avif")
    assert is_other_image("a.avif")
    found = _as_folder({**_classes("cat", "dog"), "cat/9.avif": b"x"}, tmp_path).load(tmp_path, LIMIT)
    assert "(.avif: this Pillow" in found.notes[0]
    assert "is without AVIF: a newer one of PyPI has it)" in found.notes[0]


def test_formats_are_those_that_pillow_has():
    assert ("AVIF" in formats()) == bool(features.check_module("avif"))
    assert ("WEBP" in formats()) == bool(features.check_module("webp"))


@pytest.mark.parametrize(("listed", "there"), [(CAFE_NFC, CAFE_NFD), (CAFE_NFD, CAFE_NFC)])
def test_lists_find_files_whose_accents_are_written_otherwise(tmp_path, listed, there):
    (tmp_path / there).mkdir()
    (tmp_path / there / f"{there}.png").write_bytes(_image(7))
    (tmp_path / "a.csv").write_text(f"image,label\n{listed}/{listed}.png,{listed}\n{there}/{there}.png,{there}\n")
    found = ImageList(path="a.csv", size=(4, 6)).load(tmp_path, LIMIT)
    assert _reds(found) == [7, 7]
    assert found.classes == (CAFE_NFC,)
    named = ImageList(path="a.csv", size=(4, 6), classes=(CAFE_NFD, "tea")).load(tmp_path, LIMIT)
    assert named.classes == (CAFE_NFC, "tea")
    assert unicodedata.is_normalized("NFC", named.classes[0])


def test_a_list_without_endings(tmp_path):
    (tmp_path / "0a1b.png").write_bytes(_image(7))
    (tmp_path / "a.csv").write_text("image,label\n0a1b,3\n")
    with pytest.raises(DataError) as caught:
        ImageList(path="a.csv", size=(4, 6)).load(tmp_path, LIMIT)
    assert caught.value.notes[0] == "there is 0a1b.png: `ending: .png` is added to every path of a list"
    assert _reds(ImageList(path="a.csv", size=(4, 6), ending=".png").load(tmp_path, LIMIT)) == [7]


def test_a_list_in_other_case(tmp_path):
    (tmp_path / "IMG.JPG").write_bytes(_image(kind="JPEG"))
    (tmp_path / "a.csv").write_text("image,label\nimg.jpg,3\n")
    with pytest.raises(DataError) as caught:
        ImageList(path="a.csv", size=(4, 6)).load(tmp_path, LIMIT)
    assert caught.value.notes[0] == "there is IMG.JPG: letters differ in case"


def test_files_that_a_command_names(tmp_path):
    _as_folder(
        {"a.JFIF": _image(), "b.heic": b"x", "c.txt": b"x", "@eaDir/a.png": _image(), "Thumbs.db": b""}, tmp_path
    )
    found, left_out = given_files([str(tmp_path / "data")])
    assert [each.path.name for each in found] == ["a.JFIF"]
    assert [said.rpartition("/")[2] for said in left_out] == [
        "b.heic: an image that is not read here (convert them to PNG or JPEG)",
        "c.txt: not an image by its name",
    ]
    with pytest.raises(SpecError) as caught:
        given_files(["photo.heic"])
    assert caught.value.notes == ("convert them to PNG or JPEG",)


# whole runs -------------------------------------------------------------------------------------------------

NET = """\
graphc: 1
name: n
inputs: {image: [N, 4, 6, 3]}
layers: [flatten, {fully_connected: {name: logits, units: 2}}]
outputs: {logits: logits}
"""
RECIPE = """\
recipe: 1
model: net.yaml
data:
  train: {archive: {path: data.zip, size: [4, 6]}}
  validation: {image_folder: {path: data, size: [4, 6]}}
loss: softmax_cross_entropy
optimizer: sgd
learning_rate: 0.1
epochs: 1
metrics: [accuracy]
"""


def test_a_run_says_what_it_left_out_and_matches_classes_across_systems(tmp_path):
    """A zip of macOS to train on, a folder of Linux to judge by."""
    _as_zip({f"pets/{name}": data for name, data in {**_classes(CAFE_NFD, "tea"), ".DS_Store": b"x"}.items()}, tmp_path)
    _as_folder(_classes("a tea", CAFE_NFC, "tea"), tmp_path)
    (tmp_path / "net.yaml").write_text(NET)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    with pytest.raises(DataError, match="found 'a tea'"):
        train(tmp_path / "recipe.yaml", tmp_path / "run")
    shutil.rmtree(tmp_path / "data" / "a tea")
    train(tmp_path / "recipe.yaml", tmp_path / "run")
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["classes"] == [CAFE_NFC, "tea"]
    assert [note.partition(": ")[2] for note in facts["notes"]] == [
        "classes are the folders of pets/ (`inside: pets` says so too)",
        "left out: 1 hidden file (.DS_Store)",
    ]
