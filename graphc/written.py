"""How one of several kinds is written: `kind`, or `{kind: arguments}`. Layers, initializers and settings share it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def kind_and_arguments(written: Any, alone: Any = None) -> tuple[Any, Any] | None:
    """(kind, its arguments as they stand there; `alone` where a kind stands alone); None where it is neither."""
    if isinstance(written, str):
        return written, alone
    if isinstance(written, Mapping) and len(written) == 1:
        return next(iter(written.items()))
    return None
