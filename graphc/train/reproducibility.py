"""What decides the last bits of a result."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info

from graphc import __version__
from graphc.files import shown

LONGEST = 100
"""Characters that are said of a setting."""
MOST = 8
"""Settings that are said."""


def bit_settings() -> dict[str, Any]:
    """What decides the last bits of a result besides recipe and data: the same here and there, the same bytes.

    The number of threads is not among it: batches are cut into the same slices for any number.
    """
    libraries = [info for info in threadpool_info() if info["user_api"] == "blas"]
    own = [info for info in libraries if "numpy" in info["filepath"]] or libraries  # SciPy's computes nothing here
    blas = sorted({f"{info['internal_api']} {info['version']} {info.get('architecture')}" for info in own})
    return {"graphc": __version__, "numpy": np.__version__, "machine": platform.machine(), "blas": blas}


def describe_difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """`numpy 2.1.0, now 2.2.0` for each setting that differs; nothing where none does."""
    keys = [key for key in sorted({*before, *now}) if before.get(key) != now.get(key)]
    said = [shown(f"{key} {before.get(key)}, now {now.get(key)}"[:LONGEST]) for key in keys[:MOST]]
    return "; ".join([*said, *([f"and {len(keys) - MOST:,} more"] if len(keys) > MOST else [])])
