"""What a source answers, and what several of them take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, GetJsonSchemaHandler

from graphc.data.examples import Examples
from graphc.data.wanted import ANYTHING, Wanted
from graphc.files import composed
from graphc.settings import JsonSchema, Kind, Short

Side = Annotated[int, Field(gt=0, le=100_000)]


def _composed(name: Any) -> Any:
    return composed(name) if isinstance(name, str) else name


class _ClassNames(Short):
    """Whole numbers are names too; a name comes once."""

    def expand(self, value: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            return value
        names = tuple(str(name) if type(name) is int else _composed(name) for name in value)
        if len(set(map(str, names))) < len(names):
            raise ValueError("expected each class once")
        return names

    def json_schema(self, long: JsonSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        return {**long, "items": {"type": ["string", "integer"]}, "uniqueItems": True}


ClassNames = Annotated[tuple[str, ...], _ClassNames()]


class Source(Kind):
    """A kind of data set."""

    def load(self, base: Path, limit: int, wanted: Wanted = ANYTHING) -> Examples:
        """All examples, at most `limit` bytes of them; relative paths start at `base`; `wanted`: what the losses want
        of the targets."""
        raise NotImplementedError(self.kind)
