"""Words and tables come out whatever a terminal can show."""

from __future__ import annotations

import codecs
import io
import os
import subprocess
import sys

import pytest

from graphc import console

codecs.register_error(console.ON_ERROR, console.look_alike)


@pytest.mark.parametrize(
    ("text", "encoding", "expected"),
    [
        ("28×28×3 → 10", "ascii", b"28x28x3 -> 10"),
        ("28×28×3 → 10", "cp1252", "28×28×3 -> 10".encode("cp1252")),
        ("28×28×3 → 10", "utf-8", "28×28×3 → 10".encode()),
        ("├──┤", "cp1252", b"+--+"),
        ("名", "cp1252", b"\\u540d"),
        ("a\udcffb", "utf-8", b"a\\udcffb"),
    ],
)
def test_what_an_encoding_lacks_is_shown_by_what_looks_like_it(text, encoding, expected):
    assert text.encode(encoding, console.ON_ERROR) == expected


def test_look_alikes_are_for_writing_only():
    with pytest.raises(UnicodeDecodeError):
        b"\xff".decode("utf-8", console.ON_ERROR)


def test_streams_take_every_text(monkeypatch):
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, "cp1252"))
    monkeypatch.setattr(sys, "stderr", None)
    console.open_streams()
    print("3 × 4 → 12", flush=True)
    print("nowhere", file=sys.stderr)
    sys.stderr.close()
    assert buffer.getvalue().split() == "3 × 4 -> 12".encode("cp1252").split()


@pytest.mark.parametrize(
    ("command", "encoding"),
    [
        ("show lenet5", "ascii"),
        ("show lenet5 --by params", "cp437"),
        ("list", "cp1252"),
        ("explain lenet5 conv1", "cp932"),
    ],
)
def test_commands_speak_to_old_consoles(command, encoding):
    run = [sys.executable, "-m", "graphc", *command.split()]
    ended = subprocess.run(run, capture_output=True, check=False, env={**os.environ, "PYTHONIOENCODING": encoding})
    assert ended.returncode == 0, ended.stderr
    assert b"error" not in ended.stderr


class Halves(io.RawIOBase):
    """A file whose disk takes half of what it is given, each time."""

    def __init__(self) -> None:
        self.data = b""

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        count = max(1, len(data) // 2)
        self.data += bytes(data[:count])
        return count


def test_a_stream_without_a_buffer_writes_all_of_a_text(monkeypatch):
    """Python's own, with PYTHONUNBUFFERED, would drop the rest and say nothing."""
    file = Halves()
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(file, "utf-8", write_through=True))
    console.open_streams()
    sys.stdout.write("a long text\n")
    sys.stderr.write("and another\n")
    assert file.data == b"a long text\nand another\n"
