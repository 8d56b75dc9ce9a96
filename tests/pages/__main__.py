"""Run the pages: `python -m tests.pages [PAGE …]`; exit code 1 where one is wrong."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.pages.pages import pages
from tests.pages.running import WrongError, run_page


def main(names: list[str]) -> int:
    wrong = 0
    left_out = []
    for page in pages():
        if not page.blocks or (names and page.name not in names):
            continue
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            try:
                count = run_page(page, Path(folder))
                print(f"{page.name}: {count} blocks, {time.monotonic() - start:.0f} s", flush=True)
            except WrongError as error:
                wrong += 1
                print(f"WRONG {error}", flush=True)
        left_out += [f"{page.name}:{block.line}: {block.reason}" for block in page.blocks if block.reason]
    print("not run:", *left_out, sep="\n  ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
