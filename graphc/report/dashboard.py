"""`graphc train --dashboard`: the report of a run while it trains, on this machine alone."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import isfinite
from pathlib import Path
from typing import Any, TypeAlias

from graphc.errors import GraphcError
from graphc.files import machine_error
from graphc.report.page.build import page
from graphc.report.page.runs import NOT_JUDGED, curves, read_log
from graphc.report.watched import Watched
from graphc.train.run_folder import RunFolder
from graphc.train.trained import task_of_run

EVERY = 2000
"""Milliseconds between two looks at the log."""
HERE = "127.0.0.1"
CLIENTS = 16
"""That are served at a time."""
PATIENCE = 5.0
"""Seconds for which a client may say or take nothing."""
WAITING = (
    '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="1"><title>graphc</title>'
    "<p>The training has not begun yet."
)


@contextmanager
def dashboard(
    folder: str | Path, say: Callable[[str], None], port: int = 0, watched: Watched | None = None
) -> Iterator[str]:
    """Serve the report of a run's folder, which need not be there yet; the page's address. Port 0: any that is free.
    `watched` knows the steps of an epoch that has no line in the log yet."""
    with serving(answers_of(RunFolder(folder), watched), port) as address:
        say(f"dashboard: {address}")
        yield address


Answers: TypeAlias = Mapping[str, tuple[str, Callable[[], str]]]
"""Path -> the kind of its content, and what gives it."""


def answers_of(run: RunFolder, watched: Watched | None = None) -> Answers:
    """What a run's dashboard answers."""
    return {
        "/": ("text/html", lambda: live_page(run, watched)),
        "/runs.json": ("application/json", lambda: json.dumps(live_runs(run, watched))),
    }


@contextmanager
def serving(answers: Answers, port: int = 0) -> Iterator[str]:
    """Answer requests from this machine in threads; the address. Port 0: any that is free."""
    try:
        server = Server((HERE, port), handler_of(answers))
    except OSError as error:
        raise machine_error("listen on port", str(port), error) from None
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield f"http://{HERE}:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Server(ThreadingHTTPServer):
    """Whatever clients do, the training has its threads, files and terminal for itself."""

    daemon_threads = True
    request_queue_size = 128
    """Clients that may wait to be taken: the system lets others try again after a second, then after three."""

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        """The oldest first."""

    def process_request(self, request: Any, client_address: Any) -> None:
        """A thread for it; the oldest client goes where there are too many, such as do not ask."""
        with self._lock:
            self._open.append(request)
            oldest = self._open.pop(0) if len(self._open) > CLIENTS else None
            if oldest is not None:
                with suppress(OSError):
                    oldest.shutdown(socket.SHUT_RDWR)  # its thread closes it
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            if request in self._open:
                self._open.remove(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that have gone away."""


def handler_of(answers: Answers) -> type[BaseHTTPRequestHandler]:
    """Answers to requests that mean this machine, one at a time."""

    one_by_one = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        timeout = PATIENCE

        def do_GET(self) -> None:
            host = (self.headers.get("Host") or "").rpartition(":")[0]
            if host not in (HERE, "localhost"):  # another site's name that was made to point here
                self.send_error(403)
            elif self.path in answers:
                kind, text_of = answers[self.path]
                with one_by_one:
                    text = text_of()
                self.answer(kind, text)
            else:
                self.send_error(404)

        def answer(self, kind: str, text: str) -> None:
            body = text.encode()
            self.send_response(200)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: the terminal is the training's."""

    return Handler


def live_page(folder: RunFolder, watched: Watched | None) -> str:
    try:
        task, _ = task_of_run(folder, folder.read_facts())
        return page(task.plan, None, {"runs": live_runs(folder, watched), "live": EVERY})
    except (GraphcError, OSError):
        return WAITING


def live_runs(folder: RunFolder, watched: Watched | None) -> list[dict[str, Any]]:
    """The one run's curves so far, and how far it is."""
    found = {"name": folder.path.name, "curves": curves(read_log(folder)), "classes": []}
    facts = watched.facts if watched is not None else None
    progress = facts if facts is None or isfinite(facts["loss"]) else {**facts, "loss": None}
    return [{**found, **NOT_JUDGED, "progress": progress}]
