"""No character that steers a terminal, or that XML refuses, comes out of names, paths, values and messages."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from graphc.compiler import plan_spec
from graphc.errors import CONTROLS, SpecError
from graphc.files import printable, shown
from graphc.report.page.build import in_script
from graphc.report.tables import render
from graphc.spec.source import decode, load_text
from graphc.train.answers import as_csv
from graphc.train.progress import Lines

STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff\ud800-\udfff]")
HOSTILE = "\x1b]0;pwned\x07\x9b31m\u202egnp.\x7f"


def graphc(*command: str) -> tuple[int, str]:
    """Exit code, and all that is said."""
    done = subprocess.run([sys.executable, "-m", "graphc", *command], capture_output=True, check=False)
    return done.returncode, (done.stdout + done.stderr).decode()


@pytest.mark.parametrize(
    "command",
    [
        (HOSTILE,),
        ("check", HOSTILE),
        ("check", "lenet5", f"--{HOSTILE}"),
        ("check", "lenet5", "--max-layers", HOSTILE),
        ("check", "lenet5", "--set", f"{HOSTILE}=1"),
        ("show", "lenet5", "--columns", HOSTILE),
        ("explain", "lenet5", HOSTILE),
        ("run", HOSTILE, HOSTILE),
        ("draw", "lenet5", "-o", f"{HOSTILE}/a.svg"),
        ("train", HOSTILE),
    ],
)
def test_messages(command: tuple[str, ...]) -> None:
    code, said = graphc(*command)
    assert code in (2, 3)
    assert "\\x1b]0;pwned" in said
    assert not STEERING.search(said)


@pytest.mark.posix
@pytest.mark.parametrize(
    "command",
    [
        ("new", "{}/new.yaml"),
        ("check", "{}/net.yaml"),
        ("compile", "{}/net.yaml", "-o", "{}/net.onnx"),
        ("draw", "{}/net.yaml", "-o", "{}/net.svg"),
        ("report", "{}/net.yaml", "-o", "{}/net.html"),
    ],
    ids=lambda command: command[0],
)
def test_a_path_of_two_lines_is_said_on_one(tmp_path: Path, command: tuple[str, ...]) -> None:
    """A folder's name cannot write a line of ours."""
    folder = tmp_path / "a\nerror[G900]: all is lost"
    folder.mkdir()
    (folder / "net.yaml").write_text("graphc: 1\ninputs: {x: [N, 4]}\nlayers: [relu]\n", encoding="utf-8")
    code, said = graphc(*(word.format(folder) for word in command))
    assert code == 0
    assert "a\\x0aerror[G900]" in said
    assert not any(line.startswith("error[G900]") for line in said.splitlines())


@pytest.mark.parametrize("form", ["table", "csv", "md", "json"])
def test_tables(form: str) -> None:
    text = render(("name", "count"), [[HOSTILE, 1]], form)
    assert not STEERING.search(text)
    assert "pwned" in text


def test_tables_of_predictions() -> None:
    text = as_csv([{"input": f"{HOSTILE}.png", "class": f"a\n{HOSTILE}", "probability": 0.5}])
    assert not STEERING.search(text)
    assert len(list(csv.reader(io.StringIO(text)))) == 2
    assert len(text.splitlines()) == 2


def test_what_training_says() -> None:
    stream = io.StringIO()
    Lines(Console(file=stream, force_terminal=False)).warn(f"{HOSTILE}: left out")
    assert not STEERING.search(stream.getvalue())


def test_pages_hold_texts_as_they_were_without_the_characters() -> None:
    text = "".join(in_script({"classes": [HOSTILE, "名<é"]}))
    assert not STEERING.search(text)
    assert json.loads(text) == {"classes": [HOSTILE, "名<é"]}


@pytest.mark.parametrize("ending", [".svg", ".html", ".dot", ".mmd"])
def test_pictures_of_a_file_that_is_named_so(tmp_path: Path, ending: str) -> None:
    spec = tmp_path / "a\x1b]0;pwned\x07.yaml"
    spec.write_text("graphc: 1\ninputs: {x: [N, 4]}\nlayers: [relu]\n", encoding="utf-8")
    target = tmp_path / f"out{ending}"
    assert graphc("draw", str(spec), "-o", str(target))[0] == 0
    assert not STEERING.search(target.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "name", ["\\e]0;pwned\\a", "\\0", "\\x9b", "\\uFFFE", "\\uFFFF", "\\u202e", "..", ".", "a/b", "\\x7f"]
)
def test_names_have_none(tmp_path: Path, name: str) -> None:
    for text in (f'layers: [relu: {{name: "{name}"}}]', f'name: "{name}"\nlayers: [relu]'):
        spec = tmp_path / "spec.yaml"
        spec.write_text(f"graphc: 1\ninputs: {{x: [N, 4]}}\n{text}\n", encoding="utf-8")
        with pytest.raises(SpecError, match=r"G117|G151"):
            plan_spec(spec)


def test_lines_and_what_is_plain_stay() -> None:
    assert printable("a\n\tb é × 名") == "a\n\tb é × 名"
    assert printable("a\rb\x1b[31m") == "a\\x0db\\x1b[31m"
    assert shown("a\nb") == "a\\x0ab"
    assert all(len(chr(number).translate(CONTROLS)) >= 4 for number in CONTROLS)


@pytest.mark.parametrize(
    "text", ["\U0001f600", "a\U0001f600b\U0010ffff", "\\\U0001f600", '"\U0001f600\\', "\\ud83d\\ude00"]
)
@pytest.mark.parametrize("indent", [None, 1])
def test_json_with_pairs_of_surrogates_is_read(text: str, indent: int | None) -> None:
    written = {"a": [text, {text: 1}], "b": {"c": 2}}
    tree = load_text(json.dumps(written, indent=indent), "spec.json")
    assert tree == written


def test_places_are_those_of_the_text_as_it_is_written() -> None:
    text = json.dumps({"a\U0001f600": "\U0001f600\U0001f600", "b": {"c": 2}})
    tree = load_text(text, "spec.json")
    place = tree["b"].key_places["c"]
    assert text[place.column - 1 :].startswith('"c"')
    assert place.line == 1


def test_half_a_pair_and_other_quotes_stay_as_they_are() -> None:
    with pytest.raises(SpecError, match="G102"):
        load_text('{"a": "\\ud83d"}', "spec.json")
    assert load_text("a: '\\ud83d\\ude00'\n", "spec.yaml") == {"a": "\\ud83d\\ude00"}


def test_an_error_is_a_line_whatever_it_names():
    """Names of a stranger's file have line breaks too, which are no lines of ours."""
    said = str(SpecError("G341", "no input 'x\nerror[G101]: forged'", notes=["as in a\rb", "next"]))
    assert said.splitlines() == ["error[G341]: no input 'x\\x0aerror[G101]: forged'", "  as in a\\x0db", "  next"]


def test_what_no_spec_can_hold_is_shown_otherwise():
    """So that a text that graphc writes, with the name of a file in a comment, can be read."""
    others = [number for number in range(0x10000) if not 0xD800 <= number < 0xE000 and number not in CONTROLS]
    decode("".join(map(chr, others)), "net.yaml")
