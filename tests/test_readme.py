"""What the README shows is what the program prints."""

from __future__ import annotations

import re
from pathlib import Path

from graphc.cli import cli
from graphc.compiler import plan_model
from graphc.layers import CATALOGUE
from graphc.report.show import show
from graphc.spec.model import read_spec_text

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(name: str) -> str:
    """The block that is a file."""
    return README.split(f'title="{name}"\n', 1)[1].split("```", 1)[0]


def test_the_example_and_its_table() -> None:
    plan = plan_model(read_spec_text(block("tiny.yaml"), "tiny.yaml"))
    table = README.split("graphc show tiny.yaml --depth 2\n", 1)[1].split("```", 1)[0]
    assert show(plan, "table", depth=2).strip("\n") == table.strip("\n")


def test_every_command_named_exists() -> None:
    named = {match for code in re.findall(r"`([^`\n]+)`", README) for match in re.findall(r"^graphc ([a-z]+)", code)}
    assert named
    assert named <= set(cli.commands)


def test_every_command_is_named() -> None:
    for command in cli.commands:
        assert f"`graphc {command}" in README, command


def test_linked_files_exist() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_language_names_every_kind() -> None:
    language = (ROOT / "specs" / "README.md").read_text(encoding="utf-8")
    for kind, layer in CATALOGUE.items():
        row = next(line for line in language.splitlines() if line.startswith(f"| {layer.family} |"))
        assert f"`{kind}`" in row
