"""Programs that `graphc snippet` writes say what `graphc run` says: Python's here, Node's where `.ci/snippets` has
installed onnxruntime-node and sharp (GRAPHC_NODE names the folder)."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from graphc.cli import cli
from graphc.data.resizing import AnyResizing, CenterCrop, Letterbox, Stretch
from graphc.errors import SpecError
from graphc.inference import Scaling, run_files
from graphc.runtime import Port, Session
from graphc.snippet.write import LANGUAGES, write_snippet
from graphc.web.describe import describe, picture_of
from tests.web.nets import HEIGHT, NAMES, WIDTH, write_boxes, write_net, write_photo

pytest.importorskip("onnxruntime")
NODE_FOLDER = os.environ.get("GRAPHC_NODE", "")
RESIZINGS: list[AnyResizing] = [
    Stretch(share=0.875),
    CenterCrop(shorter_side=20, interpolation="bicubic"),
    CenterCrop(),
    Letterbox(fill=0.4),
]
by_node = pytest.mark.skipif(not NODE_FOLDER, reason="GRAPHC_NODE names no folder with onnxruntime-node")


def program(net: Path, language: str) -> str:
    return write_snippet(describe(Session(net), "net", net.name, {}, Scaling()), language)


def by_python(net: Path, photo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[Any]:
    """The rows that the program prints, run as a user runs it: beside the model."""
    monkeypatch.chdir(net.parent)
    Path("program.py").write_text(program(net, "python"), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["program.py", str(photo)])
    capsys.readouterr()
    runpy.run_path("program.py", run_name="__main__")
    return [line.split("\t")[1:] for line in capsys.readouterr().out.splitlines()]


def with_node(net: Path, photo: Path) -> list[Any]:
    """The same of the program in JavaScript."""
    node = shutil.which("node")
    assert node is not None
    folder = Path(NODE_FOLDER) / "programs"
    folder.mkdir(exist_ok=True)
    shutil.copy(net, folder / net.name)
    (folder / "program.mjs").write_text(program(net, "js"), encoding="utf-8")
    done = subprocess.run([node, "program.mjs", photo], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [line.split("\t")[1:] for line in done.stdout.splitlines()]


def ran(net: Path, photo: Path) -> Any:
    options = {"provider": "cpu", "name": None, "scale": None, "mean": None, "std": None, "top": len(NAMES)}
    return json.loads(run_files(str(net), [str(photo)], output="-", **options))  # type: ignore[arg-type]


def check_classes(rows: list[Any], answer: Any, tolerance: float) -> None:
    found = {name: float(number) for name, number in rows}
    assert list(found) == [each["class"] for each in answer["top"]]
    wanted = [each["probability"] for each in answer["top"]]
    np.testing.assert_allclose(list(found.values()), wanted, rtol=0, atol=tolerance)


@pytest.mark.parametrize("resize", RESIZINGS, ids=lambda each: str(each.kind))
@pytest.mark.parametrize("size", [(40, 30), (9, 50)])
def test_classes_in_python(
    tmp_path: Path, monkeypatch: Any, capsys: Any, resize: AnyResizing, size: tuple[int, int]
) -> None:
    net = write_net(tmp_path / "net.onnx", "classes", resize, channels=1 if size[0] == 9 else 3)
    photo = write_photo(tmp_path / "photo.png", *size)
    check_classes(by_python(net, photo, monkeypatch, capsys), ran(net, photo), 1e-5)


def test_boxes_in_python(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    net, photo = write_boxes(tmp_path / "net.onnx"), write_photo(tmp_path / "photo.png", 60, 20)
    check_boxes(by_python(net, photo, monkeypatch, capsys), ran(net, photo)["boxes"])


def check_boxes(rows: list[Any], boxes: list[Any]) -> None:
    assert [row[0] for row in rows] == [each["class"] for each in boxes]
    for row, each in zip(rows, boxes, strict=True):
        np.testing.assert_allclose([float(number) for number in row[1:]], [each["score"], *each["box"]], atol=0.01)


@pytest.mark.parametrize("kind", ["mask", "text", "values", "image"])
def test_other_outputs_in_python(tmp_path: Path, monkeypatch: Any, capsys: Any, kind: str) -> None:
    net, photo = write_net(tmp_path / "net.onnx", kind), own_size(tmp_path)
    check_other(by_python(net, photo, monkeypatch, capsys), kind, ran(net, photo))


def own_size(folder: Path) -> Path:
    """A picture of the size that the nets read: nothing is resized."""
    pixels = np.random.default_rng(5).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "own.png")
    return folder / "own.png"


def check_other(rows: list[Any], kind: str, answer: Any) -> None:
    if kind == "text":
        assert rows == [[answer["text"]]]
        return
    values = np.array(answer["values"] if "values" in answer else next(iter(answer.values()))[0])
    if kind == "mask":
        kinds = values.argmax(axis=-1)
        shares = {NAMES[index]: float((kinds == index).mean()) for index in np.unique(kinds)}
        assert {name: pytest.approx(float(share), abs=1e-6) for name, share in rows} == shares
        return
    assert len(rows[0]) == 21
    raw = values.ravel()
    if kind == "values":
        np.testing.assert_allclose([float(each) for each in rows[0][1:]], raw[:20], atol=1e-4)


@by_node
def test_programs_in_node(tmp_path: Path) -> None:
    """On a picture of the model's own size to the last digits; resized by sharp, close to it."""
    own, photo = own_size(tmp_path), write_photo(tmp_path / "photo.png")
    for channels in (3, 1):
        net = write_net(tmp_path / "net.onnx", "classes", channels=channels)
        check_classes(with_node(net, own), ran(net, own), 1e-5)
    for resize in RESIZINGS:
        net = write_net(tmp_path / "net.onnx", "classes", resize)
        rows = {name: float(number) for name, number in with_node(net, photo)}
        wanted = {each["class"]: each["probability"] for each in ran(net, photo)["top"]}
        assert rows.keys() == wanted.keys()
        assert max(abs(rows[name] - wanted[name]) for name in rows) < 0.1
    for kind in ("mask", "text", "values", "image"):
        net = write_net(tmp_path / "net.onnx", kind)
        check_other(with_node(net, own), kind, ran(net, own))
    boxes, tall = write_boxes(tmp_path / "net.onnx"), write_photo(tmp_path / "tall.png", 60, 20)
    check_boxes(with_node(boxes, tall), ran(boxes, tall)["boxes"])


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_net(Path("net.onnx"), "classes")
    invoke = CliRunner().invoke
    printed = invoke(cli, ["snippet", "net.onnx"], catch_exceptions=False)
    written = invoke(cli, ["snippet", "net.onnx", "-o", "net.py"], catch_exceptions=False)
    assert (printed.exit_code, written.exit_code) == (0, 0)
    assert Path("net.py").read_text(encoding="utf-8") == printed.stdout
    compile(printed.stdout, "net.py", "exec")
    assert invoke(cli, ["snippet", "net.onnx", "--lang", "cobol"]).exit_code == 2
    with pytest.raises(SpecError, match="would be written over what is read"):
        invoke(cli, ["snippet", "net.onnx", "-o", "net.onnx"], catch_exceptions=False)


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_of_a_file_cannot_leave_their_quotes(tmp_path: Path, language: str) -> None:
    net = write_net(tmp_path / "net.onnx", "classes")
    description = describe(Session(net), "net", 'a"; evil() \n\u202e.onnx', {}, Scaling())
    text = write_snippet(description, language)
    assert '"a\\"; evil() \\n\\u202e.onnx"' in text
    assert "{{" not in text


@pytest.mark.parametrize("scale", [float("nan"), float("inf")])
def test_factors_are_numbers_of_every_language(scale: float) -> None:
    with pytest.raises(SpecError, match="expected pictures times a factor plus an offset"):
        picture_of("net", Port("image", "float32", (1, 4, 4, 3), "nhwc"), (1, 4, 4, 3), None, Scaling(scale))


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_model_that_no_program_can_name(tmp_path: Path, language: str) -> None:
    net = tmp_path / "net.onnx"
    write_net(net, "classes")
    with pytest.raises(SpecError, match="a program cannot name it"):
        write_snippet(describe(Session(net), "net", "a\udcff.onnx", {}, Scaling()), language)
