"""docs/start.md followed as it stands, in a folder of its own: a wheel is built, and nothing else of graphc is there.

    python -m tests.pages.fresh

The page's own lines make the environment. Says how long each part takes, and the size of the environment.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.pages.pages import ROOT, Page
from tests.pages.running import WrongError, compare, printed, session, write

PAGE = Page(ROOT / "docs" / "start.md")


def follow(folder: Path, wheels: Path) -> None:
    """Every block of the page in its order, in one shell's environment."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    environment |= {"PIP_FIND_LINKS": str(wheels), "PIP_QUIET": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}

    def shell(command: str, code: int = 0) -> str:
        activate = "[ -e venv/bin/activate ] && . venv/bin/activate\n"
        return printed(command, folder, environment, code, ahead=activate, limit=None)

    for block in PAGE.blocks:
        start = time.monotonic()
        for command in block.before:
            shell(command)
        write(block, folder)
        if block.language == "console":
            for command, code, expected in session(block.text):
                compare(shell(command, code), expected, command)
        elif block.language in ("sh", "python"):
            shell(f"python {block.title}" if block.language == "python" else block.text)
        print(f"  line {block.line}: {block.language} {block.title}, {time.monotonic() - start:.1f} s", flush=True)
    print(f"  {shell('du -sm venv').split()[0]} MB of environment")


def main() -> None:
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as work:
        wheels, folder = Path(work) / "wheels", Path(work) / "elsewhere"
        folder.mkdir()
        command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", str(ROOT), "-w", str(wheels)]
        subprocess.run(command, check=True)
        begun = time.monotonic()
        try:
            follow(folder, wheels)
        except WrongError as error:
            sys.exit(str(error))
        print(f"docs/start.md followed in {time.monotonic() - begun:.0f} s, the wheel {begun - start:.0f} s before")


if __name__ == "__main__":
    main()
