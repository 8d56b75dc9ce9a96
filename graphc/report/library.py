"""The blocks that come with graphc as words of a spec."""

from __future__ import annotations

from functools import cache
from typing import Any

from graphc.documented import flow
from graphc.report.schema_words import EXAMPLES
from graphc.report.words import Setting, Word
from graphc.spec.forms.block import REQUIRED, Block
from graphc.spec.library import library

VOCABULARY = "library block"
TYPES = {bool: "true or false", int: "integer", float: "number"}


@cache
def library_words() -> tuple[Word, ...]:
    return tuple(_word(block, included) for included, block in library().values())


def _word(block: Block, included: str) -> Word:
    rows = tuple(
        Setting(name, _type(default), _default(default), block.param_descriptions.get(name, ""))
        for name, default in block.params.items()
    )
    reads = f" Reads {', '.join(block.inputs)}." if block.inputs is not None and len(block.inputs) > 1 else ""
    note = f"After include: [{included}].{reads}"
    return Word(block.name, VOCABULARY, block.description, rows, f"- {_example(block)}", note)


def _example(block: Block) -> str:
    given = {name: EXAMPLES[name] for name, default in block.params.items() if default is REQUIRED}
    several = block.inputs is not None and len(block.inputs) > 1
    return flow({block.name: given | ({"inputs": list(block.inputs or ())} if several else {})})[1:-1]


def _type(default: Any) -> str:
    """What a parameter takes, as far as its default says."""
    if default is REQUIRED or "${" in str(default):
        return "value"
    return TYPES.get(type(default), "kind")


def _default(default: Any) -> str:
    return "required" if default is REQUIRED else flow(default)
