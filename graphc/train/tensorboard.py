"""Event files for TensorBoard, an extra; the log in metrics.jsonl has the same numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from graphc.errors import missing_extra


def require() -> Any:
    """The package, or an error that says what to install."""
    try:
        import tensorboardX  # noqa: PLC0415
    except ImportError:
        raise missing_extra("tensorboardX", "tb") from None
    return tensorboardX


class Events:
    """Writes each number of a log line as a scalar at its step."""

    def __init__(self, folder: Path, step: int) -> None:
        """`step`: where training goes on; what a killed run wrote after it is struck out."""
        self._writer = require().SummaryWriter(str(folder), purge_step=step)

    def add(self, record: Mapping[str, Any]) -> None:
        """One line of the log."""
        for name, value in record.items():
            if isinstance(value, float):
                metric = name.removeprefix("validation_")
                part = "train" if metric == name else "validation"
                self._writer.add_scalar(f"{metric}/{part}", value, record["step"])
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()
