"""The 1,797 handwritten digits that come with scikit-learn (8×8, 16 shades), an extra."""

from __future__ import annotations

from typing import Literal

import numpy as np

from graphc.data.examples import IMAGE, LABEL, Examples
from graphc.errors import missing_extra

TEST_SHARE = 5
"""Every fifth digit is for testing."""


def read_digits(part: Literal["train", "test", "all"]) -> Examples:
    """Digits as 8×8×1 float32 between 0 and 1; every fifth one makes up the test part."""
    try:
        from sklearn.datasets import load_digits  # noqa: PLC0415
    except ImportError:
        raise missing_extra("scikit-learn", "digits") from None
    digits = load_digits()
    rows = np.arange(len(digits.target))
    kept = {"all": rows, "test": rows[::TEST_SHARE], "train": rows[rows % TEST_SHARE != 0]}[part]
    images = (digits.images[kept, :, :, None] / 16).astype(np.float32)
    classes = tuple(str(name) for name in digits.target_names)
    return Examples({IMAGE: images}, {LABEL: digits.target[kept].astype(np.int64)}, classes, f"digits ({part})")
