"""What a field of settings takes, in words, made from its type; and what a wrong value may have been meant as."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from graphc.documented import flow


@dataclass(frozen=True, slots=True)
class Expects:
    """What a type takes, as metadata beside it: for types that say it in no other way."""

    text: str


MOST = 1_000_000_000
"""No whole number of a spec is greater."""

WORDS: dict[Any, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Any: "a value"}


def expected(info: FieldInfo) -> str:
    """`a whole number of at least 1, or [height, width]`: what a field takes."""
    return _of(info.annotation, tuple(info.metadata))


def _of(annotation: Any, metadata: tuple[Any, ...] = ()) -> str:
    for each in metadata:
        if isinstance(each, Expects):
            return each.text
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        return _of(inner, (*_flat(more), *metadata))
    if get_origin(annotation) in (Union, UnionType):
        return _either([_of(each) for each in get_args(annotation) if each is not NoneType])
    if get_origin(annotation) is Literal:
        return _either([flow(each) for each in get_args(annotation)])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"a mapping with {_either(list(annotation.model_fields))}"
    return WORDS[annotation] + _bounds(metadata, whole=annotation is int)


def _flat(metadata: list[Any]) -> Iterator[Any]:
    for each in metadata:
        yield from each.metadata if isinstance(each, FieldInfo) else (each,)


def _either(texts: list[str]) -> str:
    *most, last = texts
    if not most:
        return last
    return f"{', '.join(most)} or {last}"


def _bounds(metadata: tuple[Any, ...], *, whole: bool) -> str:
    """` of at least 0 and below 1`."""
    found = []
    for each in metadata:
        if isinstance(each, Gt):
            found.append("of at least 1" if whole and each.gt == 0 else f"above {each.gt}")
        elif isinstance(each, Ge):
            found.append(f"of at least {each.ge}")
        elif isinstance(each, Lt):
            found.append(f"below {each.lt}")
        elif isinstance(each, Le) and each.le != MOST:
            found.append(f"of at most {each.le}")
    return f" {' and '.join(found)}" if found else ""


_PAIR = re.compile(r"\s*(\d{1,9})\s*[xX×*,]\s*(\d{1,9})\s*")
_PERCENT = re.compile(r"\s*(\d{1,3}(?:\.\d+)?)\s*%\s*")


def readings(value: Any) -> Iterator[Any]:
    """What a value may have been meant as that is written otherwise: `'3'` as 3, `50%` as 0.5, `[3]` as 3."""
    if isinstance(value, list) and len(value) == 1:
        yield value[0]
    if value in (0, 1) and not isinstance(value, bool):
        yield bool(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        yield {"constant": value}
    if not isinstance(value, str):
        return
    with suppress(ValueError):
        yield int(value)
    with suppress(ValueError):
        yield float(value)
    if pair := _PAIR.fullmatch(value):
        yield [int(pair[1]), int(pair[2])]
    if share := _PERCENT.fullmatch(value):
        yield float(share[1]) / 100
    yield value.lower().replace("-", "_")
    if value.lower() in ("none", "null", "nil"):
        yield None
