"""Typing, replayed: `python -m tests.lsp.replay [EDITS] [SPECS]` types edits into specs of the zoo, character by
character, with the requests that an editor sends meanwhile, and compares what is shown at rest with `check`.

A request's time is told twice: on the clock, and as the processor's time of the server, which is what other work on the
machine leaves alone. The limit of 300 ms is of the latter.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from lsprotocol import types as lsp

from graphc.compiler import lints, plan_spec
from graphc.errors import GraphcError, SpecErrors, once
from tests.lsp.test_server import Editor

ZOO = Path(__file__).parent.parent.parent / "specs"
SPECS = ("hrnet_w18", "vgg_16", "inception_v3", "nasnet_mobile", "efficientnet_b7", "unet", "yolov8n", "resnet_v2_200",
         "vit_tiny", "googlenet")  # fmt: skip
LIMIT = 0.3
"""Seconds that a request may take."""
TYPED = ("conv2d", "filters: 3", "re lu", "{", "- relu", "padding: same", "image", "0", ": ", "name: x", "]", "kernel")
TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """The processor's time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def resident(pid: int) -> float:
    """MiB of memory of a process."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))
    assert found is not None
    return int(found[1]) / 1024


def checked(path: Path) -> list[tuple[str, str]]:
    """(code, first line of the message) of all that `check` says of a file."""
    try:
        plan = plan_spec(path)
    except GraphcError as error:
        each = error.errors if isinstance(error, SpecErrors) else [error]
        return sorted((one.code, one.message.partition("\n")[0]) for one in each)
    warnings = once([*plan.warnings, *lints(plan)])
    return sorted((warn.code, warn.message.partition("\n")[0]) for warn, _ in warnings)


class Replay:
    def __init__(self, path: Path, rng: random.Random) -> None:
        self.path, self.rng = path, rng
        self.editor = Editor(path)
        self.lines = path.read_text(encoding="utf-8").split("\n")
        self.wall: list[float] = []
        self.cpu: list[float] = []
        self.wrong: list[str] = []

    async def asked(self, name: str, request: Awaitable[Any]) -> None:
        before, began = cpu_seconds(self.pid), time.perf_counter()
        await request
        self.wall.append(time.perf_counter() - began)
        self.cpu.append(cpu_seconds(self.pid) - before)
        if self.cpu[-1] > LIMIT:
            self.wrong.append(f"{self.path.stem}: {name} took {self.cpu[-1]:.2f} s of the processor")

    def change(self, line: int, start: int, end: int, text: str) -> None:
        """Replace columns of a line, without waiting."""
        editor = self.editor
        editor.version += 1
        old = self.lines[line]
        span = lsp.Range(lsp.Position(line, units(old, start)), lsp.Position(line, units(old, end)))
        self.lines[line] = old[:start] + text + old[end:]
        identifier = lsp.VersionedTextDocumentIdentifier(version=editor.version, uri=editor.uri)
        change = lsp.TextDocumentContentChangePartial(range=span, text=text)
        editor.client.text_document_did_change(lsp.DidChangeTextDocumentParams(identifier, [change]))

    async def type(self, line: int, column: int, text: str) -> None:
        """Type a text, asking what an editor asks meanwhile."""
        client, document = self.editor.client, self.editor.document
        for sign in text:
            self.change(line, column, column, sign)
            column += 1
            at = lsp.Position(line, units(self.lines[line], column))
            await self.asked("completion", client.text_document_completion_async(lsp.CompletionParams(document, at)))
            if self.rng.random() < 0.2:
                await self.asked("hover", client.text_document_hover_async(lsp.HoverParams(document, at)))
            if self.rng.random() < 0.1:
                where = lsp.Range(lsp.Position(max(line - 20, 0), 0), lsp.Position(line + 20, 0))
                hints = client.text_document_inlay_hint_async(lsp.InlayHintParams(document, where))
                await self.asked("hints", hints)

    async def edit(self) -> None:
        """One edit: a word is typed anew, or something wrong is typed and taken away again."""
        line = self.rng.choice([n for n, text in enumerate(self.lines) if text.strip() and not text.startswith("#")])
        words = list(re.finditer(r"\w+", self.lines[line]))
        saved = self.lines[line]
        if words and self.rng.random() < 0.5:
            word = self.rng.choice(words)
            self.change(line, word.start(), word.end(), "")
            await self.at_rest()
            await self.type(line, word.start(), word[0])
        else:
            await self.type(line, self.rng.randrange(len(saved) + 1), self.rng.choice(TYPED))
            await self.at_rest()
            self.change(line, 0, len(self.lines[line]), saved)
        await self.at_rest()

    async def at_rest(self) -> None:
        """What is shown is what `check` says of the text."""
        shown = await self.editor.diagnostics()
        self.editor.told.clear()
        self.path.write_text("\n".join(self.lines), encoding="utf-8")
        found = sorted((str(each.code), each.message.partition("\n")[0].partition(": error[")[0]) for each in shown)
        expected = checked(self.path)
        codes = [code for code, _ in found]
        if codes != [code for code, _ in expected]:
            self.wrong.append(f"{self.path.stem}: shown {found}, check says {expected}")

    async def run(self, edits: int) -> float:
        """MiB of memory that the server has more at the end than after a fifth of the edits."""
        await self.editor.start()
        self.pid = self.editor.client._server.pid
        await self.editor.open("\n".join(self.lines))
        await self.warm()
        after_some = 0.0
        for number in range(edits):
            if number == edits // 5:
                after_some = resident(self.pid)
            await self.edit()
        grown = resident(self.pid) - after_some
        for name, request in self.rest():
            await self.asked(name, request)
        await self.editor.stop()
        return grown

    async def warm(self) -> None:
        """Wait until the server has loaded what it loads behind its client's back."""
        before = -1.0
        while cpu_seconds(self.pid) > before:
            before = cpu_seconds(self.pid)
            await asyncio.sleep(5)

    def rest(self) -> list[tuple[str, Awaitable[Any]]]:
        """The requests that are not sent with each key."""
        client, document = self.editor.client, self.editor.document
        everywhere = lsp.Range(lsp.Position(0, 0), lsp.Position(len(self.lines), 0))
        at = lsp.Position(len(self.lines) // 2, 8)
        options = lsp.FormattingOptions(2, True)
        context = lsp.CodeActionContext([])
        return [
            ("all hints", client.text_document_inlay_hint_async(lsp.InlayHintParams(document, everywhere))),
            ("symbols", client.text_document_document_symbol_async(lsp.DocumentSymbolParams(document))),
            ("folding", client.text_document_folding_range_async(lsp.FoldingRangeParams(document))),
            ("definition", client.text_document_definition_async(lsp.DefinitionParams(document, at))),
            ("format", client.text_document_formatting_async(lsp.DocumentFormattingParams(document, options))),
            ("actions", client.text_document_code_action_async(lsp.CodeActionParams(document, everywhere, context))),
        ]


def units(text: str, column: int) -> int:
    return len(text[:column].encode("utf-16-le")) // 2


def told(cpu: list[float], wall: list[float]) -> str:
    """Medians and most of seconds, of the processor's time and on the clock."""
    times = f"{statistics.median(cpu):.3f} s and at most {max(cpu):.2f} s of the processor"
    clock = f"{statistics.median(wall):.3f} and {max(wall):.2f} s on the clock at a load of {os.getloadavg()[0]:.0f}"
    return f"{len(cpu)} requests, {times}, {clock}"


def main(edits: int, specs: int) -> int:
    wrong, wall, cpu = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ZOO, Path(folder) / "specs")
        for name in SPECS[:specs]:
            replay = Replay(Path(folder) / "specs" / f"{name}.yaml", random.Random(name))
            grown = asyncio.run(replay.run(edits))
            wrong += replay.wrong
            wall += replay.wall
            cpu += replay.cpu
            if grown > 30:
                wrong.append(f"{name}: the server has {grown:.0f} MiB more")
            print(f"{name}: {edits} edits, {told(replay.cpu, replay.wall)}; {grown:+.0f} MiB", flush=True)
    print(*wrong, sep="\n")
    print(f"in all {told(cpu, wall)}; {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else 20, int(sys.argv[2]) if sys.argv[2:] else len(SPECS)))
