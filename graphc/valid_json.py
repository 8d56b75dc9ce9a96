"""JSON as its grammar has it: NaN and infinities, which it lacks, become null."""

from __future__ import annotations

import json
import math
from typing import Any


def dumps(value: Any, indent: int | None = None) -> str:
    """The text of a value; numbers that are not finite become null."""
    return json.dumps(_finite(value), indent=indent, allow_nan=False)


def not_finite(record: dict[str, Any]) -> dict[str, str]:
    """The values of a record that are, or hold, a number that is not finite, as `nan`, `inf` or `-inf`."""
    found = {key: next(_bad(value), None) for key, value in record.items()}
    return {key: str(value) for key, value in found.items() if value is not None}


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _bad(value: Any) -> Any:
    if isinstance(value, dict | list | tuple):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _bad(each)
    elif isinstance(value, float) and not math.isfinite(value):
        yield float(value)
