"""A server's memory over many edits: `python -m tests.lsp.memory [EDITS]`.

Types into a spec of the zoo and asks for hints, symbols and completion; exit code 1 where the server has more than MOST
MiB more at the end than after a tenth of the edits.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path

from lsprotocol import types as lsp

from tests.lsp.replay import TYPED, ZOO, resident
from tests.lsp.test_server import Editor

MOST = 20.0


async def grown(edits: int, path: Path) -> float:
    """MiB that the server has grown by."""
    editor, rng = Editor(path), random.Random(0)
    text = (ZOO / "resnet20.yaml").read_text(encoding="utf-8")
    lines = text.split("\n")
    await editor.start()
    pid = editor.client._server.pid
    await editor.open(text)
    early = 0.0
    for number in range(edits):
        line = rng.choice([n for n, each in enumerate(lines) if each.isascii()])
        column, typed = rng.randrange(len(lines[line]) + 1), rng.choice(TYPED)
        await editor.write(line, column, column, typed)
        everywhere = lsp.Range(lsp.Position(0, 0), lsp.Position(len(lines), 0))
        client, document, at = editor.client, editor.document, lsp.Position(line, column + len(typed))
        await client.text_document_inlay_hint_async(lsp.InlayHintParams(document, everywhere))
        await client.text_document_completion_async(lsp.CompletionParams(document, at))
        await client.text_document_document_symbol_async(lsp.DocumentSymbolParams(document))
        await editor.write(line, column, column + len(typed), "")
        editor.told.clear()
        if number == edits // 10:
            early = resident(pid)
    late = resident(pid)
    await editor.stop()
    return late - early


def main(edits: int) -> int:
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        more = asyncio.run(grown(edits, Path(folder) / "net.yaml"))
    print(f"{2 * edits} changes in {time.monotonic() - start:.0f} s: {more:+.1f} MiB after the first tenth")
    return 1 if more > MOST else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else 1000))
