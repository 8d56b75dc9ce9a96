"""Models whose fields are explained by the text under them, read only when somebody asks.

Pydantic's own `use_attribute_docstrings` parses the source of every class at import, which costs a command more
than all else that it does.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
from functools import cache
from itertools import pairwise
from typing import Any

from pydantic import BaseModel, GetJsonSchemaHandler
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import CoreSchema

from graphc.errors import CONTROLS


class Documented(BaseModel):
    """A model whose JSON Schema carries the text under each field as its description."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        described = handler(schema)
        properties = handler.resolve_ref_schema(described).get("properties", {})
        for name, text in field_texts(cls).items():
            if name in properties:
                properties[name].setdefault("description", text)
        return described


@cache
def field_texts(model: type[BaseModel]) -> dict[str, str]:
    """Field name -> the string below it in the source, of the model and its bases."""
    texts: dict[str, str] = {}
    for cls in reversed(model.__mro__):
        if issubclass(cls, BaseModel) and cls is not BaseModel and cls is not Documented:
            texts.update(_own_texts(cls))
    return {name: text for name, text in texts.items() if name in model.model_fields}


def _own_texts(cls: type) -> dict[str, str]:
    return _texts_of_classes(cls.__module__)[cls.__qualname__]


@cache
def _texts_of_classes(module: str) -> dict[str, dict[str, str]]:
    """The texts below the fields of every class of a module, by the class's qualified name."""
    found: dict[str, dict[str, str]] = {}

    def visit(node: ast.AST, above: str) -> None:
        for each in ast.iter_child_nodes(node):
            if isinstance(each, ast.ClassDef):
                found[f"{above}{each.name}"] = _texts_below(each.body)
                visit(each, f"{above}{each.name}.")
            elif isinstance(each, ast.FunctionDef):
                visit(each, f"{above}{each.name}.<locals>.")

    visit(ast.parse(inspect.getsource(sys.modules[module])), "")
    return found


def _texts_below(body: list[ast.stmt]) -> dict[str, str]:
    return {
        field.target.id: inspect.cleandoc(below.value.value).replace("\n", " ")
        for field, below in pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
        and isinstance(below.value.value, str)
    }


class ReadableSchema(GenerateJsonSchema):
    """JSON Schemas for people: no title beside a key that says the same, defaults as a user would write them."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def encode_default(self, dft: Any) -> Any:
        return super().encode_default(written(dft))


def written(value: Any) -> Any:
    """A value as a user would write it: of a model its kind, and what differs from the defaults."""
    if isinstance(value, BaseModel):
        given = {name: written(getattr(value, name)) for name in value.model_fields_set}
        kind = getattr(value, "kind", None)
        return given if kind is None else {kind: given} if given else kind
    return list(value) if isinstance(value, tuple) else value


PLAIN = re.compile(r"[A-Za-z_/](?:[\w./*<>= -]*[\w./*<>=-])?")
NO_TEXTS = frozenset({"null", "true", "false", "nan", "infinity"})
"""What YAML takes for something else than a text, in small letters."""
WORDS = {None: "none", True: "true", False: "false"}


def flow(value: Any) -> str:
    """A value on one line of YAML, which reads it back as it is; null is none."""
    if value is None or isinstance(value, bool):
        return WORDS[value]
    if isinstance(value, dict):
        return f"{{{', '.join(f'{flow(key)}: {flow(item)}' for key, item in value.items())}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(flow, value))}]"
    if isinstance(value, str):
        is_plain = PLAIN.fullmatch(value) and value.lower() not in NO_TEXTS
        return value if is_plain else json.dumps(value, ensure_ascii=False).translate(CONTROLS)
    return str(value)
