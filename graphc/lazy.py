"""What is loaded at its first use, NumPy above all: reading and checking a spec needs none of it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any


class LazyModule(ModuleType):
    """Stands for a module that is imported when one of its attributes is first asked for.

    It is not in `sys.modules`, and imports as anybody would: another thread waits until the module is whole. What
    `importlib.util.LazyLoader` puts there is a module like any other while it is being executed, and threads of a first
    draw of weights found NumPy without its parts (Python 3.11; with the lock of 3.12 they can wait for each other).
    """

    def __getattr__(self, name: str) -> Any:
        found = getattr(importlib.import_module(self.__name__), name)
        self.__dict__[name] = found  # asked for once: NumPy's functions are looked up here in every operation
        return found


def lazy_import(name: str) -> ModuleType:
    """The module `name`, or what stands for it until it is used."""
    return importlib.import_module(name) if name in sys.modules else LazyModule(name)


def loaded_from(homes: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a package that gives names of its modules: `homes` says of which, by name."""

    def attribute(name: str) -> Any:
        if name not in homes:
            raise AttributeError(name)
        return getattr(importlib.import_module(homes[name]), name)

    return attribute


if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_import("numpy")

__all__ = ["LazyModule", "lazy_import", "loaded_from", "np"]
