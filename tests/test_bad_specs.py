"""Specs that cannot be right, each with the words that `graphc check` says about it.

`NAME.txt` beside `bad_specs/NAME.yaml` is what goes to stderr; `--update-golden` writes it anew. A first line
`# --set a=1` is given to the command.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from graphc import cli

FOLDER = Path(__file__).parent / "bad_specs"
SPECS = sorted(path.name for path in FOLDER.iterdir() if path.suffix in (".yaml", ".json"))


def arguments(name: str) -> list[str]:
    """The command line for a spec."""
    with (FOLDER / name).open("rb") as file:
        first = file.readline(200).decode("latin-1")
    return ["graphc", "check", name, *(first[2:].split() if first.startswith("# --set ") else [])]


def check(name: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.chdir(FOLDER)
    monkeypatch.setattr(sys, "argv", arguments(name))
    return cli.run_command()


@pytest.mark.parametrize("name", SPECS)
def test_says_what_is_wrong(name, monkeypatch, capsys, request):
    code = check(name, monkeypatch)
    out, err = capsys.readouterr()
    expected = (FOLDER / name).with_suffix(".txt")
    if request.config.getoption("--update-golden"):
        expected.write_text(err, encoding="utf-8")
    assert err == expected.read_text(encoding="utf-8")
    assert code == 2
    assert out == ""
    assert not (FOLDER / "PWNED").exists()


def test_there_is_a_golden_file_for_each_and_none_besides():
    assert len(SPECS) >= 40
    assert sorted(path.stem for path in FOLDER.glob("*.txt")) == sorted(Path(name).stem for name in SPECS)


@pytest.mark.parametrize("name", SPECS)
def test_the_form_of_an_error_is_place_code_sentence(name):
    lines = (FOLDER / name).with_suffix(".txt").read_text(encoding="utf-8").splitlines()
    errors = [line for line in lines if not line.startswith("  ")]
    assert errors
    for line in errors:
        place, _, sentence = line.partition(": error[G")
        assert sentence[:3].isdigit()
        assert sentence[3:6].startswith("]: ")
        assert place
        assert len(line) < 400
