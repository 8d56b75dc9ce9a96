"""Rows of the contract test: a module a family, each with a list `CASES`, and for kinds with arguments worth
drawing at random a dictionary `SAMPLERS`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from random import Random

from graphc.testing import Case

__all__ = ["Case", "all_cases", "all_samplers"]

Sampler = Callable[[Random], Case]


def all_cases() -> list[Case]:
    """The rows of every module beside this one."""
    return [case for module in _modules() for case in module.CASES]


def all_samplers() -> dict[str, Sampler]:
    """kind -> a function that draws one random row of it."""
    return {kind: draw for module in _modules() for kind, draw in getattr(module, "SAMPLERS", {}).items()}


def _modules():
    return [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
