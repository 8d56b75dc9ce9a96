"""Files in onnxruntime-web within Chromium: a page is served from here, and posts its results here.

`python browser.py PROVIDER FOLDER RESULTS ORT_DIST`: a line of JSON for each file in RESULTS. Standard library alone.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

HERE = Path(__file__).parent
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = {
    "wasm": (),
    "webgpu": ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"),
}
PATIENCE = 600
"""Seconds without a result, after which the browser is ended."""


class State:
    """What the page has told."""

    def __init__(self, manifest: list[dict[str, Any]]) -> None:
        self.manifest = manifest
        self.at: str | None = None
        """The file that it is at."""
        self.end: str | None = None
        """What stopped it, empty where it has tried all; None while it runs."""
        self.ended, self.heard = threading.Event(), threading.Event()


def handler(state: State, folder: Path, results: Path, ort: Path) -> type[SimpleHTTPRequestHandler]:
    """What serves the page, the files and onnxruntime-web, and takes results."""

    class Handler(SimpleHTTPRequestHandler):
        extensions_map: ClassVar = {
            **SimpleHTTPRequestHandler.extensions_map,
            ".mjs": "text/javascript",
            ".wasm": "application/wasm",
        }

        def translate_path(self, path: str) -> str:
            name = path.split("?", 1)[0].lstrip("/")
            for prefix, root in (("cases/", folder), ("ort/", ort)):
                if name.startswith(prefix):
                    return str(root / Path(name.removeprefix(prefix)).name)
            return str(HERE / ("judged.mjs" if name == "judged.mjs" else "browser.html"))

        def do_GET(self) -> None:
            if self.path != "/manifest":
                super().do_GET()
                return
            body = json.dumps(state.manifest).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            line = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()
            state.heard.set()
            if line.get("started"):
                state.at = line["id"]
            elif line.get("done"):
                state.end = line.get("failed", "")
                state.ended.set()
            else:
                note(results, line)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def note(results: Path, line: dict[str, Any]) -> None:
    with results.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def serve(provider: str, folder: Path, results: Path, ort: Path) -> str:
    """Empty where all files have been tried; else what stopped it."""
    tried = {json.loads(line)["id"] for line in results.read_text().splitlines()} if results.exists() else set()
    state = State([each for each in json.loads((folder / "manifest.json").read_text()) if each["id"] not in tried])
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(state, folder, results, ort))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    program = next(found for name in CHROMIUM if (found := shutil.which(name)))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        url = f"http://127.0.0.1:{server.server_port}/?provider={provider}"
        flags = ["--headless", "--no-sandbox", "--disable-gpu-watchdog", f"--user-data-dir={profile}", *FLAGS[provider]]
        browser = subprocess.Popen([program, *flags, url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while not state.ended.wait(1) and browser.poll() is None and state.heard.wait(PATIENCE):
                state.heard.clear()
        finally:
            browser.terminate()
            browser.wait(30)
            server.shutdown()
    if state.end is not None:
        return state.end
    if state.at is not None:
        note(results, {"id": state.at, "refused": "the browser ended, or gave no answer"})
        return "again"
    return "the page did not start"


if __name__ == "__main__":
    provider, folder, results, ort = sys.argv[1:]
    while (ended := serve(provider, Path(folder), Path(results), Path(ort))) == "again":
        pass
    if ended:
        sys.exit(f"onnxruntime-web {provider}: {ended}")
