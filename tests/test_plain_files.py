"""Devices and pipes are refused at once, wherever a path is read; what is read is no more than a header claims."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper

from graphc.cli import cli
from graphc.data.images import read_image
from graphc.data.npz import read_npy
from graphc.data.shapes import make_shapes
from graphc.errors import GraphcError
from graphc.report.page.runs import curves
from graphc.train import checkpoint
from tests.test_runtime import endless

SPEC = "graphc: 1\ninputs: {x: [N, 4]}\nlayers:\n  - fully_connected: {name: logits, units: 3}\n"
RECIPE = "recipe: 1\nmodel: tiny.yaml\ndata: {train: DATA}\nloss: softmax_cross_entropy\noptimizer: sgd\n"
RECIPE += "learning_rate: 0.1\nepochs: 1\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(SPEC, encoding="utf-8")
    np.save("x.npy", np.zeros((1, 4), "f4"))
    return tmp_path


def said(*command: str) -> str:
    """What the command's error says."""
    result = CliRunner().invoke(cli, list(command))
    assert isinstance(result.exception, GraphcError), (result.output, result.exception)
    return str(result.exception)


@pytest.mark.posix
@pytest.mark.parametrize("path", ["pipe", "/dev/zero"])
@pytest.mark.parametrize(
    "command",
    [
        ("check", "{}.yaml"),
        ("run", "{}.onnx", "x.npy"),
        ("run", "tiny.onnx", "{}.npy"),
        ("run", "image.onnx", "{}.png"),
        ("compile", "tiny.yaml", "--weights", "{}.npz"),
        ("compile", "tiny.yaml", "--weights", "{}.safetensors"),
        ("train", "{}.yaml"),
        ("train", "npz.yaml"),
        ("train", "idx.yaml"),
        ("train", "labels.yaml"),
        ("train", "list.yaml"),
        ("train", "archive.yaml"),
        ("train", "coco.yaml"),
    ],
)
def test_devices_and_pipes_are_refused_at_once(folder: Path, path: str, command: tuple[str, ...]) -> None:
    for ending in ("yaml", "onnx", "npy", "png", "npz", "safetensors", "idx", "csv", "zip", "json"):
        name = f"given.{ending}"
        os.symlink(path, name) if path.startswith("/") else os.mkfifo(name)
    CliRunner().invoke(cli, ["compile", "tiny.yaml"])
    image = SPEC.replace("[N, 4]", "[N, 4, 4, 3]").replace("  - fully", "  - flatten\n  - fully")
    Path("image.yaml").write_text(image, encoding="utf-8")
    CliRunner().invoke(cli, ["compile", "image.yaml"])
    one = np.array([[0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 4, 1, 2, 3, 4]], np.uint8)
    Path("ok.idx").write_bytes(one.tobytes())
    for name, data in {
        "npz": "{npz: {path: given.npz}}",
        "idx": "{idx: {images: given.idx, labels: given.idx}}",
        "labels": "{idx: {images: ok.idx, labels: given.idx}}",
        "list": "{list: {path: given.csv, size: [4, 4]}}",
        "archive": "{archive: {path: given.zip, size: [4, 4]}}",
        "coco": "{coco: {path: given.json, size: [4, 4]}}",
    }.items():
        text = RECIPE.replace("tiny.yaml", "image.yaml") if "size" in data else RECIPE
        Path(f"{name}.yaml").write_text(text.replace("DATA", data), encoding="utf-8")
    start = time.monotonic()
    assert "expected a file, found a device or a pipe" in said(*(word.format("given") for word in command))
    assert time.monotonic() - start < 20


def npy(header: str, data: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\0" + len(header).to_bytes(2, "little") + header.encode() + data


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,)}"),
            "announces 4,000,000,000,000 bytes",
        ),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", bytes(9)), "announces 8 bytes, found 9"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,"), "header cannot be read"),
        (npy("{'descr': ',', 'fortran_order': False, 'shape': (1,), }"), "header cannot be read"),
        (npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"), "object arrays are refused"),
        (b"\x93NUMPY\x02\0\xff\xff\xff\x7f", "expected a header of at most 10,000 bytes"),
        (b"PK\x03\x04", "expected a NumPy array, found something else"),
    ],
)
def test_a_header_alone_claims_nothing(folder: Path, content: bytes, sentence: str) -> None:
    assert CliRunner().invoke(cli, ["compile", "tiny.yaml"]).exit_code == 0
    Path("y.npy").write_bytes(content)
    found = said("run", "tiny.onnx", "y.npy")
    assert sentence in found
    assert found.startswith("y.npy: error[G401]")


@pytest.mark.parametrize("dtype", ["<f4", ">f8", "u1", "<i8", "?"])
def test_arrays_are_read_as_numpy_wrote_them(folder: Path, dtype: str) -> None:
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    for given in (array, np.asfortranarray(array)):
        np.save("a.npy", given)
        assert np.array_equal(read_npy(Path("a.npy")), array)


def test_a_list_of_members_of_a_zip_is_bounded(folder: Path) -> None:
    with zipfile.ZipFile("d.npz", "w") as file:
        file.writestr("x.npy", b"")
    data = bytearray(Path("d.npz").read_bytes())
    at = data.rfind(b"PK\x05\x06")
    data[at + 12 : at + 16] = (2**31).to_bytes(4, "little")
    Path("d.npz").write_bytes(bytes(data))
    Path("r.yaml").write_text(RECIPE.replace("DATA", "{npz: {path: d.npz}}"), encoding="utf-8")
    assert "a list of members of 2,147,483,648 bytes" in said("train", "r.yaml")


def slow_to_load() -> onnx.ModelProto:
    """A model whose constants take minutes to fold."""
    ones = helper.make_tensor("ones", TensorProto.FLOAT, [1], [1.0])
    nodes = [helper.make_node("ConstantOfShape", ["size"], ["c0"], value=ones)]
    nodes += [helper.make_node("MatMul", [f"c{i}", f"c{i}"], [f"c{i + 1}"]) for i in range(500)]
    nodes += [helper.make_node("ReduceSum", ["c500"], ["r"], keepdims=0), helper.make_node("Add", ["x", "r"], ["y"])]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in "xy")
    size = helper.make_tensor("size", TensorProto.INT64, [2], [2500, 2500])
    graph = helper.make_graph(nodes, "slow", [x], [y], [size])
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])


@pytest.mark.posix
def test_loading_a_model_ends_with_ctrl_c(folder: Path) -> None:
    onnx.save(slow_to_load(), "slow.onnx")
    np.save("v.npy", np.zeros(4, "f4"))
    code = (
        "import sys, threading, time\n"
        "from graphc import runtime\n"
        "from graphc.cli import main\n"
        "make = runtime.interruptible\n"
        "def told(work, name, **more):\n"
        "    print('loading', flush=True)\n"
        "    return make(work, name, **more)\n"
        "runtime.interruptible = told\n"
        "sys.argv = ['graphc', 'run', 'slow.onnx', 'v.npy']\n"
        "main()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "loading\n"
        time.sleep(1)
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, words = process.communicate(timeout=60)
        assert time.monotonic() - start < 5  # it takes milliseconds; a busy machine may need more
        assert process.returncode == 130
        assert words.strip() == "interrupted"


@pytest.mark.posix
@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (slow_to_load, "m.onnx took longer to load than the limit of 1 s"),
        (endless, "m.onnx ran longer than the limit of 1 s"),
    ],
)
def test_run_ends_after_its_time_out(folder: Path, model: Callable[[], Any], sentence: str) -> None:
    made = model()
    Path("m.onnx").write_bytes(made if isinstance(made, bytes) else made.SerializeToString())
    np.save("v.npy", np.zeros(1 if model is endless else 4, "f4"))
    command = [sys.executable, "-m", "graphc", "run", "m.onnx", "v.npy", "--timeout", "1"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr == f"error[G504]: {sentence}\n"


def test_a_log_may_hold_numbers_that_no_float_can(folder: Path) -> None:
    records = [{"step": 1, "loss": 10**400, "rate": 0.5}, {"step": 2, "loss": 1, "rate": float("inf")}]
    assert curves(records) == {"loss": [[2, 1]], "rate": [[1, 0.5]]}
    assert json.dumps(curves(records), allow_nan=False)


def one_epoch(data: str) -> None:
    Path("r.yaml").write_text(RECIPE.replace("DATA", data), encoding="utf-8")
    result = CliRunner().invoke(cli, ["train", "r.yaml", "-o", "run", "-q"])
    assert result.exit_code == 0, result.exception


@pytest.fixture
def run(folder: Path) -> Path:
    """A run of four examples."""
    rng = np.random.default_rng(0)
    np.savez("data.npz", x=rng.normal(size=(4, 4)).astype("f4"), y=np.arange(4) % 3)
    one_epoch("{npz: {path: data.npz}}")
    return folder / "run"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{}", "expected spec, base, classes in it, as graphc writes it"),
        ("[]", "expected a mapping"),
        ('{"spec": 1, "base": "", "classes": []}', "expected spec in it"),
        ('{"spec": "s", "base": "b", "classes": [1]}', "expected classes in it"),
        ("{", "the file is not as graphc wrote it"),
    ],
)
@pytest.mark.parametrize("command", ["resume", "eval", "report", "predict"])
def test_a_run_that_is_not_one_is_said(run: Path, command: str, content: str, sentence: str) -> None:
    (run / "run.json").write_text(content, encoding="utf-8")
    found = said(command, "run", *(["data.npz"] if command == "predict" else []))
    assert "error[G323]" in found
    assert sentence in found


def test_a_log_of_another_text_is_said(run: Path) -> None:
    log = run / "metrics.jsonl"
    log.write_text("x" * (log.stat().st_size - 1) + "\n", encoding="utf-8")
    for command in ("resume", "report"):
        assert "metrics.jsonl:1:1: error[G324]: expected a record with its step" in said(command, "run")
    log.write_text("x" * log.stat().st_size, encoding="utf-8")
    size = log.stat().st_size
    assert f"metrics.jsonl: error[G324]: expected the records of 1 epoch in {size} bytes, found 0" in said(
        "resume", "run"
    )


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({}, "expected a checkpoint of format 1, got null"),
        ({"format": 1}, "expected data_sha256, data_bytes in it"),
        ({"format": 1, "data_sha256": "", "data_bytes": True}, "expected data_bytes in it"),
        ({"format": 1, "data_sha256": None, "data_bytes": 1}, "expected step, epoch, position, watch, log_bytes"),
    ],
)
def test_a_signed_checkpoint_that_lacks_keys_is_said(run: Path, content: dict[str, object], sentence: str) -> None:
    folder = run / "checkpoints"
    newest = max(folder.glob("*.json"))
    if "data_sha256" in content and content["data_sha256"] is None:
        facts = json.loads(newest.read_text(encoding="utf-8"))
        content = {key: facts[key] for key in ("format", "data_sha256", "data_bytes")}
    for path in folder.glob("*.json"):
        path.unlink() if path != newest else path.write_bytes(checkpoint._signed(content))
    result = CliRunner().invoke(cli, ["resume", "run"])
    assert sentence in f"{result.output}{result.exception}"


def test_a_batch_larger_than_the_data_takes_no_more_memory(folder: Path) -> None:
    np.savez("data.npz", x=np.zeros((4, 4), "f4"), y=np.arange(4) % 3)
    recipe = RECIPE.replace("train: DATA", "train: {npz: {path: data.npz}}, workers: 1")
    Path("r.yaml").write_text(f"{recipe}batch: 1000000000\n", encoding="utf-8")
    result = CliRunner().invoke(cli, ["train", "r.yaml", "-o", "run", "-q"])
    assert result.exit_code == 0, result.exception


@pytest.mark.parametrize("size", [(1, 8), (1, 1), (3, 2)])
def test_tiny_pictures_of_shapes(size: tuple[int, int]) -> None:
    examples = make_shapes(50, size, 3, 3, 5, 0)
    assert examples.targets["mask"].shape == (50, *size)
    assert (examples.targets["mask"] > 0).any(axis=(1, 2)).all()


def test_an_array_without_values_has_bounds_too(folder: Path) -> None:
    shape = struct.pack(">8I", 0, *[2**32 - 1] * 7)
    Path("zero.idx").write_bytes(bytes([0, 0, 8, 8]) + shape)
    Path("r.yaml").write_text(RECIPE.replace("DATA", "{idx: {images: zero.idx, labels: zero.idx}}"), encoding="utf-8")
    assert "no array can have the shape 0×4294967295×" in said("train", "r.yaml")


def test_a_header_that_is_cut_off_in_an_archive(folder: Path) -> None:
    with zipfile.ZipFile("d.npz", "w") as file:
        file.writestr("x.npy", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,"))
    Path("r.yaml").write_text(RECIPE.replace("DATA", "{npz: {path: d.npz}}"), encoding="utf-8")
    assert "d.npz[x.npy]: error[G401]: the array's header cannot be read" in said("train", "r.yaml")


def test_a_bomb_of_pixels_is_said(folder: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"")), chunk(b"IEND", b"")]
    Path("bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    with pytest.raises(GraphcError, match="the image has more than 178,956,970 pixels, the limit is 25,000,000"):
        read_image(Path("bomb.png"))
