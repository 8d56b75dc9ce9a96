"""Sources of other installed packages (`graphc.plugins`)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar

from pydantic import ConfigDict, model_validator

from graphc import plugins
from graphc.data.sources.base import Source
from graphc.errors import MachineError


def plugged_sources(own: Collection[str]) -> tuple[type[Source], ...]:
    """The class of each, or what stands for one that cannot be loaded."""
    return tuple(_class(kind) for kind in plugins.offers(plugins.SOURCES) if kind not in own)


def _class(kind: str) -> type[Source]:
    try:
        return plugins.loaded(plugins.SOURCES, kind, Source)
    except MachineError as error:
        return _broken(kind, error)


def _broken(name: str, error: MachineError) -> type[Source]:
    """A source that ends with the error where a recipe names it."""

    class Broken(Source):
        __doc__ = f"Cannot be loaded: {error.message}."
        model_config = ConfigDict(extra="allow")

        kind: ClassVar[str] = name

        @model_validator(mode="before")
        @classmethod
        def _fail(cls, values: Any) -> Any:
            raise error

    return Broken
