"""What files from strangers may cost: each is answered in a process of its own, and its memory and time are measured.

The children are forks of one process that has loaded graphc; 2 GB of address space or 20 s of processor time kill them,
and so does an audit hook where one opens a socket, or a file to write in outside of the folder for outputs.
"""

from __future__ import annotations

import gzip
import json
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.test_bad_specs import FOLDER, SPECS, arguments

pytestmark = pytest.mark.posix

MEMORY = 250
"""MiB that a command may take, with Python, NumPy and graphc."""
SECONDS = 2.0
"""Seconds of the processor."""
BAD_INPUT = 2

ANSWER_EACH = """
import json, os, resource, sys
from pathlib import Path
from graphc import cli
from graphc.cli.entry import run_command
import graphc.compiler, graphc.train.commands, graphc.data.npz, graphc.weights, graphc.emit.read, graphc.emit.model

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
outputs = str(Path(sys.argv[2]).resolve())

def watch(event, given):
    if event.startswith("socket."):
        os._exit(90)
    if event == "open" and isinstance(given[0], str) and given[2] & WRITES:
        path = os.path.realpath(given[0])
        if not path.startswith((outputs, "/dev/", "/proc/")):
            os.write(2, f"wrote in {path}".encode())
            os._exit(91)

answers = {}
for name, arguments in json.loads(sys.stdin.read()).items():
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(writer, 2)
        before = resource.getrusage(resource.RUSAGE_SELF)
        resource.setrlimit(resource.RLIMIT_AS, (2 << 30,) * 2)
        resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
        sys.addaudithook(watch)
        sys.argv = ["graphc", *arguments]
        code = run_command()
        sys.stderr.flush()
        os._exit(code)
    os.close(writer)
    with open(reader, encoding="utf-8") as words:
        said = words.read()
    _, status, usage = os.wait4(child, 0)
    answers[name] = {
        "code": os.waitstatus_to_exitcode(status),
        "said": said,
        "memory": usage.ru_maxrss / 1024,
        "seconds": usage.ru_utime + usage.ru_stime,
    }
print(json.dumps(answers))
"""


def answered(commands: dict[str, list[str]], folder: Path, outputs: Path) -> dict[str, dict[str, object]]:
    """Exit code, words, MiB and seconds of each command."""
    start = [sys.executable, "-B", "-c", ANSWER_EACH, "", str(outputs)]  # -B: no compiled modules are written either
    ended = subprocess.run(start, cwd=folder, input=json.dumps(commands), capture_output=True, text=True, check=True)
    found: dict[str, dict[str, object]] = json.loads(ended.stdout)
    return found


SPEC = """\
graphc: 1
name: net
inputs: {image: [N, 8, 8, 3]}
layers:
  - conv2d: {name: c, filters: 4, kernel: 3, activation: relu}
  - global_avg_pool2d
  - fully_connected: {name: logits, units: 5}
"""
RECIPE = """\
recipe: 1
model: net.yaml
data: {train: DATA}
loss: softmax_cross_entropy
optimizer: sgd
learning_rate: 0.1
epochs: 1
"""
LARGE = 2**28
"""Bytes that bombs unpack to: more than a command may take."""
WEIGHTS = "net/c/weights"


def npy_header(shape: str, dtype: str = "<f4") -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(text)) + text


def zip_of_zeros(path: Path, member: str, beginning: bytes, size: int) -> None:
    """A small archive whose only member unpacks to `size` bytes."""
    block = bytes(2**22)
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(member, "w", force_zip64=True) as file,
    ):
        file.write(beginning)
        for _ in range(size // len(block)):
            file.write(block)


def header_bomb(path: Path) -> None:
    """A .npy header that claims to be large and is, packed into little."""
    zip_of_zeros(path, f"{WEIGHTS}.npy", b"\x93NUMPY\x02\0" + struct.pack("<I", LARGE), LARGE)


def array_bomb(path: Path) -> None:
    zip_of_zeros(path, f"{WEIGHTS}.npy", npy_header("(3, 3, 3, 4)"), LARGE)


def shape_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{WEIGHTS}.npy", npy_header("(2147483648,)"))


def data_bomb(path: Path) -> None:
    """Of data no shape is known: the limit of memory is what refuses it."""
    zip_of_zeros(path, "x.npy", npy_header("(1000000, 32, 32, 3)", "|u1"), LARGE)


def many_entries(path: Path) -> None:
    entry = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    text = json.dumps({f"t{number}": entry for number in range(50_000)}).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)


def claims_more(path: Path) -> None:
    path.write_bytes((2**64 - 1).to_bytes(8, "little") + b"{}")


def png_bomb(path: Path) -> None:
    """13,370 x 13,370 pixels in 22 kB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    side = 13_370
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((side // 8 + 2) * side))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )  # fmt: skip
    assert path.stat().st_size < 50_000


def gz_bomb(path: Path) -> None:
    """Ten images by its header, many more by what is packed."""
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(bytes([0, 0, 8, 3]) + struct.pack(">III", 10, 8, 8))
        for _ in range(LARGE // 2**22):
            file.write(bytes(2**22))


def idx_claim(path: Path) -> None:
    path.write_bytes(bytes([0, 0, 8, 3]) + struct.pack(">III", 2**31 - 1, 28, 28))


def large_text(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(100_000_000)


def image_folder(path: Path) -> None:
    (path / "cat").mkdir(parents=True)
    png_bomb(path / "cat" / "a.png")


COMPILE = ("compile", "net.yaml", "-o", "out/net.onnx", "--weights")
CASES: dict[str, tuple[Callable[[Path], None], str, tuple[str, ...], str]] = {
    "spec of 100 MB": (large_text, "large.yaml", ("check",), "100,000,000 bytes, the limit is 4,000,000"),
    "recipe of 100 MB": (large_text, "recipe.yaml", ("train",), "100,000,000 bytes, the limit is 4,000,000"),
    "npz header bomb": (header_bomb, "a.npz", COMPILE, f"{WEIGHTS}: expected a header of at most 10,000 bytes"),
    "npz bomb": (array_bomb, "b.npz", COMPILE, f"{WEIGHTS}: expected"),
    "npz shape bomb": (shape_bomb, "c.npz", COMPILE, f"{WEIGHTS}: expected 3×3×3×4, found 2147483648"),
    "safetensors of 50,000 entries": (many_entries, "a.safetensors", COMPILE, "expected variables of net such as"),
    "safetensors that claim more": (claims_more, "b.safetensors", COMPILE, "found no header"),
    "PNG bomb": (png_bomb, "bomb.png", ("run", "net.onnx"), "178,756,900 pixels, the limit is 25,000,000"),
    "PNG bomb among classes": (image_folder, "images", ("{image_folder: {path: images, size: [8, 8]}}",), "pixels"),
    "npz of data": (data_bomb, "x.npz", ("{npz: {path: x.npz}}",), "--max-memory"),
    "gz bomb": (gz_bomb, "x.gz", ("{idx: {images: x.gz, labels: x.gz}}",), "more"),
    "IDX that claims more": (idx_claim, "x.idx", ("{idx: {images: x.idx, labels: x.idx}}",), "bytes"),
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """Every case, one after the other."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "out").mkdir()
    (folder / "net.yaml").write_text(SPEC, encoding="utf-8")
    compiled = subprocess.run(
        [sys.executable, "-m", "graphc", "compile", "net.yaml", "-o", "net.onnx"],
        cwd=folder,
        capture_output=True,
        check=False,
    )
    assert compiled.returncode == 0, compiled.stderr
    commands = {}
    for number, (name, (make, file, command, _)) in enumerate(CASES.items()):
        make(folder / file)
        if command[0].startswith("{"):
            recipe = folder / f"r{number}.yaml"
            recipe.write_text(RECIPE.replace("DATA", command[0]), encoding="utf-8")
            commands[name] = ["train", recipe.name, "-o", f"out/{number}", "--max-memory", "0.25"]
        else:
            commands[name] = [*command, file]
    return answered(commands, folder, folder / "out")


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_file_costs_little(name: str, answers: dict[str, dict[str, object]]) -> None:
    answer = answers[name]
    assert answer["code"] == BAD_INPUT, answer
    assert CASES[name][3] in str(answer["said"])
    assert "Traceback" not in str(answer["said"])
    assert answer["memory"] < MEMORY, answer  # type: ignore[operator]
    assert answer["seconds"] < SECONDS, answer  # type: ignore[operator]


def test_bad_specs_cost_little_and_touch_nothing(tmp_path: Path) -> None:
    """In time, memory, files and sockets, all of those that `test_bad_specs.py` has sentences for."""
    found = answered({name: arguments(name)[1:] for name in SPECS}, FOLDER, tmp_path)
    assert set(found) == set(SPECS)
    assert {answer["code"] for answer in found.values()} == {BAD_INPUT}, found
    assert max(answer["memory"] for answer in found.values()) < MEMORY  # type: ignore[type-var, operator]
    assert max(answer["seconds"] for answer in found.values()) < SECONDS  # type: ignore[type-var, operator]


def test_what_is_legal_touches_its_output_alone(tmp_path: Path) -> None:
    """The audit hook sees `open` and sockets of Python's; native code that is loaded here has no part in them."""
    (tmp_path / "out").mkdir()
    (tmp_path / "net.yaml").write_text(SPEC, encoding="utf-8")
    names = ["lenet5", "mobilenet_v1_025", "net.yaml"]
    commands = {f"check {name}": ["check", name] for name in names}
    commands |= {f"compile {name}": ["compile", name, "-o", f"out/{number}.onnx"] for number, name in enumerate(names)}
    commands["draw"] = ["draw", "net.yaml", "-o", "out/net.svg"]
    found = answered(commands, tmp_path, tmp_path / "out")
    assert {name: answer["code"] for name, answer in found.items()} == dict.fromkeys(commands, 0), found
    elsewhere = answered({"compile": ["compile", "net.yaml", "-o", "elsewhere.onnx"]}, tmp_path, tmp_path / "out")
    assert elsewhere["compile"]["code"] == 91  # what the hook says
