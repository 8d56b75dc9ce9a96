"""Settings that users write: frozen, strict, and with errors that know their line.

A choice among kinds is written as the kind's name (`adam`) or as a mapping with one key (`{adam: {beta1: 0.8}}`);
in code it is an instance.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, ClassVar, Self, TypeAlias, TypeVar, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError, core_schema

from graphc.documented import field_texts
from graphc.errors import MAX_ERRORS, Place, SpecError, SpecErrors, counted, did_you_mean, write_boolean
from graphc.peers import new_name
from graphc.written import kind_and_arguments

JsonSchema: TypeAlias = dict[str, Any]


class Settings(BaseModel):
    """A group of settings: unknown keys are errors, `true` is not a number and `"1"` neither."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        json_schema_extra=lambda schema, cls: cls.add_rules(schema),
    )

    exactly_one: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """Groups of keys of which one is given."""
    at_most_one: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """Groups of keys of which one is given, or none."""

    @model_validator(mode="after")
    def _choices(self) -> Self:
        for keys in self.exactly_one:
            if sum(getattr(self, key) not in NOTHING for key in keys) != 1:
                raise ValueError(f"expected either {' or '.join(f'`{key}`' for key in keys)}")
        for keys in self.at_most_one:
            if sum(getattr(self, key) not in NOTHING for key in keys) > 1:
                raise ValueError(f"expected at most one of {' and '.join(f'`{key}`' for key in keys)}")
        return self

    @classmethod
    def add_rules(cls, schema: JsonSchema) -> None:
        """Write what fields do not say into the JSON Schema of this group."""
        schema.pop("title", None)
        for name, text in field_texts(cls).items():
            schema["properties"][name].setdefault("description", text)
        rules: list[JsonSchema] = [{"oneOf": [_given(key) for key in keys]} for keys in cls.exactly_one]
        for keys in cls.at_most_one:
            rules += [{"not": {"allOf": [_given(key) for key in pair]}} for pair in combinations(keys, 2)]
        if rules:
            schema["allOf"] = rules


NOTHING = (None, ())
"""Values of a key that is not given."""


def _given(key: str) -> JsonSchema:
    """The JSON Schema of mappings in which a key is given; in the negative, of which editors offer no keys."""
    return {"not": {"properties": {key: {"enum": [None, []]}}}}


class Kind(Settings):
    """Settings of one kind among several."""

    kind: ClassVar[str]
    called: ClassVar[str] = ""
    """What the kinds are that this one is chosen among; left out: the name of their base class."""

    @classmethod
    def vocabulary(cls) -> str:
        """loss, optimizer, …: what this is a kind of."""
        base = next(each for each in reversed(cls.__mro__) if issubclass(each, Kind) and each is not Kind)
        return cls.called or base.__name__.lower()

    @classmethod
    def needs_arguments(cls) -> bool:
        return bool(cls.exactly_one) or any(field.is_required() for field in cls.model_fields.values())

    @classmethod
    def add_rules(cls, schema: JsonSchema) -> None:
        super().add_rules(schema)
        schema["title"] = cls.kind
        if not cls.needs_arguments():
            schema["type"] = ["object", "null"]


LIST = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)
"""Takes a list where a tuple is kept."""


class Short:
    """Annotation of a field that may be written in a shorter form, which `expand` makes the long one of."""

    def expand(self, value: Any) -> Any:
        raise NotImplementedError

    def json_schema(self, long: JsonSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        """The JSON Schema of all forms, where `long` is the long one's."""
        raise NotImplementedError

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_before_validator_function(self.expand, handler(source))

    def __get_pydantic_json_schema__(self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        return self.json_schema(handler(schema), handler)


class _OneOrList(Short):
    def expand(self, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else (value,) if isinstance(value, str) else value

    def json_schema(self, long: JsonSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        return {"anyOf": [{"type": "string"}, long]}


ONE_OR_LIST = _OneOrList()
"""Takes one text for a tuple of one."""


class _Whole(Short):
    def expand(self, value: Any) -> Any:
        if isinstance(value, bool | float):
            raise ValueError(f"expected a whole number, found {_described(value)}")
        return value

    def json_schema(self, long: JsonSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        return long


WHOLE = _Whole()
"""Takes neither `true` nor 1.0 for the 1 of a choice."""


class ShortFor(Short):
    """A text alone stands for a group of settings with this one key: `Annotated[Model, ShortFor("spec")]`."""

    def __init__(self, key: str) -> None:
        self.key = key

    def expand(self, value: Any) -> Any:
        return {self.key: value} if isinstance(value, str) else value

    def json_schema(self, long: JsonSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        properties: JsonSchema = handler.resolve_ref_schema(long)["properties"]
        return {"anyOf": [{"type": "string", "description": properties[self.key].get("description", "")}, long]}


class OneOf:
    """Annotation of a field that holds one of several kinds: `Annotated[Loss, OneOf(LOSSES)]`."""

    def __init__(self, kinds: Sequence[type[Kind]]) -> None:
        self.kinds = {kind.kind: kind for kind in kinds}
        self.vocabulary = kinds[0].vocabulary()

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        self.schemas = {name: handler.generate_schema(kind) for name, kind in self.kinds.items()}
        choices: dict[Any, core_schema.CoreSchema] = {
            name: core_schema.no_info_before_validator_function(self._arguments, schema)
            for name, schema in self.schemas.items()
        }
        return core_schema.no_info_before_validator_function(
            self._check,
            core_schema.tagged_union_schema(choices, discriminator=_kind_of),
            serialization=core_schema.plain_serializer_function_ser_schema(_written),
        )

    def __get_pydantic_json_schema__(self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        alone = {name: kind for name, kind in self.kinds.items() if not kind.needs_arguments()}
        meanings = [inspect.getdoc(kind) or "" for kind in alone.values()]
        names = {"type": "string", "enum": list(alone), "enumDescriptions": meanings}
        mapping = {
            "type": "object",
            "properties": {name: handler(kind) for name, kind in self.schemas.items()},
            "additionalProperties": False,
            "minProperties": 1,
            "maxProperties": 1,
        }
        return {"anyOf": [names, mapping] if alone else [mapping], "title": self.vocabulary}

    def _check(self, value: Any) -> Any:
        """The value as it is, if it names a kind."""
        if isinstance(value, tuple(self.kinds.values())):
            return value
        name = _kind_of(value)
        if name in self.kinds:
            return value
        known = ", ".join(self.kinds)
        found = repr(name) if isinstance(name, str) else _described(value)
        hint = meant(name, self.kinds) if isinstance(name, str) else ""
        raise PydanticCustomError("kind", "expected one of {known}, found {found}{hint}", {
            "known": known, "found": found, "hint": hint,
        })  # fmt: skip

    @staticmethod
    def _arguments(value: Any) -> Any:
        if isinstance(value, Kind):
            return value
        _, arguments = kind_and_arguments(value) or (None, None)
        return {} if arguments is None else arguments


def meant(word: str, known: Iterable[str]) -> str:
    """The word of `known` that was meant: by what graphc once called it, by a peer, or by a near spelling."""
    known = list(known)
    now = new_name(word, known)
    return f" (it is called {now!r} now)" if now is not None else did_you_mean(word, known)


def _kind_of(value: Any) -> str | None:
    if isinstance(value, Kind):
        return value.kind
    kind, _ = kind_and_arguments(value) or (None, None)
    return kind


def _written(value: Kind) -> dict[str, Any]:
    return {value.kind: value.model_dump(mode="json")}


Model = TypeVar("Model", bound=BaseModel)
PlaceOf: TypeAlias = Callable[[Sequence[int | str], bool], Place | None]


def validate(model: type[Model], tree: Any, place_of: PlaceOf) -> Model:
    """The settings in a tree, or every error of it with its place.

    `place_of(path, of_key)` answers with the place of the deepest part of a path that was written: of the value
    there, or of its key.
    """
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        found = list(_explained(model, error, place_of))
        raise found[0] if len(found) == 1 else SpecErrors(list(found)) from None


def _explained(model: type[BaseModel], error: ValidationError, place_of: PlaceOf) -> Iterator[SpecError]:
    """One error for each place that is wrong; of a union's many complaints the last, its widest member's."""
    by_path = {_path(item["loc"], item["type"]): item for item in error.errors(include_url=False)}
    for count, (path, item) in enumerate(by_path.items()):
        name = ".".join(map(str, path))
        where = f"{name}: " if name else ""
        kind = item["type"]
        if kind == "extra_forbidden":
            known = _fields_at(model, path[:-1]) if count < MAX_ERRORS else ()  # of those that are shown
            hint = meant(str(path[-1]), known) or f"; there are {', '.join(known)}"
            yield SpecError("G602", f"unknown key {path[-1]!r}{hint}", place_of(path, True))
        elif kind == "missing":
            above = ".".join(map(str, path[:-1])) or "the recipe"
            yield SpecError("G603", f"{above} lacks the key {path[-1]!r}", place_of(path[:-1], False))
        elif kind in ("kind", "value_error"):
            yield SpecError("G604", where + item["msg"].removeprefix("Value error, "), place_of(path, False))
        else:
            expected = item["msg"].replace("Input should be", "expected", 1)
            expected = VALID.sub(lambda match: WORDS[match[1]], expected)
            if kind == "string_too_long":
                expected = f"expected at most {counted(item['ctx']['max_length'], 'character')}"
            elif kind in LENGTHS:
                most = item["ctx"][LENGTHS[kind]]
                expected = f"expected {'at least' if kind == 'too_short' else 'at most'} {counted(most, 'value')}"
            found = _described(item["input"]) + (write_boolean(item["input"]) if kind == "bool_type" else "")
            yield SpecError("G604", f"{where}{expected}, found {found}", place_of(path, False))


def _path(loc: Sequence[int | str], kind: str) -> tuple[int | str, ...]:
    """Where an error is, without the names that a union gives its members; an unknown key may look like one."""
    if kind == "extra_forbidden":
        return (*_path(loc[:-1], ""), loc[-1])
    return tuple(part for part in loc if isinstance(part, int) or not any(sign in part for sign in "[]'("))


def _fields_at(model: type[BaseModel], path: Sequence[int | str]) -> list[str]:
    """The keys that a group of settings has, the group being found by its path."""
    here: list[type[BaseModel]] = [model]
    choice: OneOf | None = None
    for part in path:
        if isinstance(part, int):  # an item of a list is what the list is of
            continue
        if choice is not None:
            here, choice = [choice.kinds[part]], None
            continue
        fields = [cls.model_fields[part] for cls in here if part in cls.model_fields]
        if fields:
            annotation = fields[0].annotation
            choice = next((m for m in [*fields[0].metadata, *_metadata(annotation)] if isinstance(m, OneOf)), None)
            here = list(_models(annotation))
    return [name for cls in here for name in cls.model_fields]


def _metadata(annotation: Any) -> Iterator[Any]:
    yield from getattr(annotation, "__metadata__", ())
    for part in get_args(annotation):
        if not isinstance(part, OneOf):
            yield from _metadata(part)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


WORDS = {
    "tuple": "a list",
    "list": "a list",
    "dictionary": "a mapping",
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
}
"""What pydantic's messages call by Python's names."""
LENGTHS = {"too_short": "min_length", "too_long": "max_length"}
"""Pydantic's errors about a number of entries -> what holds it."""
VALID = re.compile(rf"a valid ({'|'.join(WORDS)})(?: or instance of \w+)?")


def _described(value: Any) -> str:
    """A value for a message: short, and never a whole document."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        keys = ", ".join(map(str, value)) or "none"
        return f"a mapping with the keys {keys[:60]}" if value else "an empty mapping"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
