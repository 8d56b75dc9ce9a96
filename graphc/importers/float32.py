"""Numbers that files hold as float32, in as few digits as tell them from others."""

from __future__ import annotations

import numpy as np


def short(number: float, factor: float = 1.0) -> float:
    """The shortest decimal that, times `factor`, is the float32 `number`."""
    wanted, exact = np.float32(number), float(number) / factor
    candidates = (float(f"{exact:.{digits}g}") for digits in range(1, 18))
    return next((each for each in candidates if np.float32(each * factor) == wanted), exact)
