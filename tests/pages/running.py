"""Running a page: its files are written, its commands run, and what they print is compared with what it shows.

    python -m tests.pages docs/start.md          # one page, or several; none: all

A page has a folder of its own, with copies of `examples` and `specs`. In it

- a block with `title="net.yaml"` is that file;
- `sh` is run as a script that ends at the first command that fails;
- `console` is a session: `$ command`, then what it prints, both streams; `# exit 2` behind a command says that it
  fails so. A line `…` stands for any lines, `…` in a line for any text;
- `python` is a program of its own; a `text` block right behind it is what it prints;
- `yaml`, `json` and `toml` are read, a spec is checked too; `text` and `mermaid` are shown.

`<!-- before: COMMAND -->` above a block runs a command that the page does not show, `<!-- not run: REASON -->` says why
a block is not run; a file is written all the same.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from graphc.compiler import plan_model
from graphc.errors import GraphcError
from graphc.spec.model import read_spec_text
from graphc.spec.source import load_text
from tests.pages.pages import ROOT, Block, Page

SHOWN = {"text", "mermaid"}
ELLIPSIS = "…"
LIMIT = 900
"""Seconds for one block."""


class WrongError(Exception):
    """A block that is not as the page says."""


def run_page(page: Page, folder: Path) -> int:
    """Run all blocks of a page in a folder; how many were run or read. WrongError at the first that is wrong."""
    for name in ("examples", "specs"):
        shutil.copytree(ROOT / name, folder / name)
    count = 0
    for block, after in zip(page.blocks, [*page.blocks[1:], None], strict=True):
        try:
            for command in block.before:
                shell(command, folder)
            write(block, folder)
            if not block.reason:
                run_block(block, after, folder)
                count += 1
        except WrongError as error:
            raise WrongError(f"{page.name}:{block.line}: {error}") from None
    return count


def write(block: Block, folder: Path) -> None:
    """The file that a block is, if it is one."""
    if block.title:
        path = folder / block.title
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text + "\n", encoding="utf-8")


def run_block(block: Block, after: Block | None, folder: Path) -> None:
    match block.language:
        case "sh":
            shell(block.text, folder)
        case "console":
            for command, code, expected in session(block.text):
                compare(shell(command, folder, code), expected, command)
        case "python":
            path = folder / (block.title or f"block_{block.line}.py")
            path.write_text(block.text + "\n", encoding="utf-8")
            found = shell(f"python {path.name}", folder)
            if after is not None and after.language == "text":
                compare(found, after.text, path.name)
        case "yaml" | "json" | "toml":
            read(block, folder)
        case language if language not in SHOWN:
            raise WrongError(f"nobody knows how to run {language or 'a block without a language'!r}")


def read(block: Block, folder: Path) -> None:
    """A file must be one; a whole spec must hold, with the files beside it."""
    try:
        if block.language == "toml":
            tomllib.loads(block.text)
            return
        tree = json.loads(block.text) if block.language == "json" else load_text(block.text, block.title or "block")
        if "graphc" in tree and "layers" in tree and "…" not in block.text:
            plan_model(read_spec_text(block.text, folder / (block.title or "block.yaml")))
    except (GraphcError, ValueError) as error:
        raise WrongError(str(error)) from None


def shell(command: str, folder: Path, code: int = 0) -> str:
    """What a script prints, both streams."""
    bin_folder = Path(sys.executable).parent
    paths = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"
    environment = {
        **os.environ,
        "PATH": paths,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}",
        "COLUMNS": "120",
        "TERM": "dumb",
    }
    return printed(command, folder, environment, code)


def printed(
    command: str,
    folder: Path,
    environment: Mapping[str, str],
    code: int = 0,
    *,
    ahead: str = "",
    limit: float | None = LIMIT,
) -> str:
    """What a script of bash prints, both streams, behind what is done `ahead`; WrongError where it ends with another
    code."""
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"{ahead}{command}"],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=limit,
        check=False,
    )
    if result.returncode != code:
        raise WrongError(f"{command}\nends with {result.returncode} in place of {code}:\n{result.stdout}")
    return result.stdout


def session(text: str) -> Iterator[tuple[str, int, str]]:
    """The commands of a session, with the exit codes and the output that it shows."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        while command.endswith("\\"):
            more, _, output = output.partition("\n")
            command = f"{command}\n{more}"
        code = re.search(r" +# exit (\d+)$", command)
        yield command, int(code[1]) if code else 0, output


def compare(found: str, expected: str, command: str) -> None:
    """Whether a text is as it is expected, but for spaces at ends of lines and what `…` stands for."""
    ours, theirs = ([line.rstrip() for line in text.strip("\n").split("\n")] for text in (found, expected))
    if not fits(ours, theirs, lambda line, pattern: fits(line, pattern, str.__eq__)):
        raise WrongError(f"{command}\nprints\n{found}\nand the page shows\n{expected}")


def fits(found: Sequence[str], expected: Sequence[str], same: Callable[[str, str], bool]) -> bool:
    """Whether lines, or the letters of one, are those expected, where `…` stands for any number of them."""
    reached = {0}  # how many of those found may be behind us
    for each in expected:
        if each.strip() == ELLIPSIS:
            reached = set(range(min(reached), len(found) + 1)) if reached else reached
        else:
            reached = {at + 1 for at in reached if at < len(found) and same(found[at], each)}
    return len(found) in reached
