"""A part of the cases for the suite, the others for the group `.ci/exhaustive`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

import pytest


def sampled(cases: Iterable[Any], kept: Collection[str], name: Callable[[Any], str] = str) -> list[Any]:
    """Every case, by its name; those not in `kept` are marked as the group's. Each name kept is one of a case."""
    named = {name(case): case for case in cases}
    unknown = set(kept) - set(named)
    assert not unknown, f"no case is named {', '.join(sorted(unknown))}"
    return [
        pytest.param(case, id=each, marks=() if each in kept else pytest.mark.exhaustive)
        for each, case in named.items()
    ]
