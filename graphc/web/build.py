"""The page put together: a folder for any static server, or one HTML file that a browser opens by itself."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

from graphc import __version__
from graphc.emit.read import self_contained
from graphc.errors import MachineError, SpecError
from graphc.files import atomic_write, machine_error, make_folder, printable, shown
from graphc.inference import Scaling
from graphc.runtime import Session
from graphc.web.describe import Description, describe
from graphc.web.known_answer import KnownAnswer, known_answer
from graphc.web.runtime_package import Runtime

STATIC = Path(__file__).parent / "static"
SCRIPTS = (
    "tensor.js", "pixels.js", "answer.js", "heads.js", "runtime.js", "engine.js", "sources.js", "results.js",
    "shell.js", "page.js",
)  # fmt: skip
"""In the order in which they are loaded; each uses those before it."""
MODEL = "model.onnx"
SITE_POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval' blob:; worker-src 'self' blob:; "
    "img-src 'self' blob: data:; media-src blob:"
)
PAGE_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'wasm-unsafe-eval' blob:; worker-src blob:; "
    "style-src 'unsafe-inline'; connect-src blob: data:; img-src blob: data:; media-src blob:"
)
"""What a page may load: nothing from another server."""
LICENSE = """\
onnxruntime-web, whose files stand here as npm has them, is Microsoft's, under the MIT license:

Copyright (c) Microsoft Corporation

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


@dataclass(frozen=True, slots=True)
class Page:
    """All that a page is made of."""

    description: Description
    answer: KnownAnswer
    runtime: Runtime
    model: bytes

    @property
    def facts(self) -> dict[str, Any]:
        """What the scripts are told."""
        runtime = {"version": self.runtime.version, "providers": list(self.runtime.providers)}
        answer = asdict(self.answer)
        made_by = f"graphc {__version__}"
        return {**self.description.as_dict(), "answer": answer, "runtime": runtime, "made_by": made_by}


def make_page(
    model: str, runtime: Runtime, sizes: Mapping[str, int], scaling: Scaling, title: str | None = None
) -> Page:
    """Of a file: what it takes and gives, and its known answer. A SpecError where a page cannot show it."""
    session = Session(model)
    description = describe(session, title or Path(model).stem, Path(model).name, sizes, scaling)
    data = self_contained(model)
    if isinstance(data, str):
        raise SpecError("G353", f"{shown(model)} has more than 2 GiB, which no browser loads")
    return Page(description, known_answer(session, model, description), runtime, data)


def write_single(page: Page, path: str | Path) -> None:
    """One file: the scripts, the model and the runtime inside, the latter two compressed."""
    build = page.runtime.build
    embedded = {
        "model": page.model,
        "module": page.runtime.files[build.module],
        "binary": page.runtime.files[build.binary],
    }
    scripts = [page.runtime.files[build.script].decode(), *(static(name) for name in SCRIPTS)]
    parts = {
        "policy": PAGE_POLICY,
        "style": f"<style>\n{static('page.css')}</style>",
        "license": f"<!--\n{LICENSE}-->",
        "data": "".join(_embedded(name, data) for name, data in embedded.items()),
        "scripts": "".join(f"<script>\n{script}\n</script>\n" for script in map(_in_script, scripts)),
    }
    atomic_write(path, filled("page.html", page.description.title, {**page.facts, "files": None}, parts).encode())


def write_site(page: Page, folder: str | Path) -> None:
    """A folder: the page, its scripts, the model and the runtime, each a file of its own; the page last."""
    build = page.runtime.build
    files = {"module": f"runtime/{build.module}", "binary": f"runtime/{build.binary}", "model": MODEL}
    scripts = [f"scripts/{name}" for name in SCRIPTS]
    parts = {**site_parts([f"runtime/{build.script}", *scripts]), "data": ""}
    written: dict[str, bytes] = {
        **site_files(SCRIPTS),
        MODEL: page.model,
        **{f"runtime/{name}": data for name, data in page.runtime.files.items()},
        "index.html": filled("page.html", page.description.title, {**page.facts, "files": files}, parts).encode(),
    }
    write_folder(written, folder)


def site_parts(scripts: Iterable[str]) -> dict[str, str]:
    """What stands in the places of a page that is a folder, with these scripts, by their paths."""
    return {
        "policy": SITE_POLICY,
        "style": '<link rel="stylesheet" href="page.css">',
        "license": "<!-- the runtime's license: runtime/LICENSE.txt -->",
        "scripts": "".join(f'<script src="{path}"></script>\n' for path in scripts),
    }


def site_files(scripts: Iterable[str]) -> dict[str, bytes]:
    """What these parts name, by its path in the folder: the style, the license and the scripts, by their names."""
    return {
        "page.css": static("page.css").encode(),
        "runtime/LICENSE.txt": LICENSE.encode(),
        **{f"scripts/{name}": static(name).encode() for name in scripts},
    }


def write_folder(written: Mapping[str, bytes], folder: str | Path) -> None:
    """Files by their path in the folder of a page, one after the other; an error where others are there."""
    folder = Path(folder)
    check_folder(folder)
    try:
        for each in sorted({(folder / name).parent for name in written}):
            make_folder(each)
    except OSError as error:
        raise machine_error("make the folder", folder, error) from None
    for name, data in written.items():
        atomic_write(folder / name, data)


MARK = '<meta name="generator" content="graphc'
"""By which a folder is known as one of ours."""


def check_folder(folder: Path) -> None:
    """An error where a page would be mixed with what somebody else has there."""
    if folder.exists() and not folder.is_dir():
        raise MachineError("G502", f"cannot write {shown(folder)}: it is a file, and a page is a folder: --single-file")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    index = folder / "index.html"
    if not (index.is_file() and MARK in index.read_text(encoding="utf-8", errors="replace")[:4096]):
        raise SpecError("G350", f"{shown(folder)} holds other files than a page's: name a new folder")


def filled(template: str, title: str, facts: Mapping[str, Any], parts: Mapping[str, str]) -> str:
    """A page of `static/` with what stands in its places: the title, what its scripts are told, and the parts."""
    told = json.dumps(facts).replace("<", "\\u003c").replace("&", "\\u0026")
    known = {"title": escape(printable(title)), "version": __version__, "facts": told, **parts}
    pieces = static(template).split("{{")
    found = [pieces[0]]
    for piece in pieces[1:]:
        name, _, rest = piece.partition("}}")
        found += [known[name], rest]
    return "".join(found)


def static(name: str) -> str:
    """A file of `static/`, as text."""
    return (STATIC / name).read_text(encoding="utf-8")


def _in_script(text: str) -> str:
    """A script that no text in it ends early."""
    return text.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _embedded(name: str, data: bytes) -> str:
    """Bytes as text in the page: compressed, in base64, without a date: the same page has the same bytes."""
    text = base64.b64encode(gzip.compress(data, 9, mtime=0)).decode()
    return f'<script type="application/octet-stream" id="{name}">{text}</script>\n'
