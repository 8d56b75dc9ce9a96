"""What a browser, or whoever reaches the port, asks of a training's dashboard."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from graphc.errors import WeightsError
from graphc.report.dashboard import answers_of, handler_of
from graphc.train.run_folder import RunFolder
from tests.fuzz.harness import Harness

from .runs import whole_run

BROWSER = "Host: 127.0.0.1:8000\r\nUser-Agent: a browser\r\nAccept: */*\r\nConnection: keep-alive\r\n\r\n"


class DashboardRequest(Harness):
    """Bytes that arrive on a connection; refused is what is answered with an error, or not at all."""

    name = "dashboard"

    def prepare(self) -> None:
        self.handler = handler_of(answers_of(RunFolder(whole_run())))

    def seeds(self) -> Sequence[bytes]:
        log = f"GET /runs.json HTTP/1.1\r\n{BROWSER}".encode()
        return [
            f"GET / HTTP/1.1\r\n{BROWSER}".encode(),
            log,
            log * 3,
            b"GET /runs.json HTTP/1.0\r\nHost: localhost:1\r\n\r\n",
        ]

    def words(self) -> Sequence[bytes]:
        methods = (b"GET ", b"HEAD ", b"POST ", b"OPTIONS * ", b"CONNECT ")
        headers = (
            b"Host: ",
            b"Content-Length: 99999999999\r\n",
            b"Expect: 100-continue\r\n",
            b"Transfer-Encoding: chunked\r\n",
        )
        return (
            *methods,
            *headers,
            b"HTTP/0.9",
            b"HTTP/99.9",
            b"\r\n\r\n",
            b"\r\n",
            b"/../run.json",
            b"/%2e%2e/",
            b"?",
            b"\x00",
        )

    def read(self) -> None:
        connection = Connection(self.path.read_bytes())
        self.handler(connection, ("127.0.0.1", 1), None)  # type: ignore[arg-type]
        if not connection.answer.getvalue().startswith(b"HTTP/1.0 200"):
            raise WeightsError("G300", "no page was asked for")


class Connection:
    """A socket without a network: all that was sent has arrived, and then the other end is closed."""

    def __init__(self, received: bytes) -> None:
        self._received = received
        self.answer = io.BytesIO()

    def makefile(self, *_: Any) -> io.BytesIO:
        return io.BytesIO(self._received)

    def sendall(self, data: bytes) -> None:
        self.answer.write(data)

    def settimeout(self, _: float) -> None:
        """Nothing is waited for."""
